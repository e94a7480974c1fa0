"""What the triggers ask of bronze, every few seconds and however old it is."""

import asyncio

import pytest

from orchestration import landed, watch
from orchestration.landed import Bronze
from orchestration.sensors import LandedTrigger
from orchestration.watch import BronzeWatch
from tests.ingestion.land.history import RECORDS, TOPIC, History
from tests.ingestion.land.world import GENERATION

LATER = "2126-01-01T00:00:00+00:00"
OBJECTS = 5_000  # in each of two partitions: ten pages together
END = RECORDS * OBJECTS


class Sides:
    def __init__(self, history: History) -> None:
        self.questions, self.store = history.questions(), history.store()


@pytest.fixture
def history(monkeypatch: pytest.MonkeyPatch) -> History:
    made = History.of(OBJECTS)
    made.commit(END - RECORDS)
    monkeypatch.setattr(landed, "open_sides", lambda *_: Sides(made))
    monkeypatch.setattr(watch, "_PERIOD_S", 0)
    monkeypatch.setattr(watch, "_AT_MOST_EVERY_S", 0)
    return made


def test_a_look_at_a_topic_costs_a_page_a_partition(history: History) -> None:
    bronze = Bronze()
    for _ in range(3):
        assert [one.end for one in bronze.chain_ends(TOPIC)] == [END, END]
        assert history.asked() == 2


def test_so_does_a_look_at_what_has_not_landed(history: History) -> None:
    bronze, targets = Bronze(), Bronze().chain_ends(TOPIC)
    history.asked()
    for _ in range(3):
        behind = bronze.behind([one._replace(end=one.end + 4) for one in targets])
        assert [one.missing for one in behind] == [4, 4]
        assert history.asked() == 2


def test_a_watch_that_goes_on_asking_lists_no_more_than_is_new(history: History) -> None:
    async def growth() -> list[int]:
        told: list[int] = []
        async for found in BronzeWatch(TOPIC).run():
            told.append(found.payload["ends"][f"{TOPIC}/{GENERATION}/1"])
            if len(told) == 3:
                break
            history.land(history.places[1], [OBJECTS + len(told) - 1])
        return told

    history.commits.clear()
    assert asyncio.run(asyncio.wait_for(growth(), 60)) == [END, END + RECORDS, END + 2 * RECORDS]
    assert history.asked() == 10 + 2 * 2, "all of it once"


def test_a_trigger_that_begins_lists_no_history(history: History) -> None:
    async def first() -> object:
        async for found in LandedTrigger([[TOPIC, GENERATION, 0, END]], LATER).run():
            return found.payload
        raise AssertionError("the trigger ended without an event")

    assert asyncio.run(asyncio.wait_for(first(), 60)) == {"ends": {f"{TOPIC}/{GENERATION}/0": END}}
    assert history.asked() == 1
