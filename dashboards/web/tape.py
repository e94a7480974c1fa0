"""The newest trade of each symbol, and the minutes that form, by the rules of the lake.

What counts, what a correction means and which minute a trade is of is `spark_jobs`' own code, the
part that needs no Spark. Prices and sizes are whole millionths, times microseconds since 1970.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from ingestion.calendar import Calendar
from ingestion.contracts.conditions import CLOSING_AUCTION, OPENING_AUCTION
from ingestion.contracts.topics import REALTIME
from spark_jobs.model import MODEL
from spark_jobs.transforms.decode import Judge
from spark_jobs.transforms.moments import (
    MILLIONTHS,
    Revision,
    Trade,
    effective,
    newest,
    roots_of,
)
from spark_jobs.transforms.roots import CORRECTED_WITHIN_DAYS
from spark_jobs.transforms.sitting import Arrival, Key, Session, place

# The one that forms and those that may still change: late trades come within minutes.
_MINUTES: Final = 5
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Record(NamedTuple):
    """A record of the topic of trades."""

    value: bytes | None
    partition: int
    offset: int
    kafka_ms: int


@dataclass
class Minute:
    """A minute's bar of the trades that count; without any it has no prices and `n` 0.

    `is_partial`: the tape may have begun, or come back to it, within the minute.
    """

    day: int
    start_us: int
    end_us: int
    segment: str
    is_partial: bool
    trades: dict[str, Trade] = field(default_factory=dict)
    """All of them as they were sent, by event_id."""
    kafka_ms: dict[str, int] = field(default_factory=dict)
    version: int = 0
    first: Trade | None = None
    last: Trade | None = None
    high: int = 0
    low: int = 0
    volume: int = 0
    n: int = 0

    def add(self, trade: Trade) -> None:
        """Count a trade, whatever its place in the order of events."""
        self.high = trade.price if self.first is None else max(self.high, trade.price)
        self.low = trade.price if self.first is None else min(self.low, trade.price)
        if self.first is None or trade.order < self.first.order:
            self.first = trade
        if self.last is None or trade.order > self.last.order:
            self.last = trade
        self.volume += trade.size
        self.n += 1

    def count_again(self, revised: Mapping[str, Revision]) -> None:
        """Count all its trades anew."""
        self.first = self.last = None
        self.high = self.low = self.volume = self.n = 0
        for trade in effective(self.trades.values(), revised):
            self.add(trade)

    def shown(self) -> dict[str, Any]:
        """Return the bar as the browser gets it: seconds since 1970, prices as numbers."""
        first, last = self.first, self.last
        return {
            "start_s": self.start_us // MILLIONTHS,
            "end_s": self.end_us // MILLIONTHS,
            "open": first.price / MILLIONTHS if first else None,
            "high": self.high / MILLIONTHS if first else None,
            "low": self.low / MILLIONTHS if first else None,
            "close": last.price / MILLIONTHS if last else None,
            "volume": self.volume / MILLIONTHS,
            "n": self.n,
            "segment": self.segment,
            "is_partial": self.is_partial,
        }


@dataclass
class _Line:
    """One symbol of one source."""

    minutes: OrderedDict[tuple[int, Key], Minute] = field(default_factory=OrderedDict)
    revisions: dict[str, Revision] = field(default_factory=dict)
    trades: int = 0
    """How many have come; what a client has not been shown one by one is the difference."""


class Seen(NamedTuple):
    """Up to where a client has been shown a symbol."""

    version: int = 0
    trades: int = 0


class Tape:
    """Takes records in Kafka's order; not thread-safe.

    Real before simulated: what is made up is shown only of a symbol of which nothing real has come.
    Of several real sources the one that came first is shown, so that the line does not jump.
    """

    def __init__(self, calendar: Calendar) -> None:
        """Take the exchange's sessions."""
        self._calendar = calendar
        self._judge = Judge(MODEL.of_topics([REALTIME]))
        self._lines: dict[str, dict[tuple[bool, str], _Line]] = {}
        self._version = 0
        self.refused = 0
        """Records that are no trade, or of no session: landed, and rejected by the lake."""

    def take(self, record: Record) -> None:
        """Take a record."""
        found = self._judge.fields(self._judge.record(record.value, REALTIME))
        arrival = None if "reason" in found else self._arrival(found, record)
        if arrival is None:
            self.refused += 1
            return
        lines = self._lines.setdefault(arrival.symbol, {})
        line = lines.setdefault((arrival.trade.simulated, found["source"]), _Line())
        self._version += 1
        if arrival.action == "new":
            self._add_trade(line, arrival, record.kafka_ms)
        else:
            self._add_revision(line, arrival)

    def since(self, symbol: str, seen: Seen) -> tuple[dict[str, Any], Seen] | None:
        """Return what has changed of a symbol, conflated, and up to where; None where nothing has.

        ``last`` is the newest trade that stands (None: none does), ``candles`` the minutes that
        have changed, in order.
        """
        lines = self._lines.get(symbol)
        if not lines:
            return None
        # False before True: real before simulated. Ties keep the order of arrival.
        (simulated, source), line = min(lines.items(), key=lambda item: item[0][0])
        changed = [one for one in line.minutes.values() if one.version > seen.version]
        if not changed and line.trades <= seen.trades:
            return None
        shown = {
            "symbol": symbol,
            "source": source,
            "simulated": simulated,
            "conflated": max(0, line.trades - seen.trades - 1),
            "last": _last(line),
            "candles": [one.shown() for one in sorted(changed, key=lambda one: one.start_us)],
        }
        return shown, Seen(self._version, line.trades)

    def forget(self) -> None:
        """Drop everything: records were missed."""
        self._lines.clear()

    def _arrival(self, found: Mapping[str, Any], record: Record) -> Arrival | None:
        session = self._calendar.session_of(_moment(found["event_at"]))
        if session is None:
            return None
        trade = Trade(
            at=found["event_at"],
            seq=found["seq"],
            partition=record.partition,
            offset=record.offset,
            price=int(found["price"] * MILLIONTHS),
            size=int(found["size"] * MILLIONTHS),
            event_id=found["event_id"],
            fetched=found["fetched_at"],
            simulated=found["simulated"],
        )
        return Arrival(
            symbol=found["symbol"],
            day=session.session_date.toordinal() - _EPOCH.toordinal(),
            open_at=_us(session.open_at),
            close_at=_us(session.close_at),
            action=found["action"],
            ref=found["ref"],
            opening=OPENING_AUCTION in found["conditions"],
            closing=CLOSING_AUCTION in found["conditions"],
            sent=record.kafka_ms * 1000,
            trade=trade,
        )

    def _add_trade(self, line: _Line, arrival: Arrival, kafka_ms: int) -> None:
        minute, trade = self._minute(line, arrival), arrival.trade
        if trade.event_id in minute.trades:
            return  # sent again
        minute.trades[trade.event_id] = trade
        minute.kafka_ms[trade.event_id] = kafka_ms
        for counted in effective([trade], _revised(line, minute.day)):
            minute.add(counted)
            line.trades += 1
        minute.version = self._version

    def _add_revision(self, line: _Line, arrival: Arrival) -> None:
        event_id = arrival.trade.event_id
        line.revisions.setdefault(event_id, arrival.revision())
        root = roots_of(line.revisions)[event_id]
        for minute in line.minutes.values():
            if root in minute.trades:
                minute.count_again(_revised(line, minute.day))
                minute.version = self._version

    def _minute(self, line: _Line, arrival: Arrival) -> Minute:
        """Return the minute whose bar a trade is of, the newest touched last."""
        session = Session(arrival.open_at, arrival.close_at, [], 0, 0, {}, [])
        key = session.bar(place(arrival, session))
        where = arrival.day, key
        if where not in line.minutes:
            start = session.start(key)
            before = next(reversed(line.minutes.values()), None)
            # After a step forward from an earlier minute nothing of this one can have been missed.
            is_partial = before is None or before.start_us > start
            line.minutes[where] = Minute(arrival.day, start, session.end(key), key[0], is_partial)
            self._drop_old(line)
        line.minutes.move_to_end(where)
        return line.minutes[where]

    def _drop_old(self, line: _Line) -> None:
        if len(line.minutes) <= _MINUTES:
            return
        line.minutes.popitem(last=False)
        kept = {event_id for one in line.minutes.values() for event_id in one.trades}
        roots = roots_of(line.revisions)
        line.revisions = {k: one for k, one in line.revisions.items() if roots[k] in kept}


def _revised(line: _Line, day: int) -> dict[str, Revision]:
    """Return the latest revision of each trade of a session, by the trade's event_id."""
    if not line.revisions:
        return {}
    until = day + CORRECTED_WITHIN_DAYS
    return newest({k: one for k, one in line.revisions.items() if day <= one.day <= until})


def _last(line: _Line) -> dict[str, Any] | None:
    """Return the newest trade of the newest minute: one that came late is not the last one."""
    minutes = [one for one in line.minutes.values() if one.last is not None]
    if not minutes:
        return None
    minute = max(minutes, key=lambda one: one.start_us)
    trade = minute.last
    assert trade is not None  # noqa: S101 - chosen so above
    return {
        "price": trade.price / MILLIONTHS,
        "size": trade.size / MILLIONTHS,
        "event_ms": trade.at // 1000,
        "kafka_ms": minute.kafka_ms[trade.event_id],
    }


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
