"""The command ``python -m ingestion snowflake verify``."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestion import lock
from ingestion.cli import one_line, write_report
from ingestion.errors import VerificationError
from ingestion.settings import SnowflakeSettings, WarehouseSettings

if TYPE_CHECKING:
    from ingestion.verify.model import Verified

# On the screen; the report has all of them.
_SHOWN = 20
_WIDTH = 300


def verify(
    target: Annotated[
        list[str] | None,
        typer.Option(help="A raw table, such as common.bars_raw; repeatable, all by default."),
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Rows shown of each target, and of each file that differs.")
    ] = 3,
    report: Annotated[
        Path | None, typer.Option(help="Also write everything found to this file as JSON.")
    ] = None,
) -> None:
    """Compare bronze and the lake with what Snowflake has of them; fail on any difference.

    Ledger, counts and contents by file. Loads of this machine wait meanwhile.
    """
    from ingestion.verify.run import TARGETS, run  # the connector and Iceberg take a second

    if unknown := sorted(set(target or ()) - set(TARGETS)):
        raise typer.BadParameter(f"expected of {', '.join(TARGETS)}; found {', '.join(unknown)}")
    settings, started = SnowflakeSettings.load(), time.monotonic()
    found: list[Verified] = []
    with lock.held(settings.lock(), WarehouseSettings.load().lock_timeout_s, _say):
        for verified in run(settings, target or TARGETS, sample, _say):
            _show(verified)
            found.append(verified)
    if report is not None:
        write_report(report, _report(found, time.monotonic() - started))
    if differences := [one for verified in found for one in verified.differences]:
        raise VerificationError(
            f"{len(differences)} differences between what was loaded and what Snowflake has; the "
            f"first: {differences[0]}"
        )
    typer.echo(f"equal: {sum(one.rows for one in found):,} rows of {len(found)} targets")


def _show(verified: "Verified") -> None:
    notes = {
        "lines rejected": verified.rejected,
        "files not loaded yet": verified.pending,
        "files gone since, compared as a whole": verified.gone,
    }
    told = "".join(f", {number:,} {what}" for what, number in notes.items() if number)
    verdict = f"{len(verified.differences)} differences" if verified.differences else "equal"
    typer.echo(
        f"{verified.target:<42} {verified.files:>6,} files {verified.rows:>9,} rows "
        f"{verified.seconds:>6.1f} s  {verdict}{told}"
    )
    for text in verified.samples:
        typer.echo(f"  sample  {_cut(text)}")
    for difference in verified.differences[:_SHOWN]:
        typer.echo(f"  {_cut(str(difference))}")
        for row in difference.rows:
            typer.echo(f"    {_cut(row)}")
    if (more := len(verified.differences) - _SHOWN) > 0:
        typer.echo(f"  … and {more:,} more: --report has all")


def _report(found: Sequence["Verified"], seconds: float) -> dict[str, Any]:
    differences = sum(len(one.differences) for one in found)
    return {
        "verdict": "differs" if differences else "equal",
        "differences": differences,
        "seconds": round(seconds, 3),
        "targets": {one.target: one.report() for one in found},
    }


def _cut(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _say(text: str) -> None:
    typer.echo(text, err=True)
