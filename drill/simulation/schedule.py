"""Virtual time: what is to happen, in order. Nothing here waits."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_EPOCH: Final = datetime(2026, 1, 5, tzinfo=UTC)


class Schedule:
    """A queue of callbacks by virtual second; equal seconds keep the order of their arrival."""

    def __init__(self) -> None:
        self.now = 0.0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, delay: float, do: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
        """Have ``do`` called in ``delay`` virtual seconds."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay, self._count, do, arguments))

    def run(self, until: float, is_over: Callable[[], bool] | None = None) -> None:
        """Let time pass to ``until``, or to the event after which ``is_over``.

        A callback may call this itself: a process that blocks lets the others go on. It then
        returns late when one that it let go on blocks for longer.
        """
        queue = self._queue
        while queue and queue[0][0] <= until:
            if is_over is not None and is_over():
                return
            when, _, do, arguments = heapq.heappop(queue)
            self.now = max(self.now, when)
            do(*arguments)
        if is_over is None or not is_over():
            self.now = max(self.now, until)

    def drain(self) -> None:
        """Let everything happen that is left."""
        while self._queue:
            self.run(self._queue[0][0])


class SimulatedClock:
    """The clocks of the machines: one monotonic, and a wall clock that jumps."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._jumped = 0.0

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self._jumped += seconds

    def now(self) -> datetime:
        return _EPOCH + timedelta(seconds=self._schedule.now + self._jumped)

    def monotonic(self) -> float:
        return self._schedule.now

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"expected nobody to sleep in the simulation, found {seconds} s")
