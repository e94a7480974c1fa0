from collections.abc import Iterator
from queue import Queue
from threading import Event, Timer

import pytest

from ingestion.errors import SourceError
from ingestion.produce.ticks import ticking


def test_what_a_source_gives_comes_in_its_order_and_to_its_end() -> None:
    assert [n for n in ticking(range(100)) if n is not None] == list(range(100))


def test_silence_is_told_and_what_comes_after_it_still_comes() -> None:
    said: Queue[int] = Queue()
    ticks = ticking(iter(said.get, 0))

    assert next(ticks) is None
    said.put(1)
    assert next(n for n in ticks if n is not None) == 1
    said.put(0)
    assert [n for n in ticks if n is not None] == []


def test_an_error_of_the_source_comes_where_it_is_read() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise SourceError("broken off")

    ticks = (n for n in ticking(broken()) if n is not None)

    assert next(ticks) == 1
    with pytest.raises(SourceError, match="broken off"):
        next(ticks)


def test_closed_before_its_end_it_lets_the_source_finish_what_it_is_at() -> None:
    """What the source was about to give is not taken, and nothing further is asked of it."""
    is_asked, may_go_on, ended = Event(), Event(), []

    def slow() -> Iterator[int]:
        try:
            yield 1
            is_asked.set()
            may_go_on.wait(10)
            yield 2
            yield 3
        finally:
            ended.append(True)

    ticks = ticking(slow(), end_s=10.0)
    assert next(n for n in ticks if n is not None) == 1
    is_asked.wait(10)
    Timer(0.2, may_go_on.set).start()
    ticks.close()

    assert may_go_on.is_set(), "it was waited for"
    assert ended == [True]
