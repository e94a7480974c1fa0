"""A session of one symbol as the stream keeps it: its minutes, and how far it has been read."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import msgspec

from spark_jobs.transforms.moments import Moments, Revision, Trade
from spark_jobs.transforms.segments import (
    AUCTION_MINUTES,
    CLOSING,
    MINUTE_US,
    OPENING,
    POST,
    PRE,
    REGULAR,
)

_GRID_US: Final = 5 * MINUTE_US

Key = tuple[str, int]
"""A minute of a session: segment and number, as in ``minutes.COLUMNS``."""
Place = tuple[int, Key]
"""A minute of the session of a day, which counts from 1970."""


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A trade, or a revision of one, with its place in the calendar.

    Times are microseconds since 1970, ``day`` days; ``sent`` is Kafka's timestamp.
    """

    symbol: str
    day: int
    open_at: int
    close_at: int
    action: str
    ref: str | None
    opening: bool
    closing: bool
    sent: int
    trade: Trade

    def revision(self) -> Revision:
        """Return the revision that this is."""
        trade = self.trade
        return Revision(
            event_id=trade.event_id,
            day=self.day,
            ref=self.ref or "",
            cancels=self.action == "cancel",
            price=trade.price,
            size=trade.size,
            fetched=trade.fetched,
            sent=self.sent,
            partition=trade.partition,
            offset=trade.offset,
        )


class Session(msgspec.Struct, array_like=True):
    """A session's minutes. What ends at or before ``closed`` is closed, before ``final`` told."""

    open_at: int
    close_at: int
    partitions: list[int]
    closed: int
    final: int
    minutes: dict[Key, Moments]
    forming: list[Key]

    @property
    def n_minutes(self) -> int:
        """The minutes of regular hours, the last one begun counted."""
        return -((self.open_at - self.close_at) // MINUTE_US)

    def start(self, key: Key) -> int:
        """Return a minute's first instant."""
        segment, number = key
        if segment in (CLOSING, POST):
            return self.close_at + (number - self.n_minutes) * MINUTE_US
        return self.open_at + number * MINUTE_US

    def end(self, key: Key) -> int:
        """Return a minute's end; a close within a minute cuts it."""
        end = self.start(key) + MINUTE_US
        return min(end, self.close_at) if key[0] == REGULAR else end

    def bar(self, key: Key) -> Key:
        """Return the minute whose bar a minute's trades enter: an auction's is a regular one."""
        if key[0] == OPENING:
            return REGULAR, 0
        if key[0] == CLOSING:
            return REGULAR, self.n_minutes - 1
        return key

    def before(self, key: Key) -> Key | None:
        """Return the last minute with a trade before this one, in its segment."""
        return max((one for one in self._traded(key[0]) if one < key), default=None)

    def after(self, key: Key) -> Key | None:
        """Return the first minute with a trade after this one, in its segment."""
        return min((one for one in self._traded(key[0]) if one > key), default=None)

    def shape(self) -> tuple[bool, bool]:
        """Return what every window of the session depends on: any regular trade, any simulated."""
        traded = [*self._traded(REGULAR)]
        return bool(traded), any(self.minutes[key].simulated for key in traded)

    def _traded(self, segment: str) -> Iterator[Key]:
        return (key for key, one in self.minutes.items() if key[0] == segment and one.n)

    def has_end_within(self, after: int, until: int) -> bool:
        """Return whether a minute or a window ends after one moment and not after another."""
        if self._windows_ended(after) < self._windows_ended(until):
            return True
        return any(after < self.end(self.bar(key)) <= until for key in self.minutes)

    def _windows_ended(self, moment: int) -> int:
        last = -((self.open_at - self.close_at) // _GRID_US)
        return min(max((moment - self.open_at) // _GRID_US, 0), last)


@dataclass(frozen=True)
class News:
    """A session of which rows are to be written.

    They are those that end after ``changed_from`` (None: nothing has changed), and those that end
    after ``final_from`` and not after ``final_to``: they have become final.
    """

    symbol: str
    day: int
    session: Session
    changed_from: int | None
    final_from: int
    final_to: int

    def wants(self, end: int) -> bool:
        """Return whether rows that end at a moment are among those."""
        changed = self.changed_from is not None and end > self.changed_from
        return changed or self.final_from < end <= self.final_to


def place(arrival: Arrival, session: Session) -> Key:
    """Return the minute of a session that a trade belongs to."""
    at = arrival.trade.at
    if at < session.open_at:
        near = session.open_at - at <= AUCTION_MINUTES * MINUTE_US
        segment = OPENING if arrival.opening and near else PRE
        return segment, (at - session.open_at) // MINUTE_US
    if at >= session.close_at:
        near = at - session.close_at <= AUCTION_MINUTES * MINUTE_US
        segment = CLOSING if arrival.closing and near else POST
        return segment, session.n_minutes + (at - session.close_at) // MINUTE_US
    return REGULAR, (at - session.open_at) // MINUTE_US
