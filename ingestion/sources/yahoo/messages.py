"""An answer of Yahoo as messages: bars in its order, each action before its day's bar.

What Yahoo calls close is split-adjusted up to the moment of the answer and not adjusted for
dividends: ``adjustment`` is "split", ``as_of`` that moment; ``adj_close`` carries both.
Amounts of dividends are split-adjusted in the same way.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec
from msgspec import Raw

from ingestion import calendar as calendars
from ingestion.calendar import Calendar, Session
from ingestion.clock import rfc3339
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import Message
from ingestion.contracts.topics import BATCH
from ingestion.sources import asked
from ingestion.sources.fetcher import Unit
from ingestion.sources.message_line import Encoded
from ingestion.sources.provider import MalformedError
from ingestion.sources.source import Refused
from ingestion.sources.yahoo import answer, numbers
from ingestion.sources.yahoo.answer import Answer, Meta, Result, Row
from ingestion.sources.yahoo.numbers import decimal_text, quotient, shortest
from ingestion.sources.yahoo.ranges import INTERVALS

NAME: Final = "yahoo"
DAILY: Final = "1d"
# Whose sessions Yahoo's US symbols have.
CALENDAR: Final = "XNYS"
SUPERSEDED: Final = "superseded"
_ADJUSTMENT: Final = "split"
_CURRENCY: Final = "currency"
# A valid one has three letters: one cut off here stays invalid, and fits into a header.
_MAX_CURRENCY: Final = 16
# Yahoo names an hour in two ways.
_SAME: Final = {"60m": "1h"}

Made = Message | Refused


@dataclass(frozen=True, slots=True)
class Context:
    """What a message says beside what the answer says."""

    unit: Unit
    calendar: Calendar
    run_id: str


def spell(symbol: str) -> str:
    """Return the project's ticker as Yahoo spells it: share classes have a hyphen (BRK-B)."""
    return symbol.replace(".", "-")


def messages(found: Answer, context: Context) -> list[Made]:
    """Turn an answer to the question for a unit into messages.

    A row or an action that is no valid message is refused with its own elements, as they were
    received.

    Raises:
        NoDataError: Yahoo has nothing, or says so.
        MalformedError: it is no answer of the chart endpoint, or one to another question.
    """
    asked_for = asked.context(context.unit, found.fetched_at, found.simulated)
    try:
        result = answer.read(found.body)
        _check(result.meta, spell(context.unit.symbol), context, found.body)
        made = list(_Maker(found, result, context).made())
    except MalformedError as error:
        error.context = asked_for
        raise
    of_part = (*asked_for, *_currency_of(result.meta))
    return [replace(m, context=of_part) if isinstance(m, Refused) else m for m in made]


def parse(body: bytes, headers: Mapping[str, str]) -> list[Message | Encoded | Refused]:
    """Read a dead letter's body again: an answer, or a row or an action of one.

    Raises:
        ContractError: its headers do not tell what was asked for.
        ProviderError: the body is no answer, or has nothing.
    """
    was = asked.of(headers)
    context = Context(was.unit, calendars.get(CALENDAR), was.run_id)
    if headers.get("reason") == SUPERSEDED:  # alone it would look like the bar that replaced it
        return [Refused(body, BATCH, SUPERSEDED, headers.get("detail", ""))]
    document = answer.whole(body, headers.get(_CURRENCY))
    found, result = Answer(document, was.fetched_at, was.simulated), answer.read(document)
    if document is body or result.timestamp:
        return [*messages(found, context)]
    return [action for _, action in _Maker(found, result, context).actions()]


def _currency_of(meta: Meta) -> asked.Context:
    return () if meta.currency is None else ((_CURRENCY, meta.currency[:_MAX_CURRENCY]),)


def _check(meta: Meta, spelled: str, context: Context, body: bytes) -> None:
    """Refuse an answer to another question: no field of a bar could tell it from the right one."""
    granularity = _SAME.get(meta.granularity or "", meta.granularity)
    _same("symbol", spelled, meta.symbol, body)
    _same("granularity", context.unit.interval, granularity or context.unit.interval, body)
    zone = str(context.calendar.zone)
    _same(f"time zone of {context.calendar.name}", zone, meta.zone or zone, body)


