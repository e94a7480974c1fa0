"""One seed: from its plan to a verdict, again and again the same."""

import random
from collections import Counter
from dataclasses import dataclass

from drill.simulation import plan as plans
from drill.simulation.checks import Violation
from drill.simulation.mutants import Rules
from drill.simulation.plan import Plan
from drill.simulation.world import World


@dataclass(frozen=True)
class Verdict:
    """How a seed ended; ``violation`` is empty when everything held."""

    seed: int
    plan: Plan
    violation: str
    counts: Counter[str]
    trace: tuple[str, ...] = ()


def run_seed(
    number: int, rules: Rules, dropped: frozenset[int] = frozenset(), tracing: bool = False
) -> Verdict:
    """Run the world of a seed, without the faults ``dropped`` from its plan."""
    rng = random.Random(number)  # noqa: S311 - dice of a simulation
    plan = plans.make(rng).without(dropped)
    world = World(plan, rng, rules, tracing)
    violation = ""
    try:
        world.run()
    except Violation as error:
        violation = str(error)
        world.note(f"VIOLATION {violation}")
    return Verdict(number, plan, violation, world.counts, tuple(world.trace))
