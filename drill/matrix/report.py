"""The verdict table for people and the report for machines."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from drill.matrix.row import Outcome
from drill.matrix.stage import Options
from ingestion.cli import write_report

_COLOURS: Final = {"green": "green", "red": "red", "skipped": "yellow"}


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
        if one.reason:
            text = f"row {one.row}: {one.reason}"
            console.print(text, highlight=False, markup=False, soft_wrap=True)


def write(
    path: Path, outcomes: Sequence[Outcome], options: Options, deep: Sequence[str], seconds: float
) -> None:
    """Write the report."""
    is_green = not any(one.verdict == "red" for one in outcomes)
    write_report(
        path,
        {
            "verdict": "green" if is_green else "red",
            "skipped": [one.row for one in outcomes if one.verdict == "skipped"],
            "seconds": round(seconds, 1),
            "options": asdict(options),
            "deep_audits": list(deep),
            "rows": [asdict(one) for one in outcomes],
        },
    )
