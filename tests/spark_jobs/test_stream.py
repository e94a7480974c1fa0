"""The stream over files instead of Kafka: equal to the batch, each batch once, what is too late."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from spark_jobs.jobs import stream
from spark_jobs.report import JobSummary
from spark_jobs.schemas import (
    METRIC_KEYS,
    STREAM_BARS,
    STREAM_WINDOWS,
    TRADE_BARS,
    WINDOW_METRICS,
    Table,
)
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import OPEN, trade
from tests.spark_jobs.record_files import RecordFiles
from tests.spark_jobs.tape import assert_equal, by_fetch, minutes, session

HALF_DAY = datetime(2012, 11, 23, 14, 30, tzinfo=UTC)
ONE_BAR = "interval = '1m'"


def run(lake: Lake, files: RecordFiles, checkpoint: str = "checkpoint") -> JobSummary:
    plan = stream.StreamPlan(f"file://{lake.state}/{checkpoint}", None, partitions=2)
    return stream.run(lake.context, files.stream(lake.spark), plan, lambda: False)


def latest(lake: Lake, table: Table, where: str = "true") -> pd.DataFrame:
    found = lake.spark.table(f"{table.identifier}_latest").where(where).toPandas()
    return found.set_index(list(METRIC_KEYS[table.name])).sort_index()


@pytest.fixture
def files(tmp_path: Path) -> RecordFiles:
    return RecordFiles(tmp_path / "records")


def test_the_stream_equals_the_batch_and_a_replayed_batch_adds_nothing(
    lake: Lake, files: RecordFiles
) -> None:
    half = session("HALF", HALF_DAY, 210, 1)
    day = by_fetch(session("AAPL", OPEN, 390, 2), session("IBM", OPEN, 390, 3))
    broken = [None, b"{", b"[]", {"schema": "trade.v9"}, trade(950, OPEN + timedelta(days=2))]
    last = day[-1]["fetched_at"]
    too_late = [trade(700 + i, OPEN + minutes(i)) | {"fetched_at": last} for i in range(3)]
    at = datetime.fromisoformat(day[299]["fetched_at"])
    gone = trade(1, at, symbol="GONE")
    taken = trade(2, at, symbol="GONE", action="cancel", ref=gone["event_id"])
    files.send([*half, *broken])
    files.send([*day[:300], gone], partition=1)
    files.send([taken, *day[300:-50]], partition=1)
    files.send([*day[-50:], *too_late], partition=1)

    summary = run(lake, files)

    assert summary.read == len(half) + len(day) + len(broken) + len(too_late) + 2
    assert summary.rejected == {
        **{"late": 3, "duplicate": 60, "invalid_json": 1, "not_an_object": 2},
        **{"unknown_schema": 1, "no_session": 1},
    }
    lake.send_trades([*half, *broken[1:]])
    lake.send_trades(day, partition=1)
    lake.compact()
    lake.windows()
    lake.bars()
    there = "symbol <> 'GONE'"
    assert_equal(latest(lake, STREAM_WINDOWS, there), latest(lake, WINDOW_METRICS))
    assert_equal(latest(lake, STREAM_BARS), latest(lake, TRADE_BARS, ONE_BAR))
    assert len(latest(lake, STREAM_WINDOWS, there)) == 2 * 78 + 42
    # What the batch before had told of a trade is taken back.
    left = latest(lake, STREAM_WINDOWS, "symbol = 'GONE'")
    assert len(left) == 78
    assert not left[["n_obs_1h", "coverage_1h", "volume_sum_1h"]].astype(float).any(axis=None)
    assert left[["ma_15m", "vwap_1h", "ma_5_periods"]].isna().all(axis=None)

    # As Spark does after a crash: the last batch again, with the same id.
    heads = lake.heads_of((STREAM_WINDOWS, STREAM_BARS))
    for name in ("3", ".3.crc"):
        (lake.state / "checkpoint" / "commits" / name).unlink()
    again = run(lake, files)

    assert (again.read, again.commits) == (53, 0)
    assert lake.heads_of((STREAM_WINDOWS, STREAM_BARS)) == heads
