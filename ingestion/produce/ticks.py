"""A source that may be silent, so that what waits behind it does not wait for its next word."""

from collections.abc import Iterable, Iterator
from queue import Empty, Queue
from threading import Thread
from typing import Final, TypeVar

TICK_S: Final = 0.1

T = TypeVar("T")


class _End:
    """The source has ended, or broken off with an error."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ticking(source: Iterable[T]) -> Iterator[T | None]:
    """Return what a source gives, and None where it has been silent for a tenth of a second.

    A thread reads at most one item ahead; it ends with the process when the source stays silent.
    """
    items: Queue[T | _End] = Queue(maxsize=1)
    Thread(target=_read, args=(source, items), name="source", daemon=True).start()
    while True:
        try:
            item = items.get(timeout=TICK_S)
        except Empty:
            yield None
            continue
        if not isinstance(item, _End):
            yield item
        elif item.error is None:
            return
        else:
            raise item.error


def _read(source: Iterable[T], items: "Queue[T | _End]") -> None:
    try:
        for item in source:
            items.put(item)
        items.put(_End())
    except BaseException as error:  # raised where the items are read
        items.put(_End(error))
