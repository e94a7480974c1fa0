"""The live producer against a real Kafka that goes away, and killed while it is away."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ingestion.contracts import envelope
from ingestion.produce.spool_file import contents
from ingestion.settings import ROOT
from tests.conftest import RunningStack, StackFactory, in_force
from tests.ingestion.produce.conftest import TOPICS
from tests.ingestion.produce.test_kafka import SYMBOLS, quote
from tests.support import in_kafka, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@dataclass
class Feed:
    """A live source: what it says goes through a pipe and cannot be read again."""

    stack: RunningStack
    ledger: Path
    said: int = 0
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def spool(self) -> Path:
        return self.stack.state_dir / "spool"

    def start(self) -> subprocess.Popen[bytes]:
        arguments = ["raw", "--file", "/dev/stdin", "--source", "feed", "--ledger", self.ledger]
        process = subprocess.Popen(
            [sys.executable, "-m", "ingestion", "produce", *arguments],
            cwd=ROOT, env=os.environ | self.stack.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.running.append(process)
        return process

    def say(self, process: subprocess.Popen[bytes], count: int) -> None:
        """Say so many quotes of five symbols; a quote's price is its number."""
        assert process.stdin
        for number in range(self.said, self.said + count):
            message = quote(SYMBOLS[number % 5], number, number % 60)
            process.stdin.write(envelope.encode(message) + b"\n")
        process.stdin.flush()
        self.said += count

    def end(self, process: subprocess.Popen[bytes]) -> str:
        out, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return out.decode()

    def holds(self, count: int) -> bool:
        return (self.spool / "spool.db").exists() and contents(self.spool).records == count

    def ledger_lines(self) -> list[dict[str, Any]]:
        texts = [path.read_text() for path in sorted(self.ledger.glob("*.jsonl"))]
        return [json.loads(line) for text in texts for line in text.splitlines()]


@pytest.fixture(scope="module")
def own_stack(stack_factory: StackFactory) -> Iterator[RunningStack]:
    running = stack_factory.make("spool", ("kafka",))
    with pytest.MonkeyPatch.context() as patch:
        yield in_force(running, patch)
    running.stack.down()


@pytest.fixture
def feed(own_stack: RunningStack, tmp_path: Path) -> Iterator[Feed]:
    made = Feed(own_stack, tmp_path / "ledger")
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


def sent() -> list[tuple[str, int, int, bytes]]:
    """Topic, partition, offset and value of everything in Kafka."""
    return sorted((m.topic(), m.partition(), m.offset(), m.value()) for m in in_kafka(TOPICS))


def said_in_order(records: list[tuple[str, int, int, bytes]]) -> dict[str, list[int]]:
    """The numbers of each symbol as they lie in Kafka, copies left out."""
    found: dict[str, list[int]] = defaultdict(list)
    for topic, _, _, value in records:
        if topic == "stock-quotes":
            message = envelope.decode(value)
            number = int(json.loads(value)["data"]["c"])
            if number not in found[message.symbol]:
                found[message.symbol].append(number)
    return found


def assert_nothing_is_missing(feed: Feed) -> None:
    records = sent()
    found = said_in_order(records)
    assert sorted(n for numbers in found.values() for n in numbers) == list(range(feed.said))
    for symbol, numbers in found.items():
        assert numbers == sorted(numbers), f"{symbol} has lost its order"
    values = {(t, p, o): json.loads(v)["event_id"] for t, p, o, v in records if t == "stock-quotes"}
    lines = feed.ledger_lines()
    acked = {
        (i["topic"], i["partition"], i["offset"]): i["id"] for i in lines if i["op"] == "acked"
    }
    assert acked.items() <= values.items()
    assert {i["id"] for i in lines if i["op"] == "intend"} == set(values.values())


def test_a_broker_that_goes_away_and_a_killed_producer_lose_nothing(feed: Feed) -> None:
    first = feed.start()
    feed.say(first, 500)
    wait_for(lambda: len(sent()) == 500, 90)
    wait_for(lambda: feed.holds(0), 90)

    feed.stack.stack.down()
    feed.say(first, 1_000)
    wait_for(lambda: feed.holds(1_000), 90)
    assert first.poll() is None, "it did not outlive its broker"
    first.send_signal(signal.SIGKILL)
    first.wait()

    second = feed.start()  # the broker is still away
    feed.say(second, 500)
    wait_for(lambda: feed.holds(1_500), 90)
    feed.stack.stack.up(("kafka",))
    feed.say(second, 500)
    wait_for(lambda: feed.holds(0), 90)
    said = feed.end(second)

    assert "delivered 2,000" in said, "what the killed one left is not among them"
    assert_nothing_is_missing(feed)


def test_what_a_killed_run_had_under_way_is_sent_by_drain(
    own_stack: RunningStack, tmp_path: Path
) -> None:
    before = len(sent())
    spool, ledger = tmp_path / "spool", tmp_path / "ledger"
    arguments = ["simulator", "--spool", str(spool), "--ledger", str(ledger)]
    running = subprocess.Popen(
        [sys.executable, "-m", "ingestion", "produce", *arguments],
        cwd=ROOT, env=os.environ | own_stack.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: len(sent()) > before, 90)
    finally:
        running.kill()
        running.wait()

    drained = own_stack.run(
        "ingestion", "produce", "spool", "drain", "--spool", str(spool), "--ledger", str(ledger)
    )

    assert drained.returncode == 0, drained.stderr
    assert contents(spool).records == 0
    lines = [
        json.loads(line)
        for path in ledger.glob("*.jsonl")
        for line in path.read_text().splitlines()
        if line.endswith("}")  # the killed run's last line may be torn
    ]
    ids = {json.loads(value)["event_id"] for *_, value in sent()}
    assert {line["id"] for line in lines if line["op"] == "intend"} <= ids
    assert running.returncode == -signal.SIGKILL, "it had ended before it was killed"
