"""How fast, and how long: a rate to keep and a wish to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ingestion.clock import Clock

# A wait is cut into pieces so that a stop is noticed and Kafka's answers are fetched meanwhile.
SLICE_S = 0.2


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
