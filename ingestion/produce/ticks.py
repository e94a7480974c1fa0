"""A source that may be silent, so that what waits behind it does not wait for its next word."""

from collections.abc import Generator, Iterable
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Final, Generic, TypeVar

TICK_S: Final = 0.1

T = TypeVar("T")


class _End:
    """The source has ended, or broken off with an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ticking(source: Iterable[T], end_s: float = 0.0) -> Generator[T | None, None, None]:
    """Return what a source gives, and None where it has been silent for a tenth of a second.

    A thread reads at most one item ahead; it ends with the process when the source stays silent.
    Closed before its end this waits ``end_s`` for the source to give its next item or to end.
    """
    reader = _Reader(source)
    reader.start()
    try:
        yield from reader.items()
    finally:
        reader.end(end_s)


class _Reader(Thread, Generic[T]):
    def __init__(self, source: Iterable[T]) -> None:
        super().__init__(name="source", daemon=True)
        self._source = source
        self._items: Queue[T | _End] = Queue(maxsize=1)
        self._is_closed = Event()

    def run(self) -> None:
        try:
            for item in self._source:
                if not self._is_put(item):
                    return
            self._is_put(_End())
        except BaseException as error:  # raised where the items are read
            self._is_put(_End(error))

    def items(self) -> Generator[T | None, None, None]:
        while True:
            try:
                item = self._items.get(timeout=TICK_S)
            except Empty:
                yield None
                continue
            if not isinstance(item, _End):
                yield item
            elif item.error is None:
                return
            else:
                raise item.error

    def end(self, wait_s: float) -> None:
        self._is_closed.set()
        self.join(wait_s)

    def _is_put(self, item: T | _End) -> bool:
        """Hand an item over; False once nobody takes any."""
        while not self._is_closed.is_set():
            try:
                self._items.put(item, timeout=TICK_S)
            except Full:
                continue
            return True
        return False