def _same(what: str, expected: str | None, found: str | None, body: bytes) -> None:
    if expected != found:
        raise MalformedError(f"expected {what} {expected!r}, found {str(found)[:40]!r}", body)


class _Maker:
    """Makes the messages of one answer."""

    def __init__(self, found: Answer, result: Result, context: Context) -> None:
        self._body = found.body
        self._result = result
        self._context = context
        self._fetched_at = rfc3339(found.fetched_at)
        self._simulated = found.simulated
        self._currency = result.meta.currency

    def made(self) -> Iterator[Made]:
        actions = sorted(self.actions(), key=lambda dated: dated[0])
        for day, bar in self._bars():
            while actions and actions[0][0] <= day:
                yield actions.pop(0)[1]
            yield bar
        yield from (action for _, action in actions)

    def _bars(self) -> Iterator[tuple[date, Made]]:
        """Return each row's day with its message; a refused row keeps its place."""
        rows = [
            (row, self._session(row.timestamp)) for row in answer.rows(self._result, self._body)
        ]
        last = {self._key(row, session): index for index, (row, session) in enumerate(rows)}
        before = date.min
        for index, (row, session) in enumerate(rows):
            before = session.session_date if session else before
            is_last = last[self._key(row, session)] == index
            yield before, self._bar(row, session, is_last)

    def _bar(self, row: Row, session: Session | None, is_last: bool) -> Made:
        body = row.body(self._result.meta.symbol)
        if session is None:
            return self._no_session(body, row.timestamp)
        start = session.open_at if self._is_daily else _moment(row.timestamp)
        problem = self._misplaced(session, start, is_last)
        if problem:
            return Refused(body, BATCH, *problem)
        return self._message("bar.v1", session, start, self._bar_data(row, session, start), body)

    def _misplaced(
        self, session: Session, start: datetime, is_last: bool
    ) -> tuple[str, str] | None:
        """Return reason and detail where a row is not one bar of those that were asked for."""
        unit, day = self._context.unit, session.session_date
        if not _within(unit, day):
            return "outside_range", f"expected {unit.start} to {unit.end}, found {day}"
        if not is_last:
            return SUPERSEDED, f"expected one row of {rfc3339(start)}, found a later one"
        step = INTERVALS[unit.interval or DAILY]
        if not self._is_daily and (start - session.open_at) % step:
            detail = f"expected a start on the grid of {step} from the open, found {rfc3339(start)}"
            return "off_grid", detail
        return None

    def _bar_data(self, row: Row, session: Session, start: datetime) -> dict[str, Any]:
        return {
            "interval": self._context.unit.interval,
            "start": rfc3339(start),
            "session_date": session.session_date.isoformat(),
            "open": decimal_text(row.open),
            "high": decimal_text(row.high),
            "low": decimal_text(row.low),
            "close": decimal_text(row.close),
            "volume": decimal_text(row.volume),
            "adj_close": decimal_text(row.adj_close),
            "currency": self._currency,
            "adjustment": _ADJUSTMENT,
            "as_of": self._fetched_at,
        }

    def actions(self) -> Iterator[tuple[date, Made]]:
        """Return each action with its day."""
        events = self._result.events
        if events is None:
            return
        for raw in (events.splits or {}).values():
            yield self._action("split", raw, _ratio)
        for raw in (events.dividends or {}).values():
            yield self._action("dividend", raw, _amount)
        for raw in (events.gains or {}).values():
            detail = "expected a split or a dividend, found capital gains"
            yield date.min, Refused(self._action_body("gain", raw), BATCH, "unknown_action", detail)

    def _action(
        self, kind: str, raw: Raw, value: Callable[[dict[str, Raw]], str | None]
    ) -> tuple[date, Made]:
        body, fields = self._action_body(kind, raw), _fields(raw)
        session = self._session(fields.get("date", Raw(b"null")))
        if session is None:
            return date.min, self._no_session(body, fields.get("date", Raw(b"null")))
        day = session.session_date
        if not _within(self._context.unit, day):
            unit = self._context.unit
            detail = f"expected {unit.start} to {unit.end}, found {day}"
            return day, Refused(body, BATCH, "outside_range", detail)
        data = {
            "type": kind,
            "ex_date": day.isoformat(),
            "ratio": value(fields) if kind == "split" else None,
            "amount": value(fields) if kind == "dividend" else None,
            "currency": _text(fields.get("currency")) or self._currency,
            "as_of": self._fetched_at,
        }
        if data["ratio"] is None and data["amount"] is None:
            return day, Refused(body, BATCH, "contract", f"expected a {kind}'s value, found none")
        return day, self._message("corporate_action.v1", session, session.open_at, data, body)

    def _message(
        self, schema: str, session: Session, start: datetime, data: dict[str, Any], body: bytes
    ) -> Made:
        symbol, event_time = self._context.unit.symbol, rfc3339(start)
        fields = {
            "schema": schema,
            "event_id": observation_id(NAME, schema, symbol, event_time, data),
            "source": NAME,
            "simulated": self._simulated,
            "symbol": symbol,
            "event_time": event_time,
            "fetched_at": self._fetched_at,
            "run_id": self._context.run_id,
            "data": data,
        }
        try:
            message: Message = msgspec.convert(fields, Message)
        except msgspec.ValidationError as error:
            return Refused(body, BATCH, "contract", str(error))
        return message

    def _session(self, timestamp: Raw) -> Session | None:
        moment = _moment_or_none(timestamp)
        return self._context.calendar.session_of(moment) if moment else None

    def _no_session(self, body: bytes, timestamp: Raw) -> Refused:
        moment = _moment_or_none(timestamp)
        found = moment.isoformat() if moment else bytes(timestamp)[:40].decode(errors="replace")
        detail = f"expected a time in a session of {self._context.calendar.name}, found {found}"
        return Refused(body, BATCH, "no_session", detail)

    def _action_body(self, kind: str, raw: Raw) -> bytes:
        return msgspec.json.encode({"symbol": self._result.meta.symbol, kind: raw})

    def _key(self, row: Row, session: Session | None) -> object:
        """Return what a row is the only one of: its session, or its time within one."""
        return session.session_date if session and self._is_daily else bytes(row.timestamp)

    @property
    def _is_daily(self) -> bool:
        return self._context.unit.interval == DAILY


