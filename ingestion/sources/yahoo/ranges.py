"""How far back Yahoo's bars go, and how much of them one request may ask for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from ingestion.sources.fetcher import Unit
from ingestion.sources.provider import NoDataError

# The contract's intervals that Yahoo has itself. Its 30 minutes are not among them: asked for them
# it gives others, and yfinance makes them of 15 minutes, which can be asked for instead.
INTERVALS: Final = {
    "1m": timedelta(minutes=1),
    "2m": timedelta(minutes=2),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}


@dataclass(frozen=True, slots=True)
class Depth:
    """Days before today that are kept, and days of one request; None is without a bound."""

    kept: int | None
    a_request: int | None


# As Yahoo's own refusals state them, two days less: they count in seconds and we in dates, of which
# one a year has 25 hours.
_DEPTHS: Final = {
    "1m": Depth(28, 7),
    "2m": Depth(58, None),
    "5m": Depth(58, None),
    "15m": Depth(58, None),
    "1h": Depth(728, None),
    "1d": Depth(None, None),
}


def oldest(interval: str, today: date) -> date:
    """Return the first day of which Yahoo keeps bars of an interval."""
    kept = _DEPTHS[interval].kept
    return today - timedelta(days=kept) if kept else date.min


def requests(unit: Unit, today: date) -> Iterator[tuple[date, date]]:
    """Split a unit's range into requests that Yahoo allows; both days are inclusive.

    Raises:
        NoDataError: a part of the range lies further back than Yahoo keeps the interval, or the
            range is empty.
    """
    if unit.start is None or unit.end is None or unit.interval not in INTERVALS:
        raise NoDataError(f"Yahoo has bars of {', '.join(INTERVALS)} in a range, not {unit}")
    if unit.end < unit.start:
        raise NoDataError(f"{unit.symbol}: expected a range, found {unit.start} to {unit.end}")
    depth, first = _DEPTHS[unit.interval], oldest(unit.interval, today)
    if unit.start < first:
        raise NoDataError(
            f"{unit.symbol}: Yahoo keeps {unit.interval} bars for {depth.kept} days, back to "
            f"{first}; asked for {unit.start} to {unit.end}"
        )
    return _split(unit.start, unit.end, depth.a_request)


def _split(start: date, end: date, days: int | None) -> Iterator[tuple[date, date]]:
    if days is None:
        yield start, end
        return
    while start <= end:
        last = min(end, start + timedelta(days=days - 1))
        yield start, last
        start = last + timedelta(days=1)
