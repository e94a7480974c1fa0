"""Which symbols and sessions of a file of bars are wanted."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from ingestion.errors import SourceError
from ingestion.sources.source import Refused
from ingestion.sources.stocks_csv import Row


@dataclass(frozen=True)
class Selection:
    """Bounds are inclusive; what is None or empty does not restrict.

    ``last_sessions`` counts the latest sessions among what the other bounds leave.
    """

    symbols: frozenset[str] = frozenset()
    start: date | None = None
    end: date | None = None
    last_sessions: int | None = None

    def resolve(self, rows: Iterable[Row | Refused]) -> "Selection":
        """Return the same selection with ``last_sessions`` turned into a start date.

        Raises:
            SourceError: a wanted symbol is not there, or the bounds leave nothing.
        """
        found: dict[str, set[date]] = {}
        for row in rows:
            day = row.day() if isinstance(row, Row) else None
            if isinstance(row, Row) and day and self.covers(row.symbol, day):
                found.setdefault(row.symbol, set()).add(day)
        self._refuse_missing(found)
        days = sorted(set().union(*found.values()))
        start = days[-self.last_sessions :][0] if self.last_sessions and days else self.start
        return Selection(self.symbols, start, self.end)

    def covers(self, symbol: str, day: date | None) -> bool:
        """Tell whether a bar is wanted; one without a usable date is, so that it is judged."""
        if self.symbols and symbol not in self.symbols:
            return False
        if day is None:
            return True
        return (self.start is None or day >= self.start) and (self.end is None or day <= self.end)

    def _refuse_missing(self, found: dict[str, set[date]]) -> None:
        missing = sorted(self.symbols - found.keys())
        if missing:
            raise SourceError(f"no bar of {', '.join(missing)} in the selected sessions")
        if not found and (self.start or self.end or self.last_sessions):
            raise SourceError(f"no bar from {self.start} to {self.end}")
