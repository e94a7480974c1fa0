"""What the doctor found: a verdict and a measurement a check."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from ingestion.cli import one_line

_WIDTH = 30  # of the names of checks


class Verdict(StrEnum):
    """How a check ended; only ``FAILED`` makes a store unfit."""

    OK = "ok"
    WARNING = "warning"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True)
class Result:
    """A check's verdict, and what was measured or why nothing was."""

    verdict: Verdict
    measured: str


@dataclass(frozen=True)
class Finding:
    """A check's name and result."""

    check: str
    verdict: Verdict
    measured: str
    seconds: float


def ok(measured: str) -> Result:
    """Return that a check has passed."""
    return Result(Verdict.OK, measured)


def skipped(reason: str) -> Result:
    """Return that a check means nothing for this store."""
    return Result(Verdict.SKIPPED, reason)


def failures(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings that make a store unfit."""
    return [finding for finding in findings if finding.verdict is Verdict.FAILED]


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Return the verdict on the store."""
    return Verdict.FAILED if failures(findings) else Verdict.OK


def line(finding: Finding) -> str:
    """Return a finding as a row of the table that people read."""
    return f"{finding.check:<{_WIDTH}}{finding.verdict:<9}{one_line(finding.measured)}"


def told(findings: Sequence[Finding]) -> str:
    """Return what is wrong with the store, the failed checks named; empty where nothing is."""
    return "; ".join(f"{f.check}: {one_line(f.measured)}" for f in failures(findings))


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings for machines."""
    return {"verdict": verdict(findings), "checks": [asdict(finding) for finding in findings]}
