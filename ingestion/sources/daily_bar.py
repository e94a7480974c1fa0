"""Daily bars as exact integers: what the simulator has to honour."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import msgspec

from ingestion.calendar import Calendar, Session
from ingestion.contracts.records import Symbol
from ingestion.sources.selection import Selection
from ingestion.sources.source import Refused
from ingestion.sources.stocks_csv import Row

# Prices are whole millionths of the currency: what decimal(18,6) can hold, without rounding.
UNIT = Decimal(10) ** 6
CENT = 10_000


@dataclass(frozen=True)
class DailyBar:
    """One session of one symbol; prices in millionths, volume in shares.

    ``previous_close`` is the close of the row before, None for a symbol's first one.
    """

    symbol: str
    session: Session
    open: int
    high: int
    low: int
    close: int
    volume: int
    previous_close: int | None

    def is_consistent(self) -> bool:
        """Tell whether trades can honour it: low <= open, close <= high, prices and volume > 0."""
        inside = self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high
        return inside and self.low > 0 and self.volume > 0


def daily_bars(
    rows: Iterable[Row | Refused], calendar: Calendar, selection: Selection
) -> Iterator[DailyBar]:
    """Return the selected bars that trades can honour, in the file's order."""
    closes: dict[str, int] = {}
    for row in rows:
        bar = None if isinstance(row, Refused) else _bar(row, calendar, closes.get(row.symbol))
        if bar is None:
            continue
        closes[bar.symbol] = bar.close
        if bar.is_consistent() and selection.covers(bar.symbol, bar.session.session_date):
            yield bar


def _bar(row: Row, calendar: Calendar, previous_close: int | None) -> DailyBar | None:
    day = row.day()
    session = calendar.session(day) if day else None
    if session is None:
        return None
    try:
        return DailyBar(
            msgspec.convert(row.symbol, Symbol),
            session,
            open=_exact(row.open, UNIT),
            high=_exact(row.high, UNIT),
            low=_exact(row.low, UNIT),
            close=_exact(row.close, UNIT),
            volume=_exact(row.volume, Decimal(1)),
            previous_close=previous_close,
        )
    except (InvalidOperation, ValueError, OverflowError):  # msgspec's error is a ValueError
        return None


def _exact(text: str, unit: Decimal) -> int:
    scaled = Decimal(text) * unit
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"expected a multiple of {1 / unit}, found {text}")
    return whole
