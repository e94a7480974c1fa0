"""What was asked for, kept beside a body that was refused, so that it can be read again one day."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from ingestion.clock import rfc3339
from ingestion.errors import ContractError
from ingestion.sources.fetcher import Kind, Unit

Context = tuple[tuple[str, str], ...]

_KIND: Final = "asked_kind"
_SYMBOL: Final = "asked_symbol"
_INTERVAL: Final = "asked_interval"
_START: Final = "asked_start"
_END: Final = "asked_end"
FETCHED_AT: Final = "fetched_at"
SIMULATED: Final = "simulated"
_KINDS: Final[Mapping[str, Kind]] = {"bars": "bars", "quote": "quote"}


@dataclass(frozen=True)
class Asked:
    """A question, when its answer came, whether its server serves simulated data, in which run."""

    unit: Unit
    fetched_at: datetime
    simulated: bool
    run_id: str


def context(unit: Unit, fetched_at: datetime, simulated: bool, **more: str) -> Context:
    """Return what a letter's headers say of the question; ``more`` is the reader's own."""
    found = {
        _KIND: unit.kind,
        _SYMBOL: unit.symbol,
        _INTERVAL: unit.interval,
        _START: None if unit.start is None else unit.start.isoformat(),
        _END: None if unit.end is None else unit.end.isoformat(),
        **when(fetched_at, simulated),
        **more,
    }
    return tuple((name, value) for name, value in found.items() if value is not None)


def when(fetched_at: datetime, simulated: bool) -> dict[str, str]:
    """Return what a letter's headers say of an answer."""
    return {FETCHED_AT: rfc3339(fetched_at), SIMULATED: str(simulated).lower()}


def of(headers: Mapping[str, str]) -> Asked:
    """Read the question from a letter's headers.

    Raises:
        ContractError: they do not tell.
    """
    try:
        unit = Unit(
            _KINDS[headers[_KIND]],
            headers[_SYMBOL],
            _day(headers.get(_START)),
            _day(headers.get(_END)),
            headers.get(_INTERVAL),
        )
        fetched_at = datetime.fromisoformat(headers[FETCHED_AT])
        rfc3339(fetched_at)  # a time without a zone is none, and so is one beyond the year 9999
        return Asked(unit, fetched_at, headers[SIMULATED] == "true", headers["run_id"])
    except (KeyError, ValueError, OverflowError) as error:
        raise ContractError(
            f"expected what was asked for in the letter's headers: {error}"
        ) from None


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
