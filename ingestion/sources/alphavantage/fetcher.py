"""Alpha Vantage, asked for one unit at a time."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

from ingestion.calendar import Calendar
from ingestion.clock import Clock, rfc3339
from ingestion.contracts.records import Message
from ingestion.errors import ContractError
from ingestion.sources import exact_json
from ingestion.sources.alphavantage import NAME, series
from ingestion.sources.alphavantage.answers import document, text_of
from ingestion.sources.alphavantage.series import Series
from ingestion.sources.fetch import Answer, Http
from ingestion.sources.fetcher import Unit
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import MalformedError, NoDataError
from ingestion.sources.source import Refused

# What a free key gets of a daily series ("compact"); all of it ("full") is for paid plans.
COMPACT_ROWS: Final = 100

_QUERY: Final = ""  # the address itself
_DAILY: Final = "1d"
_INTRADAY: Final = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min"}
_ZONES: Final = ("US/Eastern", "America/New_York")
_QUOTE: Final = "Global Quote"
_META: Final = "Meta Data"


@dataclass(frozen=True)
class Query:
    """A request for a series: its parameters, and the key that its rows stand under."""

    parameters: Mapping[str, str]
    rows: str


class AlphaVantage:
    """Bars and quotes. ``is_premium``: the key's plan has adjusted, full and intraday series.

    A free key gives the last 100 daily bars, raw, without splits and dividends.
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
        self._envelopes = envelopes
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
        if unit.interval == _DAILY:
            return self._is_premium or self._is_recent(unit.start)
        return self._is_premium and unit.interval in _INTRADAY and unit.start is not None

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        made = self._quote(unit) if unit.kind == "quote" else self._bars(unit)
        self._made["refused"] += sum(isinstance(item, Refused) for item in made)
        self._made["messages"] += sum(not isinstance(item, Refused) for item in made)
        return made

    def facts(self) -> Mapping[str, object]:
        return {name: self._made[name] for name in ("messages", "refused")}

    def _quote(self, unit: Unit) -> list[Message | Refused]:
        """Poll a quote; its time is a day, so the event time is that session's open.

        The close would be in the future of a quote that is fetched in the session.
        """
        parameters = {"function": "GLOBAL_QUOTE", "symbol": _spelled(unit.symbol)}
        return [self._http.get(_QUERY, parameters, partial(self._read_quote, unit))]

    def _read_quote(self, unit: Unit, answer: Answer) -> Message:
        found = document(answer.body, _QUOTE)[_QUOTE]
        if found == {}:
            raise NoDataError(f"{NAME}: no quote of {unit.symbol}", answer.body)
        try:
            fields = exact_json.flat(found)
            self._check_symbol(text_of(fields, "01. symbol"), unit.symbol)
            text_of(fields, "05. price")
            day = series.day(text_of(fields, "07. latest trading day"))
            session = self._calendar.session(day)
            if session is None:
                raise ContractError(f"expected a session of {self._calendar.name}, found {day}")
            return self._envelopes.observation(
                "quote.v1",
                unit.symbol,
                rfc3339(session.open_at),
                answer.fetched_at,
                exact_json.verbatim(fields),
                exact_json.canonical(fields),
            )
        except ContractError as error:
            raise _malformed(unit, error, answer) from None

    def _bars(self, unit: Unit) -> list[Message | Refused]:
        """Fetch what the unit's range needs, oldest first.

        Raises:
            NoDataError: there is no row in the range.
        """
        made: list[Message | Refused] = []
        text = f"{NAME}: no bar of {unit.symbol} from {unit.start} to {unit.end}"
        nothing = NoDataError(text)
        for query in self._queries(unit):
            read = partial(self._read_bars, unit, query)
            try:
                made += self._http.get(_QUERY, query.parameters, read)
            except NoDataError as error:
                nothing = error  # a symbol that was listed in the range has no months before
        if not made:
            raise nothing
        return made

    def _read_bars(self, unit: Unit, query: Query, answer: Answer) -> list[Message | Refused]:
        try:
            return self._rows(unit, query, answer)
        except ContractError as error:
            raise _malformed(unit, error, answer) from None

    def _rows(self, unit: Unit, query: Query, answer: Answer) -> list[Message | Refused]:
        found = document(answer.body, query.rows)
        self._check_meta(found, unit.symbol)
        shared = Series(
            unit.symbol,
            str(unit.interval),
            self._calendar,
            self._envelopes,
            answer.fetched_at,
        )
        rows = series.rows(found, answer.body, query.rows)
        if unit.interval == _DAILY:
            wanted = [row for row in rows if _covers(unit, row.label)]
            return [m for row in wanted for m in series.daily(row, shared, self._is_premium)]
        # A server that knows no ``month`` gives the same rows for each.
        month = query.parameters["month"]
        return series.intraday(rows, shared, lambda label: _covers(unit, label, month))

    def _queries(self, unit: Unit) -> Iterator[Query]:
        symbol = _spelled(unit.symbol)
        if unit.interval == _DAILY:
            name = "TIME_SERIES_DAILY_ADJUSTED" if self._is_premium else "TIME_SERIES_DAILY"
            size = "compact" if self._is_recent(unit.start) else "full"
            parameters = {"function": name, "symbol": symbol, "outputsize": size}
            yield Query(parameters, "Time Series (Daily)")
            return
        interval = _INTRADAY[str(unit.interval)]
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
                f"Time Series ({interval})",
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

    def _check_meta(self, found: Mapping[str, Any], symbol: str) -> None:
        meta = exact_json.flat(found.get(_META))
        self._check_symbol(text_of(meta, "2. Symbol"), symbol)
        zone = next((meta[name] for name in meta if name.endswith("Time Zone")), None)
        if zone not in _ZONES:
            raise ContractError(f"expected US/Eastern, found {exact_json.shown(zone)}")

    def _check_symbol(self, found: str, wanted: str) -> None:
        if found.upper() not in (wanted, _spelled(wanted)):
            raise ContractError(f"expected {wanted}, found the data of {exact_json.shown(found)}")


def _spelled(symbol: str) -> str:
    """Return a share class as Alpha Vantage spells it: BRK-B; it knows no BRK.B."""
    return symbol.replace(".", "-")


def _covers(unit: Unit, label: str, month: str = "") -> bool:
    """Tell whether a row is in the range; one without a date is, so that it is judged."""
    try:
        day = date.fromisoformat(label[:10])
    except ValueError:
        return True
    is_in_range = (unit.start or date.min) <= day <= (unit.end or date.max)
    return is_in_range and label.startswith(month)


def _malformed(unit: Unit, error: ContractError, answer: Answer) -> MalformedError:
    return MalformedError(f"{NAME}: {unit.kind} of {unit.symbol}: {error}", answer.body)
