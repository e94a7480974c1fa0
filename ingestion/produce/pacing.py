"""How fast, and how long: a rate to keep and a wish to stop."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from math import inf
from types import FrameType
from typing import TypeVar

from ingestion.clock import Clock

# A wait is cut into pieces so that a stop is noticed and Kafka's answers are fetched meanwhile.
SLICE_S = 0.2
# What is due within a hundredth of a second goes together: nobody sees it, and a wait has a cost.
_GRAIN_S = 0.01

T = TypeVar("T")


class Stop:
    """Whether the run was asked to end."""

    def __init__(self) -> None:
        self.requested = False


@contextmanager
def stop_on_signal(given: Stop | None = None) -> Iterator[Stop]:
    """Turn SIGINT and SIGTERM into a wish; the second one has its usual effect."""
    stop = given or Stop()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        restore()

    for number in signals:
        signal.signal(number, request)
    try:
        yield stop
    finally:
        restore()


class Pacer:
    """Spreads records evenly: the n-th is due n / rate seconds after the first."""

    def __init__(self, clock: Clock, rate: float | None) -> None:
        self._clock = clock
        self._interval = 1 / rate if rate else 0.0
        self._due: float | None = None

    def wait(self) -> float:
        """Return the seconds until the next record is due, and sleep at most a slice of them.

        A caller sends when this returns 0. A run that fell behind by more than a slice does not
        catch up in a burst.
        """
        if not self._interval:
            return 0.0
        now = self._clock.monotonic()
        due = now if self._due is None else max(self._due, now - SLICE_S)
        self._due = due
        if due > now:
            self._clock.sleep(min(due - now, SLICE_S))
            return due - now
        self._due = due + self._interval
        return 0.0


def paced(
    timed: Iterable[tuple[datetime, T]],
    speed: float,
    clock: Clock,
    stop: Stop,
    max_wait_s: float = inf,
) -> Iterator[T | None]:
    """Return items in their own rhythm, ``speed`` times as fast; None while the next is not due.

    The wait before an item is its distance to the latest one before it, at most ``max_wait_s``. One
    that is out of order waits for nothing. Who fell behind by more than a slice does not catch up
    in a burst.
    """
    due, latest = clock.monotonic(), None
    for moment, item in timed:
        gap_s = 0.0 if latest is None else max(0.0, (moment - latest).total_seconds())
        latest = moment if latest is None else max(latest, moment)
        due = max(due, clock.monotonic() - SLICE_S) + min(gap_s / speed, max_wait_s)
        while not stop.requested and (left := due - clock.monotonic()) > _GRAIN_S:
            yield None  # first, so that what was given goes out before the wait
            clock.sleep(min(left, SLICE_S))
        if stop.requested:
            return
        yield item
