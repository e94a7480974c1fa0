"""Alpha Vantage's answers to messages: when they come, and again from dead letters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final, TypeVar

from ingestion import calendar as calendars
from ingestion.calendar import Calendar
from ingestion.clock import rfc3339
from ingestion.contracts.records import Message
from ingestion.errors import ContractError
from ingestion.sources import asked, exact_json
from ingestion.sources.alphavantage import NAME, series
from ingestion.sources.alphavantage.answers import document, text_of
from ingestion.sources.alphavantage.series import Row, Series
from ingestion.sources.asked import Asked, Context
from ingestion.sources.fetch import Answer
from ingestion.sources.fetcher import Unit
from ingestion.sources.message_line import Encoded
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import MalformedError, NoDataError
from ingestion.sources.source import Refused

DAILY: Final = "1d"
INTRADAY: Final = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min"}
# Whose sessions the US symbols have that are asked for.
CALENDAR: Final = "XNYS"
_ZONES: Final = ("US/Eastern", "America/New_York")
_QUOTE: Final = "Global Quote"
_META: Final = "Meta Data"
# How many rows an answer has that is cut off ("compact").
COMPACT_ROWS: Final = 100
# What a letter says beside the question: of a row by itself, how far its label is off its start.
_PREMIUM: Final = "premium"
_MONTH: Final = "month"
_SHIFT: Final = "label_shift_s"

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Reader:
    """Reads answers. ``is_premium``: daily series have adjusted closes, splits and dividends."""

    calendar: Calendar
    envelopes: Envelopes
    is_premium: bool

    def quote(self, unit: Unit, answer: Answer) -> Message:
        """Read a quote; its time is a day, so the event time is that session's open.

        The close would be in the future of a quote that is fetched in the session.

        Raises:
            ProviderError: a refusal that came with status 200, no data, or no answer of this kind.
        """
        return self._read(unit, "", answer, lambda: self._quote(unit, answer))

    def bars(self, unit: Unit, month: str, answer: Answer) -> list[Message | Refused]:
        """Read the rows of a series that are in the unit's range and month, oldest first.

        Raises:
            ProviderError: a refusal that came with status 200, no data, or no answer of this kind.
        """
        return self._read(unit, month, answer, lambda: self._bars(unit, month, answer))

    def row(self, was: Asked, body: bytes, shift: timedelta) -> list[Message | Refused]:
        """Read one row again, ``{"2025-07-03": {...}}``.

        Raises:
            ContractError: it is none.
        """
        found = exact_json.parse(body)
        if not isinstance(found, dict) or len(found) != 1:
            raise ContractError(f"expected one row, found {exact_json.shown(found)}")
        [(label, record)] = found.items()
        answer = Answer(body, was.fetched_at, was.simulated)
        shared, row = self._series(was.unit, "", answer), Row(label, record, body)
        if was.unit.interval == DAILY:
            return [*series.daily(row, shared, self.is_premium)]
        return [series.minutes(row, shared, shift)]

    def _read(self, unit: Unit, month: str, answer: Answer, read: Callable[[], _Made]) -> _Made:
        """Read; an answer that is none keeps what it takes to read it another time."""
        try:
            try:
                return read()
            except ContractError as error:
                text = f"{NAME}: {unit.kind} of {unit.symbol}: {error}"
                raise MalformedError(text, answer.body) from None
        except MalformedError as error:
            error.context = self._context(unit, month, answer)
            raise

    def _context(self, unit: Unit, month: str, answer: Answer) -> Context:
        own = {_PREMIUM: str(self.is_premium).lower()} | ({_MONTH: month} if month else {})
        return asked.context(unit, answer.fetched_at, answer.simulated, **own)

    def _quote(self, unit: Unit, answer: Answer) -> Message:
        found = document(answer.body, _QUOTE)[_QUOTE]
        if found == {}:
            raise NoDataError(f"{NAME}: no quote of {unit.symbol}", answer.body)
        fields = exact_json.flat(found)
        _check_symbol(text_of(fields, "01. symbol"), unit.symbol)
        text_of(fields, "05. price")
        day = series.day(text_of(fields, "07. latest trading day"))
        session = self.calendar.session(day)
        if session is None:
            raise ContractError(f"expected a session of {self.calendar.name}, found {day}")
        return replace(self.envelopes, simulated=answer.simulated).observation(
            "quote.v1",
            unit.symbol,
            rfc3339(session.open_at),
            answer.fetched_at,
            exact_json.verbatim(fields),
            exact_json.canonical(fields),
        )

    def _bars(self, unit: Unit, month: str, answer: Answer) -> list[Message | Refused]:
        key = _key(unit.interval)
        found = document(answer.body, key)
        _check_meta(found, unit.symbol)
        shared = self._series(unit, month, answer)
        rows = series.rows(found, answer.body, key)
        if _is_compact(found[_META]) and len(rows) >= COMPACT_ROWS:
            self._check_reach(unit, month, rows[0].label)
        if unit.interval == DAILY:
            wanted = [row for row in rows if _covers(unit, row.label)]
            return [m for row in wanted for m in series.daily(row, shared, self.is_premium)]
        # A server that knows no ``month`` gives the same rows for each.
        return series.intraday(rows, shared, lambda label: _covers(unit, label, month))

    def _check_reach(self, unit: Unit, month: str, label: str) -> None:
        """Refuse an answer whose oldest row shows that it was cut off within the range.

        That all of it was asked for, or as much as reaches back by our clock, is no proof.
        """
        start = max(unit.start or date.min, _first_of(month))
        first = next(iter(self.calendar.sessions(start, unit.end)), None)
        if first is not None and label[:10] > first.session_date.isoformat():
            text = f"expected rows from {first.session_date} on, found {COMPACT_ROWS} from {label}"
            raise ContractError(text)

    def _series(self, unit: Unit, month: str, answer: Answer) -> Series:
        return Series(
            unit.symbol,
            str(unit.interval),
            self.calendar,
            replace(self.envelopes, simulated=answer.simulated),
            answer.fetched_at,
            lambda shift: (
                *self._context(unit, month, answer),
                (_SHIFT, f"{shift.total_seconds():.0f}"),
            ),
        )


def parse(body: bytes, headers: Mapping[str, str]) -> list[Message | Encoded | Refused]:
    """Read a dead letter's body again: an answer, or a row of one.

    Raises:
        ContractError: it is none, or its headers do not tell what was asked for.
        ProviderError: it is a refusal, or has nothing.
    """
    was = asked.of(headers)
    envelopes = Envelopes(NAME, was.run_id)
    reader = Reader(calendars.get(CALENDAR), envelopes, headers.get(_PREMIUM) == "true")
    if _SHIFT in headers:
        return [*reader.row(was, body, _shift(headers[_SHIFT]))]
    answer = Answer(body, was.fetched_at, was.simulated)
    if was.unit.kind == "quote":
        return [reader.quote(was.unit, answer)]
    return [*reader.bars(was.unit, headers.get(_MONTH, ""), answer)]


def spelled(symbol: str) -> str:
    """Return a share class as Alpha Vantage spells it: BRK-B; it knows no BRK.B."""
    return symbol.replace(".", "-")


def _key(interval: str | None) -> str:
    """Return what a series' rows stand under."""
    name = "Daily" if interval == DAILY else INTRADAY.get(str(interval))
    if name is None:
        raise ContractError(f"expected an interval, found {interval!r}")
    return f"Time Series ({name})"


