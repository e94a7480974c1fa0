"""Every fault of the simulator at once, through batch and stream, against brute force.

A Friday and a Monday with the change of the clock, a split and a halt between them, and a half day.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from drill.stream import content, market
from drill.stream.expected import expected, in_time
from drill.stream.judge import Table
from drill.stream.market import Record, Sent
from ingestion.contracts.topics import BATCH, QUOTES, REALTIME
from ingestion.sources.faults.kinds import KINDS
from spark_jobs.jobs import stream
from spark_jobs.report import JobSummary
from spark_jobs.schemas import CATALOG, REJECTS, TRADES
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.record_files import RecordFiles

# Longer than any record is late: all of the stream is in time, as all of the batch always is.
PATIENT = timedelta(days=5)
USUAL = timedelta(minutes=15)
PARTITIONS = 2


def partition_of(record: Record) -> int:
    """By the number of the symbol that has the trade first: SIM0001, and SIM0001Z as it is then."""
    return int(record.key.removesuffix("Z")[-1]) % PARTITIONS


class Landing:
    """Lands records of several topics and partitions, in the order given."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._next: defaultdict[tuple[str, int], int] = defaultdict(int)

    def land(self, records: Iterable[Record]) -> None:
        some: defaultdict[tuple[str, int], list[bytes]] = defaultdict(list)
        for record in records:
            some[record.topic, partition_of(record)].append(record.value)
        for (topic, partition), values in some.items():
            start = self._next[topic, partition]
            sent = self._lake.bronze.send(topic, values, start=start, partition=partition)
            self._next[topic, partition] = sent


def batches(trades: list[Record], times: list[int]) -> list[list[tuple[int, bytes]]]:
    """Cut trades into batches of (partition, value)."""
    cuts = zip([0, *times], [*times, len(trades)], strict=True)
    return [[(partition_of(t), t.value) for t in trades[start:end]] for start, end in cuts]


def first_of(trades: list[Record], day: str) -> int:
    return next(n for n, record in enumerate(trades) if f'"event_time":"{day}' in str(record.value))


def streamed(lake: Lake, folder: Path, cut: list[list[tuple[int, bytes]]]) -> JobSummary:
    files = RecordFiles(folder)
    for batch in cut:
        files.send_all(batch)
    plan = stream.StreamPlan(f"file://{lake.state}/checkpoint", None, partitions=2)
    return stream.run(lake.context, files.stream(lake.spark), plan, lambda: False)


def tables(lake: Lake, keys: dict[str, tuple[str, ...]]) -> dict[str, Table]:
    return {
        name: content.current(lake.spark.table(f"{CATALOG}.{name}").toArrow().to_pylist(), of)
        for name, of in keys.items()
    }


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    days = (*market.AUTUMN, market.HALF_DAY)
    return market.sent(1, 3, days, tmp_path_factory.mktemp("market"))


@pytest.mark.long
@pytest.mark.cluster
def test_batch_stream_and_brute_force_are_the_same(lake: Lake, sent: Sent, tmp_path: Path) -> None:
    assert all(sent.faults[kind] for kind in KINDS)
    lake.context = replace(lake.context, lateness=PATIENT)
    wanted = expected([record.value for record in sent.records], PATIENT)

    # The batch gets them in no order at all, by two compactions.
    shuffled = random.Random(3).sample(sent.records, len(sent.records))
    landing, third = Landing(lake), len(shuffled) // 3
    for part in (shuffled[third:], shuffled[:third]):
        landing.land(part)
        lake.compact()
    for job in (lake.windows, lake.bars, lake.daily, lake.anomalies):
        job()
    trades = [record for record in sent.records if record.topic == REALTIME]
    cut = batches(trades, [first_of(trades, "2024-11-04") + 300])
    summary = streamed(lake, tmp_path / "records", cut)

    found = tables(lake, dict(content.BATCH)) | tables(lake, dict(content.STREAM))
    assert content.batch_differences(found, wanted) == []
    assert content.stream_differences(found, wanted) == []
    assert content.disagreements(found) == []
    assert summary.read == len(trades)
    assert summary.rejected.keys() == {"duplicate"}
    assert lake.rows(TRADES).count() == wanted.kept["trade.v1"]
    reasons = [row["reason"] for row in lake.rows(REJECTS).collect()]
    assert reasons == ["duplicate"] * wanted.duplicates
    assert {record.topic for record in sent.records} == {BATCH, QUOTES, REALTIME}


@pytest.mark.long
def test_what_comes_too_late_for_the_stream_is_left_out_and_counted(
    lake: Lake, sent: Sent, tmp_path: Path
) -> None:
    lake.context = replace(lake.context, lateness=USUAL)
    trades = [record for record in sent.records if record.topic == REALTIME]
    trades = trades[: first_of(trades, "2024-11-29")]
    monday = first_of(trades, "2024-11-04")
    # Where a clock was not put back, trades are an hour old when they come, their changes too late.
    cut = batches(trades, [monday // 2, monday + 300])
    wanted, left_out = in_time(cut, USUAL)

    summary = streamed(lake, tmp_path / "records", cut)

    assert summary.rejected == left_out
    assert left_out.keys() == {"late", "duplicate", "unmatched"}
    assert content.stream_differences(tables(lake, dict(content.STREAM)), wanted) == []
