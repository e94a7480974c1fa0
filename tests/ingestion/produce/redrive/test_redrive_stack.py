"""Dead letters and bronze on a real Kafka and store: once, also after a kill -9, byte for byte."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message, Producer

from ingestion.clock import SystemClock
from ingestion.contracts.topics import DEAD_LETTERS, QUOTES
from ingestion.produce import kafka as delivery
from ingestion.produce.kafka import Deliverer
from ingestion.produce.outgoing import of_refused
from ingestion.settings import ROOT, KafkaSettings
from ingestion.sources import message_line
from ingestion.sources.source import Refused
from tests.conftest import RunningStack, StackFactory, in_force
from tests.ingestion.contracts.samples import sample
from tests.ingestion.produce.conftest import Command
from tests.ingestion.produce.test_kafka import quiet, send_all
from tests.support import in_kafka, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
N_LETTERS = 3_000


@pytest.fixture(scope="module")
def own_stack(stack_factory: StackFactory) -> Iterator[RunningStack]:
    """Its topics hold what these tests put there, and nothing else."""
    running = stack_factory.make("redrive", ("kafka", "store"))
    with pytest.MonkeyPatch.context() as patch:
        yield in_force(running, patch)
    running.stack.down()


def body(number: int) -> bytes:
    event_id = f"00000000-0000-5000-8000-{number:012}"
    return json.dumps(
        sample("quote.v1") | {"symbol": f"S{number % 7}", "event_id": event_id}
    ).encode()


def stricter(body: bytes) -> Refused:
    return Refused(body, QUOTES, "contract", "expected a symbol of letters only")


def redrive(stack: RunningStack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return stack.run("ingestion", "redrive", *arguments)


def events() -> Counter[str]:
    """How often Kafka has each event."""
    return Counter(json.loads(message.value() or b"")["event_id"] for message in in_kafka([QUOTES]))


def all_of(message: Message) -> tuple[Any, ...]:
    return message.key(), message.value(), tuple(message.headers() or ())


def land(stack: RunningStack) -> None:
    landed = stack.run("ingestion", "land", "--once")
    assert landed.returncode == 0, landed.stderr


def test_a_bad_line_is_sent_once_when_it_passes(
    own_stack: RunningStack, ingestion: Command, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    lines.write_bytes(body(1) + b" \r\nnot json\n")
    raw = ("raw", "--file", str(lines), "--source", "partner")
    with pytest.MonkeyPatch.context() as patch:  # the release with the fault
        patch.setattr(message_line, "judge", stricter)
        assert ingestion("produce", *raw).returncode == 0
    assert in_kafka([QUOTES]) == []

    first, second = redrive(own_stack, "send", "--all"), redrive(own_stack, "send", "--all")
    land(own_stack)
    listed = redrive(own_stack, "list", "--from", "bronze", "--json")
    third = redrive(own_stack, "send", "--all", "--from", "bronze")

    for found in (first, second, third):
        assert found.returncode == 3, found.stderr
        assert "contract" in found.stdout
    (sent,) = in_kafka([QUOTES])
    assert (sent.key(), sent.value()) == (b"S1", body(1) + b" \r")
    states = [json.loads(line)["state"] for line in listed.stdout.splitlines()]
    assert states == ["redriven", "waiting"], listed.stderr
    assert len(in_kafka([DEAD_LETTERS])) == 3


def test_after_a_kill_every_event_is_there_and_none_more_than_twice(
    own_stack: RunningStack, tmp_path: Path
) -> None:
    before = events()
    config = delivery.configuration(KafkaSettings.load(), 30)
    ours = Deliverer(config, SystemClock(), quiet())
    numbers = range(100, 100 + N_LETTERS)
    refused = (Refused(body(number), QUOTES, "contract", "") for number in numbers)
    send_all(ours, (of_refused(one, "killed", "old", SystemClock()) for one in refused))
    ours.raise_undelivered()

    chosen = ("send", "--source", "killed")
    running = subprocess.Popen(
        [sys.executable, "-m", "ingestion", "redrive", *chosen],
        cwd=ROOT, env=os.environ | own_stack.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: events() != before, 90)
    finally:
        running.kill()
        running.wait()
    after_kill = (events() - before).total()
    again, third = redrive(own_stack, *chosen), redrive(own_stack, *chosen)

    assert running.returncode == -signal.SIGKILL, "it had ended before it was killed"
    assert again.returncode == third.returncode == 0, again.stderr
    found = events() - before
    assert len(found) == N_LETTERS, "an event was lost"
    assert max(found.values()) <= 2
    assert after_kill > 0, "it was killed before it sent anything"
    assert "sent 0, delivered 0" in third.stdout


def test_bronze_is_replayed_byte_for_byte(own_stack: RunningStack) -> None:
    headers = [("schema", b"quote.v1"), ("odd", None), ("bytes", b"\xff\x00"), ("schema", b"again")]
    producer = Producer(KafkaSettings.load().client("producer") | {"partitioner": "murmur2_random"})
    for value in (b' {"a":1.50}\r', b"\xff", b"", b"two\nlines", body(1)):
        producer.produce(QUOTES, value, b"REPLAY", headers=[*headers])
    assert producer.flush(30) == 0
    land(own_stack)
    before = in_kafka([QUOTES])
    here = [m for m in before if m.key() == b"REPLAY"]

    found = own_stack.run("ingestion", "produce", "recorded", "--bronze", QUOTES)

    assert found.returncode == 0, found.stderr
    after = in_kafka([QUOTES])
    assert len(after) == 2 * len(before)
    assert Counter(map(all_of, after)) == Counter(
        {k: 2 * n for k, n in Counter(map(all_of, before)).items()}
    )
    again = [m for m in after if m.key() == b"REPLAY"]
    assert {m.partition() for m in again} == {here[0].partition()}
    assert [*map(all_of, again)] == 2 * [*map(all_of, here)], "the partition's order is not kept"


def test_the_redriver_may_read_letters_and_nothing_else(own_stack: RunningStack) -> None:
    listed = redrive(own_stack, "list", "--limit", "1")
    wrong = subprocess.run(
        [sys.executable, "-m", "ingestion", "redrive", "list"],
        cwd=ROOT, env=os.environ | own_stack.environment | {"KAFKA_REDRIVER_PASSWORD": "wrong"},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert listed.returncode == 0, listed.stderr
    assert wrong.returncode == 1
    assert "KAFKA_REDRIVER_PASSWORD" in wrong.stderr
    assert wrong.stderr.count("\n") == 1
