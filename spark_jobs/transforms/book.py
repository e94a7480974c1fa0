"""One symbol of one source in the stream's state: its minutes, and the trades of those that form.

A minute forms while its trades are kept; it is closed, and only its moments stay, when the clock of
the Kafka partitions that its trades came from has passed its end by the lateness. What comes for a
closed minute is late.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Protocol

import msgspec

from spark_jobs.transforms.moments import (
    Revision,
    Trade,
    effective,
    moments,
    newest,
    nothing,
    roots_of,
)
from spark_jobs.transforms.roots import CORRECTED_WITHIN_DAYS
from spark_jobs.transforms.segments import MINUTE_US
from spark_jobs.transforms.sitting import Arrival, Key, News, Place, Session, place

_DAY_US: Final = 24 * 60 * MINUTE_US
# A local date has ended everywhere 48 hours after it began in UTC.
_LOCAL_DATE_US: Final = 2 * _DAY_US


class Memory(Protocol):
    """Where the state lies: bytes by symbol, and by symbol, session and minute."""

    def symbol(self, name: str) -> bytes | None: ...
    def keep_symbol(self, name: str, state: bytes) -> None: ...
    def drop_symbol(self, name: str) -> None: ...
    def trades(self, name: str, day: int, key: Key) -> bytes | None: ...
    def keep_trades(self, name: str, day: int, key: Key, trades: bytes) -> None: ...
    def drop_trades(self, name: str, day: int, key: Key) -> None: ...


class _State(msgspec.Struct, array_like=True):
    sessions: dict[int, Session]
    revisions: dict[str, Revision]


_states = msgspec.msgpack.Decoder(_State)
_trades = msgspec.msgpack.Decoder(list[Trade])
_encode = msgspec.msgpack.Encoder().encode


class Book:
    """A symbol's state during one batch; ``counts`` takes what did not become part of it.

    Use: ``add`` every record, then ``settle``, ``close``, ``news`` and ``save``, once each.
    ``forgotten`` is the last day whose session is over and gone; what comes for one up to then is
    late.
    """

    def __init__(
        self, name: str, memory: Memory, counts: Counter[str], forgotten: int | None = None
    ) -> None:
        self._name = name
        self._memory = memory
        self._counts = counts
        self.forgotten = forgotten
        found = memory.symbol(name)
        state = _State({}, {}) if found is None else _states.decode(found)
        self._sessions, self._revisions = state.sessions, state.revisions
        self._revised = self._newest()
        self._shapes = {day: session.shape() for day, session in self._sessions.items()}
        self._open: dict[Place, dict[str, Trade]] = {}
        self._new: set[Place] = set()
        self._changed_from: dict[int, int] = {}

    def add(self, arrival: Arrival, cut: int) -> None:
        """Take a record; ``cut`` is what its partition's clock had closed before this batch."""
        if arrival.action == "new":
            self._add_trade(arrival, cut)
        else:
            self._add_revision(arrival)

    def _add_trade(self, arrival: Arrival, cut: int) -> None:
        day, trade = arrival.day, arrival.trade
        session = self._sessions.get(day)
        gone = session is None and self.forgotten is not None and day <= self.forgotten
        if session is None:
            session = Session(arrival.open_at, arrival.close_at, [], cut, cut, {}, [])
        key = place(arrival, session)
        if gone or session.end(key) <= session.closed:
            self._counts["late"] += 1
            return
        self._sessions[day] = session
        known = self._trades((day, key))
        if trade.event_id in known:
            self._counts["duplicate"] += 1
            return
        known[trade.event_id] = trade
        self._new.add((day, key))
        if key not in session.forming:
            session.forming.append(key)
        if trade.partition not in session.partitions:
            session.partitions.append(trade.partition)

    def _add_revision(self, arrival: Arrival) -> None:
        sent = arrival.trade
        if sent.event_id in self._revisions:
            self._counts["duplicate"] += 1
            return
        self._revisions[sent.event_id] = arrival.revision()

    def settle(self) -> None:
        """Compute anew every minute that a trade or a revision has changed."""
        revised = self._newest()
        touched: defaultdict[int, set[Key]] = defaultdict(set)
        for day, key in self._new:
            touched[day].add(key)
        for day, mine in revised.items():
            before = self._revised.get(day, {})
            changed = {root for root, one in mine.items() if before.get(root) != one}
            touched[day] |= self._holding(day, changed)
        for day, keys in touched.items():
            if keys:
                self._compute_all(day, sorted(keys), revised.get(day, {}))

    def _newest(self) -> dict[int, dict[str, Revision]]:
        """Return the latest revision of each trade, by the trade's session."""
        return {day: newest(self._about(day)) for day in self._sessions}

    def _about(self, day: int) -> dict[str, Revision]:
        """Return what may change a session's trades, by the day that it is stamped in."""
        until = day + CORRECTED_WITHIN_DAYS
        return {name: one for name, one in self._revisions.items() if day <= one.day <= until}

    def _holding(self, day: int, ids: Collection[str | None]) -> set[Key]:
        """Return the forming minutes of a session that hold one of these trades."""
        if day not in self._sessions or not ids:
            return set()
        forming = self._sessions[day].forming
        return {key for key in forming if not self._trades((day, key)).keys().isdisjoint(ids)}

    def _compute_all(self, day: int, keys: list[Key], revised: dict[str, Revision]) -> None:
        session = self._sessions[day]
        for key in keys:
            self._compute(day, key, revised)
            after = session.after(key)
            # The first return of a minute is against the last price before it.
            if after is not None and after not in keys:
                self._compute(day, after, revised)
        first = min(session.start(session.bar(key)) for key in keys)
        reshaped = session.shape() != self._shapes.get(day)
        self._changed_from[day] = min(first, session.open_at) if reshaped else first

    def _compute(self, day: int, key: Key, revised: dict[str, Revision]) -> None:
        session = self._sessions[day]
        trades = effective(self._trades((day, key)).values(), revised)
        if not trades:
            if key in session.minutes:
                session.minutes[key] = nothing(session.minutes[key])
            return
        last = session.before(key)
        before = None if last is None else session.minutes[last].close
        session.minutes[key] = moments(trades, before)

    def close(self, cuts: Mapping[int, int]) -> None:
        """Close the minutes that the clocks have passed.

        Args:
            cuts: what the clock of each partition closes.
        """
        for day, session in self._sessions.items():
            cut = min(cuts[partition] for partition in session.partitions)
            for key in [key for key in session.forming if session.end(key) <= cut]:
                self._close_minute(session, (day, key))
            session.closed = max(session.closed, cut)
        if self._revisions:
            self._expire(cuts)

    def _close_minute(self, session: Session, where: Place) -> None:
        revisions = self._about(where[0])
        trades = self._trades(where) if revisions else {}
        for revision, root in roots_of(revisions).items():
            if root in trades:
                del self._revisions[revision]
        session.forming.remove(where[1])
        self._drop(where)

    def _expire(self, cuts: Mapping[int, int]) -> None:
        """Count and forget the revisions whose trade is closed, or will never come."""
        for name, one in [*self._revisions.items()]:
            # A trade is older than the fetch of its revision.
            if one.fetched + MINUTE_US > cuts[one.partition]:
                continue
            if not self._awaits(name, one.day):
                del self._revisions[name]
                self._counts["unmatched"] += 1

    def _awaits(self, name: str, stamped: int) -> bool:
        """Return whether a revision's trade is in a minute that forms."""
        days = [d for d in self._sessions if d <= stamped <= d + CORRECTED_WITHIN_DAYS]
        return any(self._holding(day, {roots_of(self._about(day))[name]}) for day in days)

    def news(self, final: int) -> Iterator[News]:
        """Tell the sessions with rows that have changed, or have become final up to ``final``."""
        for day, session in self._sessions.items():
            changed_from = self._changed_from.get(day)
            if changed_from is not None or session.has_end_within(session.final, final):
                yield News(self._name, day, session, changed_from, session.final, final)
                session.final = max(session.final, final)

    def save(self) -> None:
        """Keep the state, without the sessions that are over: all their minutes are closed."""
        for day in [day for day in self._sessions if self._is_over(day)]:
            del self._sessions[day]
            self.forgotten = day if self.forgotten is None else max(day, self.forgotten)
        for day, key in self._new:
            trades = _encode([*self._open[day, key].values()])
            self._memory.keep_trades(self._name, day, key, trades)
        if self._sessions or self._revisions:
            state = _State(self._sessions, self._revisions)
            self._memory.keep_symbol(self._name, _encode(state))
        else:
            self._memory.drop_symbol(self._name)

    def _is_over(self, day: int) -> bool:
        return self._sessions[day].closed >= day * _DAY_US + _LOCAL_DATE_US

    def _trades(self, where: Place) -> dict[str, Trade]:
        if where not in self._open:
            kept = self._memory.trades(self._name, *where)
            trades = [] if kept is None else _trades.decode(kept)
            self._open[where] = {trade.event_id: trade for trade in trades}
        return self._open[where]

    def _drop(self, where: Place) -> None:
        self._open.pop(where, None)
        self._new.discard(where)
        self._memory.drop_trades(self._name, *where)
