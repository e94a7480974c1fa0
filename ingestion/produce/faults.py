"""The options ``--faults``, ``--fault-seed`` and ``--truth``: what goes wrong on purpose."""

from pathlib import Path
from typing import Annotated

import typer

from ingestion.calendar import Calendar
from ingestion.errors import SettingsError
from ingestion.sources.faults import kinds
from ingestion.sources.faults.faulty import Faulty
from ingestion.sources.faults.truth import Truth
from ingestion.sources.source import Source

Faults = Annotated[
    list[str] | None,
    typer.Option(
        "--faults",
        metavar="NAME=RATE",
        help="Let things go wrong, at rates from 0 to 1; may be repeated, or several with commas: "
        + ", ".join(kinds.KINDS),
    ),
]
FaultSeed = Annotated[int, typer.Option(help="Another seed, other faults at the same rates.")]
TruthFile = Annotated[
    Path | None,
    typer.Option("--truth", help="Where each fault is written, as JSON lines; with --faults only."),
]


def faulty(
    source: Source, faults: list[str] | None, seed: int, path: Path | None, calendar: Calendar
) -> Source:
    """Return the source as it is, or with the faults that are asked for.

    Raises:
        SettingsError: faults without a file for them, or the other way round, or an unknown one.
    """
    if not faults and path is None:
        return source
    if not faults or path is None:
        raise SettingsError("--faults and --truth: expected both or neither, found one")
    return Faulty(source, kinds.rates(faults), seed, calendar, Truth(path))
