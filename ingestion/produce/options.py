"""The options that the commands share."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Final
from uuid import uuid4

import typer

from ingestion.clock import SystemClock
from ingestion.errors import SettingsError
from ingestion.instruments import reader
from ingestion.settings import ProduceSettings, ProjectSettings
from ingestion.sources.selection import Selection

MAX_RUN_ID = 64
_DURATION: Final = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)([smhd])")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"]

Symbols = Annotated[
    list[str] | None, typer.Option("--symbol", help="Only this symbol; may be repeated.")
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Inclusive bound.")]
Universe = Annotated[
    str, typer.Option(help="Without --symbol: the ten of `default`, or `all` that are traded now.")
]
Once = Annotated[bool, typer.Option("--once", help="One round, then the end.")]
Every = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Again and again, such as every 90s, 15m or 6h."),
]
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


def live_spool(given: Path | None, name: str) -> Path:
    """Return the spool for what cannot be had again: there always is one, of each source its own.

    One process uses a spool at a time, and streams run beside each other.
    """
    return given or configured_spool() or ProjectSettings.load().state("spool", name)


def duration_s(text: str | None) -> float | None:
    """Return the seconds that an option names, such as 90s, 15m, 6h or 1d.

    Raises:
        SettingsError: it names none.
    """
    if text is None:
        return None
    found = _DURATION.fullmatch(text)
    seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise SettingsError(f"--every: expected a duration such as 90s, 15m or 6h, found {text!r}")
    return seconds


def refuse_both(**options: object) -> None:
    """Raise SettingsError where more than one of the options was given."""
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value]
    if len(given) > 1:
        raise SettingsError(f"expected one of {', '.join(given)}, found {len(given)}")


def symbols_of(given: list[str] | None, named: str) -> tuple[str, ...]:
    """Return the symbols to ask providers for; one that nobody trades under today is told.

    It is asked for all the same: providers know more than we do, and old names.

    Raises:
        InstrumentsError: there is no such universe, or what is given is no symbol.
    """
    symbols = reader.selected(given, named)
    for symbol in symbols:
        if reader.universe().instrument(symbol) is None:
            text = f"note: {symbol} is no symbol of today's instruments; it is asked for as it is"
            typer.echo(text, err=True)
    return symbols


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