def _within(unit: Unit, day: date) -> bool:
    return (unit.start is None or day >= unit.start) and (unit.end is None or day <= unit.end)


def _moment(timestamp: Raw) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(bytes(timestamp)))


def _moment_or_none(timestamp: Raw) -> datetime | None:
    """Return a time given in whole seconds since 1970, None for all else and for any other age."""
    try:
        return _moment(timestamp)
    except (ValueError, OverflowError):
        return None


def _fields(raw: Raw) -> dict[str, Raw]:
    try:
        return msgspec.json.decode(raw, type=dict[str, Raw])
    except msgspec.ValidationError:  # some other JSON value in an action's place
        return {}


def _ratio(fields: dict[str, Raw]) -> str | None:
    """Return the new shares per old one, None where they are not two positive numbers."""
    above, below = (_number(fields.get(name)) for name in ("numerator", "denominator"))
    if above is None or below is None or above <= 0 or below <= 0:
        return None
    try:
        return shortest(quotient(above, below))
    except InvalidOperation:
        return None


def _amount(fields: dict[str, Raw]) -> str | None:
    return decimal_text(fields.get("amount"))


def _number(raw: Raw | None) -> Decimal | None:
    return None if raw is None else numbers.parse(bytes(raw).decode())


def _text(raw: Raw | None) -> str | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=str)
    except msgspec.ValidationError:
        return None
