"""Alpha Vantage, asked for one unit at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.contracts.records import Message
from ingestion.sources.alphavantage import NAME
from ingestion.sources.alphavantage.reader import (
    COMPACT_ROWS,
    DAILY,
    INTRADAY,
    Reader,
    spelled,
)
from ingestion.sources.fetch import Http
from ingestion.sources.fetcher import Unit
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import MalformedError, NoDataError
from ingestion.sources.source import Refused

_QUERY: Final = ""  # the address itself


@dataclass(frozen=True)
class Query:
    """A request for a series: its parameters, and the month where it has one."""

    parameters: Mapping[str, str]
    month: str = ""


class AlphaVantage:
    """Bars and quotes. ``is_premium``: the key's plan has adjusted, full and intraday series.

    A free key gives the last 100 daily bars ("compact"), raw, without splits and dividends.
    """

    def __init__(
        self,
        http: Http,
        envelopes: Envelopes,
        calendar: Calendar,
        clock: Clock,
        is_premium: bool = False,
    ) -> None:
        self._http = http
        self._reader = Reader(calendar, envelopes, is_premium)
        self._calendar = calendar
        self._clock = clock
        self._is_premium = is_premium
        self._made: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return NAME

    def serves(self, unit: Unit) -> bool:
        if unit.kind == "quote":
            return True
        if unit.interval == DAILY:
            return self._is_premium or self._is_recent(unit.start)
        return self._is_premium and unit.interval in INTRADAY and unit.start is not None

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        made = self._quote(unit) if unit.kind == "quote" else self._bars(unit)
        self._made["refused"] += sum(isinstance(item, Refused) for item in made)
        self._made["messages"] += sum(not isinstance(item, Refused) for item in made)
        return made

    def facts(self) -> Mapping[str, object]:
        return {name: self._made[name] for name in ("messages", "refused")}

    def _quote(self, unit: Unit) -> list[Message | Refused]:
        parameters = {"function": "GLOBAL_QUOTE", "symbol": spelled(unit.symbol)}
        return [self._http.get(_QUERY, parameters, partial(self._reader.quote, unit))]

    def _bars(self, unit: Unit) -> list[Message | Refused]:
        """Fetch what the unit's range needs, oldest first.

        Raises:
            NoDataError: there is no row in the range.
            MalformedError: a month between two with rows has none.
        """
        made: list[Message | Refused] = []
        text = f"{NAME}: no bar of {unit.symbol} from {unit.start} to {unit.end}"
        nothing, hole = NoDataError(text), ""
        for query in self._queries(unit):
            read = partial(self._reader.bars, unit, query.month)
            try:
                found = self._http.get(_QUERY, query.parameters, read)
            except NoDataError as error:
                # A symbol has no months before its listing, and none after its last day.
                nothing, hole = error, query.month if made else ""
                continue
            if hole:
                raise MalformedError(
                    f"{text}: nothing of {hole}, but of {query.month}", nothing.body
                )
            made += found
        if not made:
            raise nothing
        return made

    def _queries(self, unit: Unit) -> Iterator[Query]:
        symbol = spelled(unit.symbol)
        if unit.interval == DAILY:
            name = "TIME_SERIES_DAILY_ADJUSTED" if self._is_premium else "TIME_SERIES_DAILY"
            size = "compact" if self._is_recent(unit.start) else "full"
            parameters = {"function": name, "symbol": symbol, "outputsize": size}
            yield Query(parameters)
            return
        interval = INTRADAY[str(unit.interval)]
        for month in self._months(unit):
            yield Query(
                {
                    "function": "TIME_SERIES_INTRADAY",
                    "symbol": symbol,
                    "interval": interval,
                    "month": month,
                    "outputsize": "full",
                    "adjusted": "false",
                    "extended_hours": "false",
                },
                month,
            )

    def _months(self, unit: Unit) -> list[str]:
        """Return the months that have a session in the range, such as 2025-07."""
        last = min(unit.end or date.max, self._today())
        sessions = self._calendar.sessions(unit.start, last)
        return sorted({f"{session.session_date:%Y-%m}" for session in sessions})

    def _is_recent(self, start: date | None) -> bool:
        """Tell whether the rows of a compact answer reach back to ``start``."""
        if start is None:
            return False
        return len(self._calendar.sessions(start, self._today())) <= COMPACT_ROWS

    def _today(self) -> date:
        return self._clock.now().astimezone(self._calendar.zone).date()
