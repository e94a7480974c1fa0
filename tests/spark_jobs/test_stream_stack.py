"""The stream as a command over real Kafka and store: killed in a batch, started again, stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pandas as pd
import psutil
import pytest
import zstandard
from confluent_kafka import KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from ingestion.contracts.topics import REALTIME
from ingestion.load.lake import open_catalog
from ingestion.settings import ROOT, KafkaSettings, LakeSettings, StoreRole, StoreSettings
from spark_jobs.epochs import STREAM, Epoch
from spark_jobs.schemas import (
    METRIC_KEYS,
    STREAM_BARS,
    STREAM_WINDOWS,
    TRADE_BARS,
    WINDOW_METRICS,
    Table,
)
from tests.conftest import RunningStack, StackFactory
from tests.spark_jobs.folder_bronze import GENERATION, value_line
from tests.spark_jobs.messages import OPEN, trade
from tests.spark_jobs.tape import assert_equal, by_fetch, minutes, session

pytestmark = pytest.mark.integration
TIMEOUT_S = 300
TABLES = (STREAM_WINDOWS, STREAM_BARS)


@pytest.fixture(scope="module")
def lone_stack(stack_factory: StackFactory) -> Iterator[RunningStack]:
    """A Kafka and a store of this module's own: the shared ones may hold other tests' trades."""
    running = stack_factory.make("stream", ("kafka", "store"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running


def store(role: StoreRole) -> Any:
    settings = StoreSettings.load()
    access_key, secret_key = settings.keys(role)
    return boto3.client(
        "s3",
        endpoint_url=settings.url(),
        region_name=settings.region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )


class Tape:
    """Sends trades, and lands what it has sent as the lander would."""

    def __init__(self) -> None:
        self._sent: list[tuple[int, int, bytes]] = []

    def send(
        self, messages: list[dict[str, Any]], *, landed: bool = True, partition: int = -1
    ) -> None:
        producer = Producer(KafkaSettings.load().client("producer"))

        def note(error: KafkaError | None, record: Message) -> None:
            assert error is None, error
            partition, offset, value = record.partition(), record.offset(), record.value()
            assert partition is not None and offset is not None and value is not None
            if landed:
                self._sent.append((partition, offset, value))

        for message in messages:
            body = msgspec.json.encode(message)
            producer.produce(REALTIME, body, message["symbol"], partition, on_delivery=note)
        assert producer.flush(30) == 0

    def offsets(self) -> dict[int, int]:
        """Return the last offset sent by partition."""
        return {partition: offset for partition, offset, _ in sorted(self._sent)}

    def land(self) -> None:
        settings, client = StoreSettings.load(), store("lander")
        for partition, records in groupby(sorted(self._sent), key=lambda record: record[0]):
            lines = [value_line(offset, value) + b"\n" for _, offset, value in records]
            client.put_object(
                Bucket=settings.bronze_bucket,
                Key=f"{REALTIME}/g={GENERATION}/p={partition:05d}/{0:020d}.jsonl.zst",
                Body=zstandard.ZstdCompressor(level=1).compress(b"".join(lines)),
                Metadata={"next": str(len(lines)), "count": str(len(lines)), "kind": "data"},
                IfNoneMatch="*",
            )


class Command:
    """``python -m spark_jobs stream`` as a process with its own JVM and workers."""

    def __init__(self, stack: RunningStack, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "spark_jobs", "stream", *arguments],
            cwd=ROOT,
            env=os.environ | stack.environment,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill(self) -> None:
        """SIGKILL everything at once, as a machine that loses power."""
        everyone = [psutil.Process(self._process.pid)]
        everyone += everyone[0].children(recursive=True)
        for process in everyone:
            process.kill()
        self._process.communicate()
        psutil.wait_procs(everyone, timeout=30)

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill()

    def terminate(self) -> str:
        """SIGTERM the command; return what it said when it had ended by itself."""
        self._process.send_signal(signal.SIGTERM)
        return self.output()

    def output(self) -> str:
        said, _ = self._process.communicate(timeout=TIMEOUT_S)
        assert self._process.returncode == 0
        return said

    def wait_for(self, what: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not what():
            assert self._process.poll() is None, "the stream has ended"
            assert time.monotonic() < deadline, "timed out"
            time.sleep(0.02)


def rows(table: Table, where: str | None = None) -> pd.DataFrame:
    """Return each key's row of the highest revision."""
    catalog = open_catalog(LakeSettings.load(), StoreSettings.load())
    scan = catalog.load_table(f"{table.namespace}.{table.name}").scan
    found = (scan(row_filter=where) if where else scan()).to_pandas()
    newest = found.sort_values("revision").groupby(list(METRIC_KEYS[table.name])).tail(1)
    kept = newest[newest["n_trades"] > 0] if "n_trades" in newest else newest
    return kept.set_index(list(METRIC_KEYS[table.name])).sort_index()


def batches(table: Table) -> list[int]:
    """Return the batches that a table's main has had, the newest first, one entry a commit."""
    catalog = open_catalog(LakeSettings.load(), StoreSettings.load())
    loaded = catalog.load_table(f"{table.namespace}.{table.name}")
    snapshot, found = loaded.current_snapshot(), []
    while snapshot is not None:
        text = snapshot.summary.get(STREAM) if snapshot.summary else None
        found += [Epoch.read(text).batch] if text else []
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else loaded.snapshot_by_id(parent)
    return found


