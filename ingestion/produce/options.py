"""The options that the commands share."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final
from uuid import uuid4

import typer

from ingestion.clock import SystemClock
from ingestion.errors import SettingsError
from ingestion.settings import ProduceSettings
from ingestion.sources.selection import Selection

MAX_RUN_ID = 64
TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"]

Symbols = Annotated[
    list[str] | None, typer.Option("--symbol", help="Only this symbol; may be repeated.")
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Inclusive bound.")]
LastSessions = Annotated[int | None, typer.Option(min=1, help="Only so many latest sessions.")]
File = Annotated[
    Path | None, typer.Option(help="Another file of bars with the same columns (.csv, .csv.gz).")
]
Rate = Annotated[
    float | None, typer.Option(min=0.001, help="Records a second; as fast as possible without.")
]
Report = Annotated[Path | None, typer.Option(help="Also write the summary to this file as JSON.")]
RunId = Annotated[
    str | None, typer.Option(help="Name of this run in every message; made up without.")
]
DeliveryTimeout = Annotated[
    float,
    typer.Option(
        min=1,
        help="Seconds until an unconfirmed record is given up as unknown, all attempts included; "
        "with a spool: how long the end waits for an answer.",
    ),
]
LedgerFolder = Annotated[
    Path | None,
    typer.Option(
        "--ledger", help="Folder of the write-ahead ledger: a file a run, for the auditor."
    ),
]
SpoolFolder = Annotated[
    Path | None,
    typer.Option(
        "--spool", help="Folder of the spool: what Kafka has not confirmed is kept on disk."
    ),
]


def named_run(given: str | None, source: str) -> str:
    """Return the name of a run; one is made up where none is given.

    Raises:
        SettingsError: it is too long.
    """
    run_id = given or f"{source}-{SystemClock().now():%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
    if len(run_id) > MAX_RUN_ID:
        raise SettingsError(f"--run-id: expected at most {MAX_RUN_ID} characters, found {run_id}")
    return run_id


def configured_spool() -> Path | None:
    """Return the folder of the spool that the settings name."""
    return ProduceSettings.load().spool()


def selection_of(
    symbols: list[str] | None, start: datetime | None, end: datetime | None, last: int | None
) -> Selection:
    """Return what of a file of bars is wanted."""
    return Selection(frozenset(symbols or ()), day_of(start), day_of(end), last)


def utc(moment: datetime | None) -> datetime | None:
    """Return a moment of the command line as what it means."""
    return moment.replace(tzinfo=UTC) if moment else None


def day_of(moment: datetime | None) -> date | None:
    """Return the day that an option names."""
    return moment.date() if moment else None
