"""N lander processes on real Kafka and a real store, and what people and Prometheus see of them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from infra.local.supervisor import Supervisor
from ingestion.clock import SystemClock
from ingestion.contracts.topics import QUOTES
from ingestion.land.connection import Connection
from ingestion.land.protocol import Partition
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import ROOT, KafkaSettings, StoreSettings
from tests.conftest import RunningStack, in_force
from tests.ingestion.land.test_landing import (
    TOPICS,
    Bench,
    numbered,
    recreate_topics,
)
from tests.ingestion.land.test_metrics import Samples, assert_equal, free_port, sample, scrape
from tests.support import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
PARTITIONS = range(2)
NAMES = ["many-0", "many-1"]
COMMAND = [sys.executable, "-m", "ingestion", "land"]


@pytest.fixture(scope="module")
def bench(landing_stack: RunningStack) -> Iterator[Bench]:
    with pytest.MonkeyPatch.context() as patch:
        in_force(landing_stack, patch)
        recreate_topics(dict.fromkeys(TOPICS, len(PARTITIONS)))
        settings = StoreSettings.load()
        bronze = BronzeStore(connect(settings, "lander"), settings.bronze_bucket)
        questions = Questions(Connection(KafkaSettings.load(), SystemClock()))
        yield Bench(landing_stack, questions, bronze)


@dataclass
class Many:
    """Two landers under one parent; they are started where they do not run."""

    bench: Bench
    port: int
    parent: "subprocess.Popen[bytes] | None" = None

    def run(self) -> "subprocess.Popen[bytes]":
        if self.parent is None or self.parent.poll() is not None:
            environment = {**self.bench.stack.environment, "LAND_METRICS_PORT": str(self.port)}
            with (self.bench.stack.state_dir / "log" / "many.log").open("a") as log:
                self.parent = subprocess.Popen(
                    [*COMMAND, "--processes", "2", "--name", "many"],
                    cwd=ROOT,
                    env=os.environ | environment,
                    stderr=log,
                )
            wait_for(self._is_up, 120)
        return self.parent

    def _is_up(self) -> bool:
        assert self.parent is not None
        assert self.parent.poll() is None, "it ended: var/log/many.log of the stack says why"
        return all(has_its_half(self.bench, name) for name in NAMES)

    def stop(self) -> None:
        if self.parent is not None:
            self.parent.kill()
            self.parent.wait()
        wait_for(lambda: not landers_of(self.bench.stack), 20)


@pytest.fixture(scope="module")
def many(bench: Bench) -> Iterator[Many]:
    made = Many(bench, free_port(len(NAMES)))
    yield made
    made.stop()


@pytest.fixture
def parent(many: Many) -> "subprocess.Popen[bytes]":
    return many.run()


def has_its_half(bench: Bench, name: str) -> bool:
    rows = bench.status(name).get("partitions", [])
    return len(rows) == len(TOPICS) and all(row["phase"] == "following" for row in rows)


def landers_of(stack: RunningStack) -> list[psutil.Process]:
    """Return the lander processes of the stack, whoever their parent is."""
    return [process for process in psutil.process_iter() if _is_lander(process, stack)]


def _is_lander(process: psutil.Process, stack: RunningStack) -> bool:
    try:
        if "--follow-parent" not in process.cmdline():
            return False
        return process.environ().get("TAPEHOUSE_ENV_FILE") == str(stack.env_file)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def produce_everywhere(bench: Bench, count: int) -> None:
    producer = Producer(KafkaSettings.load().client("producer") | {"enable.idempotence": True})
    for place in bench.questions.partitions(TOPICS):
        for value in numbered(count):
            producer.produce(place.topic, value, partition=place.number)
    assert producer.flush(30) == 0


def ends_in_storage(bench: Bench) -> dict[Partition, int]:
    places = bench.questions.partitions(TOPICS)
    return {p: bench.store.chain_end(p, bench.questions.generation(p.topic)) for p in places}


def ends_in_kafka(bench: Bench) -> dict[Partition, int]:
    return {
        place: bench.questions.watermarks(place)[1] for place in bench.questions.partitions(TOPICS)
    }


def assert_exactly_once(bench: Bench) -> None:
    for place in bench.questions.partitions(TOPICS):
        assert bench.landed(*place) == bench.in_kafka(*place)
    assert bench.versions() == {1}


def look(stack: RunningStack) -> tuple[int, dict[str, Any]]:
    """Return the exit code of the command and what it says."""
    done = stack.run("ingestion", "status", "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def positions(bench: Bench) -> dict[Partition, int]:
    """Return up to where the two landers have read, as they told last."""
    rows = [row for name in NAMES for row in bench.status(name)["partitions"]]
    return {Partition(row["topic"], row["partition"]): row["position"] for row in rows}


@contextmanager
def load(bench: Bench) -> Iterator[None]:
    """Produce to every partition, without a pause, from another thread."""
    is_over = threading.Event()

    def produce() -> None:
        while not is_over.is_set():
            produce_everywhere(bench, 500)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(produce)
        try:
            yield
        finally:
            is_over.set()
        done.result()


def test_two_processes_share_the_partitions_and_land_each_record_once(
    bench: Bench, parent: "subprocess.Popen[bytes]"
) -> None:
    before = {name: bench.status(name)["landed_records"] for name in NAMES}
    produce_everywhere(bench, 300)
    wait_for(lambda: ends_in_storage(bench) == ends_in_kafka(bench))
    assert_exactly_once(bench)

    def landed() -> list[int]:
        return [bench.status(name)["landed_records"] - before[name] for name in NAMES]

    half = len(TOPICS) * len(PARTITIONS) * 300 // 2
    wait_for(lambda: landed() == [half, half])


def test_a_scrape_is_what_the_status_file_says(
    bench: Bench, many: Many, parent: "subprocess.Popen[bytes]"
) -> None:
    produce_everywhere(bench, 10)
    for index, name in enumerate(NAMES):

        def seen(index: int = index, name: str = name) -> tuple[Samples, dict[str, Any]] | None:
            samples, document = scrape(many.port + index), bench.status(name)
            told = datetime.fromisoformat(document["updated_at"]).timestamp()
            is_same = sample(samples, "told_timestamp_seconds") == told
            return (samples, document) if is_same else None

        samples, document = wait_for(seen)
        assert len(document["counts"]) == len(TOPICS)
        assert_equal(samples, document)
        rss = samples["process_resident_memory_bytes", frozenset()]
        assert rss == pytest.approx(psutil.Process(document["pid"]).memory_info().rss, rel=0.5)


def test_status_shows_the_backlog_while_the_store_is_away_and_none_after(
    bench: Bench, parent: "subprocess.Popen[bytes]"
) -> None:
    wait_for(lambda: ends_in_storage(bench) == ends_in_kafka(bench))
    Supervisor(bench.stack.layout).stop_program("store")
    try:
        bench.produce(QUOTES, numbered(200))
        wait_for(lambda: any(bench.status(name)["error"] for name in NAMES))
        code, found = look(bench.stack)
    finally:
        bench.stack.stack.up(("store",))
    assert code == 1
    assert "is not writing since" in found["problems"][0]
    (row,) = [row for row in found["partitions"] if row["error"]]
    assert (row["topic"], row["partition"]) == (QUOTES, 0)
    assert row["lag"] >= row["buffered_records"] == 200
    assert 0 < row["oldest_unlanded_s"] < 300
    assert found["totals"]["lag"] == row["lag"]

    wait_for(lambda: ends_in_storage(bench) == ends_in_kafka(bench), 60)
    wait_for(lambda: all(bench.status(n)["buffered_records"] == 0 for n in NAMES))
    code, found = look(bench.stack)
    assert (code, found["problems"], found["totals"]["lag"]) == (0, [], 0)
    assert {row["lander"] for row in found["partitions"]} == set(NAMES)


def test_a_lander_that_is_killed_is_started_again(
    bench: Bench, parent: "subprocess.Popen[bytes]"
) -> None:
    victim = bench.status("many-1")["pid"]
    os.kill(victim, signal.SIGKILL)
    produce_everywhere(bench, 50)
    wait_for(lambda: bench.status("many-1")["pid"] != victim)
    wait_for(lambda: all(has_its_half(bench, name) for name in NAMES), 60)
    wait_for(lambda: ends_in_storage(bench) == ends_in_kafka(bench))
    assert_exactly_once(bench)
    assert parent.poll() is None


def test_sigterm_under_load_ends_all_within_ten_seconds_and_lands_what_is_held(
    bench: Bench, parent: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    with load(bench):
        wait_for(lambda: all(bench.status(name)["buffered_records"] for name in NAMES))
        read = positions(bench)
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(10) == 0
        assert landers_of(bench.stack) == []
    landed = ends_in_storage(bench)
    assert all(landed[place] >= offset for place, offset in read.items())
    assert [bench.status(name) for name in NAMES] == [{}, {}]

    report = tmp_path / "report.json"
    arguments = ("--once", "--processes", "2", "--report", str(report))
    done = bench.stack.run("ingestion", "land", *arguments)
    assert done.returncode == 0, done.stderr
    ends = ends_in_kafka(bench)
    missing = sum(ends.values()) - sum(landed.values())
    assert missing > 0, "the load was over too early: the test proves too little"
    assert json.loads(report.read_text())["records"] == missing
    assert f"landed {missing} records" in done.stdout
    assert_exactly_once(bench)


def test_no_lander_outlives_a_parent_that_is_killed(
    bench: Bench, parent: "subprocess.Popen[bytes]"
) -> None:
    produce_everywhere(bench, 20)
    assert len(landers_of(bench.stack)) == 2
    parent.kill()
    wait_for(lambda: landers_of(bench.stack) == [], 15)
    assert [bench.status(name) for name in NAMES] == [{}, {}], "they did not end in peace"