def has_checkpoint() -> bool:
    """Whether the first batch is done: in the store, and so are the tables."""
    bucket = StoreSettings.load().lake_bucket
    listed = store("lake").list_objects_v2(Bucket=bucket, Prefix="checkpoints/stream/commits/0")
    return bool(listed["KeyCount"])


@pytest.mark.long
def test_killed_in_a_batch_and_started_again_it_equals_the_batch_job(
    lone_stack: RunningStack, tmp_path: Path
) -> None:
    day = by_fetch(session("AAPL", OPEN, 390, 2, 150), session("IBM", OPEN, 390, 3, 150))
    first, second, third = day[:200], day[200:300], day[300:]
    tape = Tape()
    tape.send(first)

    with Command(lone_stack, "--trigger", "1s") as stream:
        stream.wait_for(has_checkpoint)
        tape.send(second)
        # Between its two tables: one has the batch and the other has not.
        stream.wait_for(lambda: len(batches(STREAM_WINDOWS)) > len(batches(STREAM_BARS)))
        stream.kill()
    assert len(batches(STREAM_WINDOWS)) == len(batches(STREAM_BARS)) + 1
    tape.send(third)

    reports = [tmp_path / "stopped.json", tmp_path / "finished.json"]
    last = day[-1]["fetched_at"]
    too_late = [trade(700 + i, OPEN + minutes(i)) | {"fetched_at": last} for i in range(5)]
    with Command(lone_stack, "--trigger", "1s", "--report", str(reports[0])) as stream:
        stream.wait_for(lambda: len(batches(STREAM_BARS)) >= 3)
        # Not landed: so both sides have the same.
        tape.send(too_late, landed=False)
        assert stream.terminate().startswith("stream: read ")
    done = lone_stack.run("spark_jobs", "stream", "--available-now", "--report", str(reports[1]))
    assert done.returncode == 0, done.stderr
    told = [msgspec.json.decode(report.read_bytes()) for report in reports]
    assert all(report["complete"] for report in told)
    assert sum(report["jobs"]["stream"]["rejected"].get("late", 0) for report in told) == 5

    tape.land()
    batch = lone_stack.run("spark_jobs", "run", "compact", "window-metrics", "bars")
    assert batch.returncode == 0, batch.stderr
    assert_equal(rows(STREAM_WINDOWS), rows(WINDOW_METRICS))
    assert_equal(rows(STREAM_BARS), rows(TRADE_BARS, "interval = '1m'"))
    for table in TABLES:
        assert batches(table) == sorted(set(batches(table)), reverse=True)


def behead(partition: int, offset: int) -> None:
    """Have Kafka lose what lies before an offset, as its retention does."""
    place = TopicPartition(REALTIME, partition, offset)
    admin = AdminClient(KafkaSettings.load().client("admin"))
    admin.delete_records([place])[place].result(30)


def streamed(stack: RunningStack, report: Path) -> dict[str, int]:
    done = stack.run("spark_jobs", "stream", "--available-now", "--report", str(report))
    assert done.returncode == 0, done.stderr
    return dict(msgspec.json.decode(report.read_bytes())["jobs"]["stream"]["rejected"])


@pytest.mark.long
def test_a_new_checkpoint_leaves_rows_alone_of_which_kafka_has_lost_trades(
    lone_stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trades of the test before are published; Kafka then has the second half of them."""
    published, tape = rows(STREAM_WINDOWS), Tape()
    assert len(published) == 2 * 78
    place = f"s3a://{StoreSettings.load().lake_bucket}/checkpoints/anew"
    monkeypatch.setitem(lone_stack.environment, "LAKE_STREAM_CHECKPOINT", place)
    tomorrow = OPEN + timedelta(days=1)
    tape.send([trade(5000 + n, tomorrow + minutes(n), symbol=s) for s, n in _FOUR])
    offsets = tape.offsets()
    whole = next(p for p in range(9) if p not in offsets)
    for partition, offset in offsets.items():
        behead(partition, offset // 2)

    left_out = streamed(lone_stack, tmp_path / "anew.json")

    assert left_out["beheaded"] > 100
    found = rows(STREAM_WINDOWS)
    there = found.index.get_level_values("session_date") == OPEN.date()
    pd.testing.assert_frame_equal(found[there], published)
    assert sum(~there) == 2 * 78

    # Where it began, a checkpoint knows; what Kafka loses afterwards was read.
    tape.send([trade(6000, symbol="ONE")], partition=whole)
    assert streamed(lone_stack, tmp_path / "one.json") == {}
    behead(whole, 1)
    tape.send([trade(6001, symbol="TWO") | {"source": "another"}], partition=whole)
    assert streamed(lone_stack, tmp_path / "two.json") == {}
    assert {"ONE", "TWO"} <= {*rows(STREAM_WINDOWS).index.get_level_values("symbol")}


_FOUR = [(symbol, number) for symbol in ("AAPL", "IBM") for number in (0, 1)]


def test_a_wrong_password_is_one_line_and_soon(
    lone_stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lone_stack.environment, "KAFKA_STREAM_PASSWORD", "wrong")
    began = time.monotonic()
    found = lone_stack.run("spark_jobs", "stream", "--available-now")
    assert found.returncode == 1
    assert found.stderr.startswith("error: Kafka at 127.0.0.1:")
    assert found.stderr.count("\n") == 1
    assert time.monotonic() - began < 60
