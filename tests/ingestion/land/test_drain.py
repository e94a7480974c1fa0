"""How far bronze is behind Kafka, and what asking costs where bronze is old."""

import pytest

from ingestion.land import drain
from ingestion.land.protocol import Partition
from ingestion.land.store import BronzeStore
from tests.ingestion.land.history import RECORDS, History
from tests.ingestion.land.world import GENERATION

OBJECTS = 50_000  # in each of two partitions
LAST = RECORDS * (OBJECTS - 1)
END = RECORDS * OBJECTS


@pytest.fixture(scope="module")
def long() -> History:
    return History.of(OBJECTS)


@pytest.fixture
def history(long: History) -> History:
    return History(list(long.keys))


def missing(history: History, store: BronzeStore, end: int) -> list[int]:
    targets = dict.fromkeys(history.places, end)
    return [row.missing for row in drain.progress(history.questions(), store, targets)]


def test_each_look_lists_only_what_came_since_the_one_before(history: History) -> None:
    store, [first, _] = history.store(), history.places
    assert missing(history, store, END + 5) == [5, 5]
    assert history.asked() == 100

    assert missing(history, store, END + 5) == [5, 5]
    assert history.asked() == 2, "one page a partition"

    history.land(first, [OBJECTS])
    assert missing(history, store, END + 5) == [0, 5]
    assert history.asked() == 2


def test_the_first_look_begins_where_the_landers_have_committed(history: History) -> None:
    history.commit(LAST - 7 * RECORDS)

    assert missing(history, history.store(), END + 5) == [5, 5]
    assert history.asked() == 2


@pytest.mark.parametrize("hint", [0, LAST, LAST + RECORDS, 3 * END])
def test_whatever_the_landers_have_committed_the_end_is_that_of_storage(
    history: History, hint: int
) -> None:
    history.commit(hint)

    assert missing(history, history.store(), END) == [0, 0]


def test_an_object_that_was_seen_and_is_gone_is_not_counted(history: History) -> None:
    store = history.store()
    assert missing(history, store, END) == [0, 0]
    history.keys.remove(history.keys[-1])

    assert missing(history, store, END) == [0, RECORDS]


def test_an_empty_partition_ends_at_its_beginning() -> None:
    history = History()

    assert missing(history, history.store(), 3) == [3, 3]


def test_a_topic_created_anew_has_a_chain_of_its_own(history: History) -> None:
    store, place = history.store(), Partition(*history.places[0])
    assert store.chain_end(place, GENERATION) == END

    assert store.chain_end(place, "b" * 32) == 0
