"""What producers wrote ahead, against Kafka, bronze and the lake; plants are in test_plants."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audit.model import Check, Verdict
from audit.report import render
from tests.audit.test_behind import late, without_the_last_object
from tests.audit.test_command import audit
from tests.audit.test_plants import Line, lake_position_behind, violated, without
from tests.audit.world import BATCH, LAYOUT, QUOTES, World, event_id, ledger_id

pytestmark = pytest.mark.integration

EARLIER = "f" * 32


def ledgers(verdict: Verdict, name: str) -> list[Check]:
    return [check for check in verdict.checks if check.name == f"ledger.{name}"]


def judged(verdict: Verdict) -> int:
    return sum(int(check.expected or 0) for check in ledgers(verdict, "acked"))


def test_every_confirmation_is_found_and_what_is_open_is_counted(world: World) -> None:
    verdict = world.audit(stages=("ledger",), is_complete=True)
    assert verdict.verdict == "ok", render(verdict)
    found = {(check.topic, check.partition): check.found for check in ledgers(verdict, "acked")}
    expected = {**LAYOUT, ("stock-quotes", 2): 7, ("stock-market-realtime", 3): 1}
    assert found == expected, "one of the quotes was never confirmed"
    assert judged(verdict) == sum(line["op"] == "acked" for line in world.ledger_lines())
    (counted,) = ledgers(verdict, "unknown")
    assert counted.detail == (
        "1 intended without outcome, 2 unknown, 1 failed;"
        " 1 of the 3 that may have been written are in Kafka"
    )


def test_a_ledger_that_is_not_complete_accuses_no_record(world: World) -> None:
    with without("intend", "acked")(world):
        verdict = world.audit(stages=("ledger",))
    assert verdict.verdict == "ok", render(verdict)


def test_the_verdict_says_how_many_confirmations_were_judged_lost_or_not(world: World) -> None:
    def elsewhere(line: Line) -> list[Line]:
        is_it = line["op"] == "acked" and line["id"] == ledger_id(BATCH, 0, 0)
        return [line | {"partition": 5} if is_it else line]

    count = sum(line["op"] == "acked" for line in world.ledger_lines())
    with world.ledger(elsewhere), world.instead(world.key(BATCH, 0, 4)):
        verdict = world.audit(stages=("ledger",))
    lacking = {
        (one.partition, one.detail.partition(" acked, ")[2]): (one.expected, one.found)
        for one in violated(verdict, "ledger.acked")
    }
    assert judged(verdict) == count, lacking
    text = "not in bronze (one is id "
    (lost,) = [counts for (place, said), counts in lacking.items() if place == 0 and text in said]
    assert lost == (9, 5)


def test_what_landing_and_the_lake_have_not_come_to_is_behind(world: World) -> None:
    with without_the_last_object(world):
        assert late(world.audit(stages=("ledger",))) == {"ledger.acked": [8, 9]}
    world.audit(stages=("bronze",))  # remembers the objects again
    with lake_position_behind(world), without_row(world, 0, 9):
        assert late(world.audit(stages=("ledger",))) == {"ledger.once": [event_id(0, 9)]}


@contextmanager
def without_row(world: World, partition: int, offset: int) -> Iterator[None]:
    with world.lake("silver.bars") as table:
        table.delete(f"partition = {partition} and offset = {offset}")
        yield


def test_an_id_that_was_sent_again_may_be_there_as_often(world: World) -> None:
    def again(line: Line) -> list[Line]:
        is_it = line["op"] == "intend" and line["id"] == ledger_id(BATCH, 0, 7)
        return [line, line] if is_it else [line]

    extra = world.object(BATCH, 0, 7, 8, [7])
    world.put(extra)
    with world.ledger(again):
        verdict = world.audit(stages=("ledger",))
    world.erase(extra.key)
    assert verdict.verdict == "ok", render(verdict)
    (told,) = [check for check in ledgers(verdict, "once") if check.detail]
    assert told.detail == f"{BATCH}: 1 values sent again are 2 times in bronze"


def test_an_earlier_life_of_a_topic_proves_what_it_landed(world: World) -> None:
    value = world.value(QUOTES, 0, 0)
    place = {"topic": QUOTES, "partition": 0, "offset": 0}

    def before(line: Line) -> list[Line]:
        sent = [World.intent("old", QUOTES, value), {"op": "acked", "id": "old", **place}]
        return [line, *sent] if line["op"] == "open" else [line]

    present = world.object(QUOTES, 0, 0, 1, [0])
    key = present.key.replace(world.generations[QUOTES], EARLIER)
    with world.ledger(before):
        lost = world.audit(stages=("ledger",))
        world.put(world.stored(key, world.line(QUOTES, 0, 0), 1, [0]))
        landed = world.audit(stages=("ledger",))
        world.erase(key)
    assert [check.examples for check in violated(lost, "ledger.acked")] == [(0,)]
    assert landed.verdict == "ok", render(landed)
    (told,) = [
        check
        for check in ledgers(landed, "acked")
        if check.partition == 0 and check.topic == QUOTES
    ]
    assert told.detail == f"{QUOTES}/0: 1 are of an earlier life of the topic"


def test_a_malformed_line_makes_the_stage_unknown_with_its_number(world: World) -> None:
    file = world.settings.state("ledger", "r.jsonl")
    file.write_text(json.dumps(world.ledger_lines()[0]) + "\nnonsense\n")
    found = audit(world.env_file, "--stage", "ledger")
    world.write_ledger()
    assert found.returncode == 2
    assert f"unknown   ledger.read: {file}, line 2: expected a ledger line" in found.stdout


def test_a_ledger_that_is_asked_for_and_not_there_is_unknown(world: World) -> None:
    found = audit(world.env_file, "--stage", "ledger", "--ledger", "/nowhere")
    assert found.returncode == 2
    assert "the ledger /nowhere cannot be read: no such folder" in found.stdout


@pytest.mark.parametrize("text", [None, '{"op":"op', "intents"])
def test_a_ledger_that_is_asked_for_and_confirms_nothing_is_unknown(
    world: World, tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        lines = [line for line in world.ledger_lines() if line["op"] in ("open", "intend")]
        whole = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / "r.jsonl").write_text(whole if text == "intents" else text)
    found = audit(world.env_file, "--stage", "kafka", "--stage", "ledger", "--ledger", tmp_path)
    assert found.returncode == 2, found.stdout
    count = 0 if text is None else 1
    said = f"expected a confirmation in {tmp_path}, found none in {count} files"
    assert f"unknown   ledger.due: {said}" in found.stdout


def test_a_ledger_that_only_happens_to_be_there_may_be_empty(world: World, tmp_path: Path) -> None:
    verdict = world.audit(stages=("kafka", "ledger"), ledger=tmp_path)
    assert verdict.verdict == "ok", render(verdict)
