from collections.abc import Iterator
from queue import Queue

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
