"""One row of the fault matrix, and what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from drill.matrix.stage import Stage


@dataclass(frozen=True)
class Row:
    """A fault: ``play`` injects it, proves it and heals it; the runner does all the rest.

    ``catches`` names the broken rules that must turn the row red. ``brokers`` is 1 where the row
    wants a bronze of its own, ``rate`` is given where the run's own would be too much.
    """

    number: int
    fault: str
    play: Callable[[Stage], None]
    catches: frozenset[str] = frozenset()
    deep: bool = False
    brokers: int = 3
    rate: float | None = None


@dataclass
class Outcome:
    """What became of a row; ``kind`` is one word for why it is red or skipped.

    ``checks`` names what the auditors found violated, ``remarks`` tells what was not looked at.
    """

    row: int
    fault: str
    verdict: Literal["green", "red", "skipped"] = "red"
    kind: str = ""
    reason: str = ""
    proofs: list[str] = field(default_factory=list)
    reactions: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    notes: dict[str, float] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)
    audit: str = ""
    watched: str = ""
    recovery_s: float | None = None
    seconds: float = 0.0
