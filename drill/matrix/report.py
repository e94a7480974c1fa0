"""The verdict table for people and the report for machines."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from drill.matrix.broken import is_caught
from drill.matrix.row import Outcome
from drill.matrix.stage import Options
from ingestion.cli import write_report

_COLOURS: Final = {"green": "green", "red": "red", "skipped": "yellow"}
RED: Final = "red"  # how a comparison byte by byte begins that is not good


def show(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print one line a row: fault, last proof, time to recover, verdict."""
    table = Table("row", "fault", "proven by", "recovery", "verdict")
    for one in outcomes:
        colour = _COLOURS[one.verdict]
        verdict = one.verdict if one.verdict == "green" else f"{one.verdict}: {one.kind}"
        recovery = "-" if one.recovery_s is None else f"{one.recovery_s:.1f} s"
        proof = one.proofs[-1] if one.proofs else "-"
        table.add_row(str(one.row), one.fault, proof, recovery, f"[{colour}]{verdict}")
    console.print(table)
    for one in outcomes:
        for text in [*filter(None, [one.reason]), *one.remarks]:
            said = f"row {one.row}: {text}"
            console.print(said, highlight=False, markup=False, soft_wrap=True)


def judged(outcomes: Sequence[Outcome], deep: Sequence[str], broken: str) -> str:
    """Return the verdict on a run that is over."""
    if broken:
        is_caught = bool(outcomes) and not missed(outcomes, broken)
        return "caught" if is_caught else "not caught"
    verdicts = {one.verdict for one in outcomes}
    if "red" in verdicts or any(found.startswith(RED) for found in deep):
        return "red"
    return "green" if verdicts == {"green"} else "incomplete"


def missed(outcomes: Iterable[Outcome], broken: str) -> list[int]:
    """Return the rows that have not noticed the broken rule."""
    return [one.row for one in outcomes if not is_caught(broken, one.kind, one.checks)]


@dataclass
class Report:
    """The report for machines, in each of its places; it says incomplete until the run is over."""

    paths: Sequence[Path]
    options: Options
    began: float = field(default_factory=time.monotonic)

    def forget(self) -> None:
        """Take away an earlier run's: a crash must not leave its verdict standing."""
        for path in self.paths:
            path.unlink(missing_ok=True)

    def write(
        self, outcomes: Sequence[Outcome], deep: Sequence[str], verdict: str = "incomplete"
    ) -> None:
        """Write what has become of the rows so far."""
        document = {
            "verdict": verdict,
            "skipped": [one.row for one in outcomes if one.verdict == "skipped"],
            "seconds": round(time.monotonic() - self.began, 1),
            "options": asdict(self.options),
            "deep_audits": list(deep),
            "rows": [asdict(one) for one in outcomes],
        }
        for path in self.paths:
            write_report(path, document)
