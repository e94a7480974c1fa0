"""Real daily bars of 2000 to 2013, recorded: the source that needs no key and no network.

The data is ``stocks.csv.gz`` of the package ``bokeh_sampledata`` (AAPL, IBM, MSFT from 2000-03-01,
GOOG from 2004-08-19, FB from 2012-05-18, all to 2013-03-01), taken from Quandl's WIKI price
database. Licence: public domain, as Quandl's publisher page declared and the package's own licence
record states. Prices are raw (as traded); ``Adj Close`` carries splits and dividends.

Time is replayed: a bar is as if fetched 15 minutes after its session's close.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec

from ingestion import calendar as calendars
from ingestion.calendar import Calendar, Session
from ingestion.clock import rfc3339
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import BarMessage, CorporateActionMessage, Message
from ingestion.contracts.topics import BATCH
from ingestion.sources import corporate_actions, stocks_csv
from ingestion.sources.corporate_actions import Action, Close
from ingestion.sources.message_line import Encoded
from ingestion.sources.selection import Selection
from ingestion.sources.source import Refused
from ingestion.sources.stocks_csv import Row

NAME = "recorded"
CURRENCY = "USD"
CALENDAR = "XNYS"
FETCH_DELAY = timedelta(minutes=15)


class Recorded:
    """Bars and corporate actions of a file, in its order; an action comes before its day's bar."""

    def __init__(
        self, path: Path, calendar: Calendar, run_id: str, selection: Selection | None = None
    ) -> None:
        self._path = path
        self._calendar = calendar
        self._run_id = run_id
        self._selection = selection or Selection()
        self._made: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return NAME

    def messages(self) -> Iterator[Message | Refused]:
        selection = self._selection.resolve(stocks_csv.read(self._path))
        previous: dict[str, Row] = {}
        for row in stocks_csv.read(self._path):
            if isinstance(row, Refused):
                yield row
                continue
            # A row before the selection still is the day before its first one.
            before, previous[row.symbol] = previous.get(row.symbol), row
            if selection.covers(row.symbol, row.day()):
                yield from self._counted(row, before)

    def facts(self) -> Mapping[str, object]:
        return {"bars": self._made["bar"], "corporate_actions": self._made["action"]}

    def _counted(self, row: Row, before: Row | None) -> Iterator[Message | Refused]:
        for made in self._messages_of(row, before):
            self._made["bar"] += isinstance(made, BarMessage)
            self._made["action"] += isinstance(made, CorporateActionMessage)
            yield made

    def _messages_of(self, row: Row, before: Row | None) -> Iterator[Message | Refused]:
        day = row.day()
        session = self._calendar.session(day) if day else None
        if session is None:
            detail = f"expected a session of {self._calendar.name}, found {row.session_date!r}"
            yield Refused(row.line, BATCH, "no_session", detail)
            return
        bar = _checked(row, _bar(row, session, self._run_id))
        if isinstance(bar, BarMessage) and before is not None:
            yield from self._action(before, row, session)
        yield bar

    def _action(self, before: Row, row: Row, session: Session) -> Iterator[Message | Refused]:
        closes = _close(before), _close(row)
        if closes[0] is None or closes[1] is None:
            return
        action = corporate_actions.derive(closes[0], closes[1])
        if action and self._adjacent(before, session):
            yield _checked(row, _action_fields(row.symbol, action, session, self._run_id))

    def _adjacent(self, before: Row, session: Session) -> bool:
        day = before.day()
        return day is not None and [
            found.session_date for found in self._calendar.sessions(day, session.session_date)
        ] == [day, session.session_date]


def parse(body: bytes, headers: Mapping[str, str]) -> list[Message | Encoded | Refused]:
    """Read one line of a file of US shares again, for a dead letter: the bar alone.

    An action shows only beside the day before: where it matters, send the file again.
    """
    row = stocks_csv.row_of(body)
    if isinstance(row, Refused):
        return [row]
    run_id = headers.get("run_id") or NAME
    return [*Recorded(Path(), calendars.get(CALENDAR), run_id)._messages_of(row, None)]


def _checked(row: Row, fields: dict[str, Any]) -> Message | Refused:
    try:
        message: Message = msgspec.convert(fields, Message)
    except msgspec.ValidationError as error:
        return Refused(row.line, BATCH, "contract", str(error))
    return message


def _bar(row: Row, session: Session, run_id: str) -> dict[str, Any]:
    data = {
        "interval": "1d",
        "start": rfc3339(session.open_at),
        "session_date": row.session_date,
        "open": row.open or None,
        "high": row.high or None,
        "low": row.low or None,
        "close": row.close or None,
        "volume": row.volume or None,
        "adj_close": row.adj_close or None,
        "currency": CURRENCY,
        "adjustment": "raw",
        "as_of": _fetched_at(session),
    }
    return _envelope("bar.v1", row.symbol, session, run_id, data)


def _action_fields(symbol: str, action: Action, session: Session, run_id: str) -> dict[str, Any]:
    value = f"{action.value.normalize():f}"
    data = {
        "type": action.type,
        "ex_date": session.session_date.isoformat(),
        "ratio": value if action.type == "split" else None,
        "amount": value if action.type == "dividend" else None,
        "currency": CURRENCY,
        "as_of": _fetched_at(session),
    }
    return _envelope("corporate_action.v1", symbol, session, run_id, data)


def _envelope(
    schema: str, symbol: str, session: Session, run_id: str, data: dict[str, Any]
) -> dict[str, Any]:
    event_time = rfc3339(session.open_at)
    return {
        "schema": schema,
        "event_id": observation_id(NAME, schema, symbol, event_time, data),
        "source": NAME,
        "simulated": False,
        "symbol": symbol,
        "event_time": event_time,
        "fetched_at": _fetched_at(session),
        "run_id": run_id,
        "data": data,
    }


def _fetched_at(session: Session) -> str:
    return rfc3339(session.close_at + FETCH_DELAY)


def _close(row: Row) -> Close | None:
    try:
        close = Close(Decimal(row.close), Decimal(row.adj_close))
    except InvalidOperation:
        return None
    usable = all(value.is_finite() and value > 0 for value in (close.raw, close.adjusted))
    return close if usable else None