def _shift(text: str) -> timedelta:
    try:
        return timedelta(seconds=int(text))
    except (ValueError, OverflowError):
        raise ContractError(f"expected seconds in {_SHIFT}, found {text!a:.40}") from None


def _check_meta(found: Mapping[str, Any], symbol: str) -> None:
    meta = exact_json.flat(found.get(_META))
    _check_symbol(text_of(meta, "2. Symbol"), symbol)
    zone = next((meta[name] for name in meta if name.endswith("Time Zone")), None)
    if zone not in _ZONES:
        raise ContractError(f"expected US/Eastern, found {exact_json.shown(zone)}")


def _is_compact(meta: Mapping[str, Any]) -> bool:
    return any(meta[name] == "Compact" for name in meta if name.endswith("Output Size"))


def _first_of(month: str) -> date:
    return date.fromisoformat(f"{month}-01") if month else date.min


def _check_symbol(found: str, wanted: str) -> None:
    if found.upper() not in (wanted, spelled(wanted)):
        raise ContractError(f"expected {wanted}, found the data of {exact_json.shown(found)}")


def _covers(unit: Unit, label: str, month: str = "") -> bool:
    """Tell whether a row is in the range; one without a date is, so that it is judged."""
    try:
        day = date.fromisoformat(label[:10])
    except ValueError:
        return True
    is_in_range = (unit.start or date.min) <= day <= (unit.end or date.max)
    return is_in_range and label.startswith(month)
