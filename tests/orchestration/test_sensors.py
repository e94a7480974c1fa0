"""What waits: the triggers against sides that come, go and refuse."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.sdk.module_loading import import_string
from airflow.triggers.base import BaseTrigger

from ingestion.errors import ChainError, StoreUnavailableError
from ingestion.land.drain import Progress
from ingestion.land.protocol import Partition
from orchestration import sensors, watch
from orchestration.arrived import Arrived
from orchestration.landed import Bronze, Target
from orchestration.sensors import ArrivalSensor, ArrivalTrigger, LandedSensor, LandedTrigger
from orchestration.watch import BronzeWatch

TARGETS = [["stock-quotes", "aa", 0, 40], ["stock-quotes", "aa", 1, 2]]
LATER = "2026-11-25T15:00:00+00:00"
ENDS = {"stock-quotes/aa/0": 40, "stock-quotes/aa/1": 2}


class Side:
    """Answers one after the other, the last one for ever; an error is raised."""

    def __init__(self, *answers: int | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, *_: object) -> int:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def behind(self, _: Sequence[Target]) -> list[Progress]:
        missing = self()
        return [Progress(Partition("stock-quotes", 0), 40 - missing, 40)] if missing else []

    def look(self) -> Arrived:
        return Arrived(self(), ENDS)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "_PERIOD_S", 0)
    monkeypatch.setattr(sensors, "_ARRIVAL_PERIOD_S", 0)
    monkeypatch.setattr(watch, "_PERIOD_S", 0)
    monkeypatch.setattr(watch, "_AT_MOST_EVERY_S", 0)


def event(trigger: BaseTrigger) -> dict[str, Any]:
    async def first() -> dict[str, Any]:
        async for found in trigger.run():
            return cast("dict[str, Any]", found.payload)
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(asyncio.wait_for(first(), 20))


def landed(side: Side, until: datetime | None = None) -> dict[str, Any]:
    until = until or later()
    return event(LandedTrigger(TARGETS, until.isoformat(), lambda: cast("Bronze", side)))


def arrival(side: Side, until: datetime) -> dict[str, Any]:
    open_side = cast("Any", lambda _topic, _table: side)
    return event(ArrivalTrigger("t", "silver.trades", until.isoformat(), open_side))


def later() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_it_waits_until_nothing_is_missing() -> None:
    side = Side(3, 1, 0)

    assert landed(side) == {"ends": ENDS}
    assert side.asked == 3


def test_a_side_that_is_away_is_asked_again() -> None:
    side = Side(StoreUnavailableError("away"), 1, StoreUnavailableError("away"), 0)

    assert landed(side) == {"ends": ENDS}
    assert side.asked == 4


def test_what_no_waiting_helps_against_ends_it() -> None:
    assert landed(Side(3, ChainError("a hole at 7"))) == {"error": "a hole at 7"}


def test_what_has_not_landed_in_time_is_named_and_not_tried_again() -> None:
    """Another try would wait for what has come meanwhile, ten minutes each."""
    found = landed(Side(3), datetime.now(UTC) + timedelta(seconds=0.2))

    assert found["error"].endswith("where Kafka ended: stock-quotes/0: expected 40, found 37")
    with pytest.raises(AirflowFailException, match="expected 40, found 37"):
        LandedSensor(task_id="consume").landed(cast("Context", {}), found)


def test_a_store_that_does_not_come_back_in_time_ends_it() -> None:
    side = Side(3, StoreUnavailableError("away"))

    assert landed(side, datetime.now(UTC) + timedelta(seconds=0.2)) == {"error": "away"}
    assert side.asked > 2


def test_the_triggerer_gives_up_before_airflow_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own limit on a deferred task is an error that is tried again."""
    targets = [Target(*one) for one in cast("Any", TARGETS)]
    monkeypatch.setattr(sensors, "_looked", lambda: (targets, Side(3).behind(targets)))
    began = datetime.now(UTC)

    with pytest.raises(TaskDeferred) as deferred:
        LandedSensor(task_id="consume").execute(cast("Context", {}))

    trigger, limit = deferred.value.trigger, deferred.value.timeout
    assert isinstance(trigger, LandedTrigger)
    waits = datetime.fromisoformat(trigger.until) - began
    assert timedelta(minutes=10) <= waits < timedelta(minutes=11)
    assert limit is not None
    assert limit >= waits + timedelta(minutes=5)


def test_an_arrival_ends_the_waiting() -> None:
    side = Side(0, 0, 250)

    assert arrival(side, later()) == {"waiting": 250, "ends": ENDS}
    assert side.asked == 3


def test_where_nothing_arrives_in_time_that_is_the_answer() -> None:
    assert arrival(Side(0), datetime.now(UTC)) == {"waiting": 0, "ends": ENDS}


def test_where_bronze_ended_is_what_the_run_s_gate_is_told() -> None:
    pushed: dict[str, Any] = {}
    sensor = ArrivalSensor(
        task_id="arrived", topic="t", table="silver.trades", patience=timedelta(minutes=1)
    )
    context = {"ti": SimpleNamespace(xcom_push=pushed.__setitem__)}

    assert sensor.arrived(cast("Context", context), {"waiting": 2, "ends": ENDS}) == 2
    assert pushed == {"report": ENDS}


def test_a_store_that_stays_away_until_the_end_is_an_error() -> None:
    side = Side(StoreUnavailableError("away"))

    assert arrival(side, datetime.now(UTC) + timedelta(seconds=0.2)) == {"error": "away"}
    assert side.asked > 1


def watched(count: int, *ends: int | Exception) -> list[dict[str, int]]:
    """Return what the watch tells first, while bronze ends there, one after the other."""
    side = Side(*ends)

    class Bronze:
        def chain_ends(self, topic: str) -> list[Target]:
            return [Target(topic, "aa", 0, side()), Target(topic, "aa", 1, 0)]

    async def first() -> list[dict[str, int]]:
        told: list[dict[str, int]] = []
        async for found in BronzeWatch("stock-quotes", cast("Any", Bronze)).run():
            told.append(found.payload["ends"])
            if len(told) == count:
                break
        return told

    return asyncio.run(asyncio.wait_for(first(), 20))


def test_the_watch_tells_of_what_is_there_and_of_each_growth() -> None:
    away = StoreUnavailableError("away")

    assert watched(3, 0, 5, 5, away, away, 5, 9, 9, 12) == [
        {"stock-quotes/aa/0": end} for end in (5, 9, 12)
    ]


def test_the_watch_outlives_whatever_bronze_says() -> None:
    assert watched(1, ChainError("a hole at 7"), 3) == [{"stock-quotes/aa/0": 3}]


@pytest.mark.parametrize(
    "trigger",
    [
        BronzeWatch("stock-quotes"),
        LandedTrigger(TARGETS, LATER),
        ArrivalTrigger("stock-market-realtime", "silver.trades", LATER),
    ],
)
def test_the_triggerer_makes_the_same_trigger_of_what_the_database_has(
    trigger: BaseTrigger,
) -> None:
    path, arguments = trigger.serialize()

    again = import_string(path)(**arguments)

    assert type(again) is type(trigger)
    assert again.serialize() == (path, arguments)


def test_targets_are_json() -> None:
    _, arguments = LandedTrigger(TARGETS, LATER).serialize()
    targets: Sequence[Sequence[Any]] = arguments["targets"]

    assert targets == TARGETS
    assert [Target(*one).end for one in targets] == [40, 2]
