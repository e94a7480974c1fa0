import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from drill.simulation import plan as plans
from drill.simulation.mutants import MUTANTS, Rules
from drill.simulation.run import run_seed
from drill.simulation.sweep import COVERAGE, Sweep, sweep

ROOT = Path(__file__).resolve().parents[3]
# Some of it takes thousands of seeds; `make simulate` names what it has not met.
SEEN_SOON = Counter(
    {
        "PUT lost_ack": 20,
        "PUT late_apply": 20,
        "PUT own_412": 10,
        "GETs damaged": 10,
        "PUTs of zombies": 100,
        "PUTs of the dead applied": 3,
        "PUTs of a deleted topic withheld": 20,
        "alarm adopted": 100,
        "batches of partitions not owned": 3,
        "batches after a seek or pause": 1,
        "commits late": 20,
        "commits lost": 20,
        "crashes": 200,
        "freezes": 50,
        "gaps": 10,
        "graceful stops": 20,
        "isolations": 50,
        "partitions lost": 20,
        "pauses": 20,
        "revokes": 200,
        "sessions expired": 200,
        "topics re-created": 20,
        **{f"crash at {point}": 1 for point in ("Put", "before-put", "after-put", "commit")},
    }
)


def swept(count: int, broken: str = "") -> Sweep:
    *_, state = sweep(0, count, broken, jobs=1)
    return state


def test_the_product_keeps_every_invariant_while_every_fault_happens() -> None:
    state = swept(350)

    assert state.failed is None
    assert state.seeds == 350
    assert {what for what, least in SEEN_SOON.items() if state.counts[what] < least} == set()


def test_what_must_be_met_is_counted_under_that_name() -> None:
    assert set(SEEN_SOON) <= set(COVERAGE)


@pytest.mark.parametrize("broken", MUTANTS)
def test_a_broken_rule_is_caught(broken: str) -> None:
    state = swept(1000, broken)

    assert state.failed is not None
    assert state.failed.violation[:2] in ("I2", "I3", "I4", "I5")


def test_a_seed_is_the_same_again_in_another_process() -> None:
    here = run_seed(77, Rules(), tracing=True)
    script = (
        "from drill.simulation.run import run_seed\n"
        "from drill.simulation.mutants import Rules\n"
        "print('\\n'.join(run_seed(77, Rules(), tracing=True).trace))"
    )
    for hash_seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.splitlines() == list(here.trace)


def test_tracing_changes_nothing() -> None:
    for seed in range(20):
        assert run_seed(seed, Rules()).counts == run_seed(seed, Rules(), tracing=True).counts


def test_a_world_without_faults_has_none() -> None:
    whole = run_seed(5, Rules())

    verdict = run_seed(5, Rules(), dropped=frozenset(range(len(whole.plan.faults))))

    assert verdict.violation == ""
    assert not {"crashes", "freezes", "PUT timeout", "sessions expired"} & set(verdict.counts)


def test_every_kind_of_fault_is_drawn() -> None:
    drawn = {fault.kind for seed in range(300) for fault in plans.make(random.Random(seed)).faults}

    assert drawn == {*plans.WINDOWS, *plans.MOMENTS}
