"""Rows become final by their source's replay clock, in old lakes too."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import SparkSession

from spark_jobs import clocks, tables
from spark_jobs.jobs import revise, window_metrics
from spark_jobs.jobs.revise import Range
from spark_jobs.schemas import TRADE_BARS, WINDOW_METRICS, Table
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import OPEN, iso, trade

CLOSE = OPEN + timedelta(hours=6, minutes=30)
NEW = ("ma_5_periods", "ma_15_periods", "ma_30_periods", "is_final")
NEXT_DAY = OPEN + timedelta(days=1)


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def fetched(message: dict[str, Any], at: datetime, source: str = "simulator") -> dict[str, Any]:
    return message | {"fetched_at": iso(at), "source": source}


def final_until(
    lake: Lake, table: Table, end: str, where: str
) -> tuple[datetime | None, datetime | None]:
    """Return the last end that is final and the first that is not."""
    rows = lake.spark.table(f"{table.identifier}_latest").where(where).select(end, "is_final")
    ends = [(row[0].astimezone(UTC), row[1]) for row in rows.collect()]
    final, open_ = ([end for end, is_ in ends if is_ is want] for want in (True, False))
    assert len(final) + len(open_) == len(ends)
    return max(final, default=None), min(open_, default=None)


def test_rows_become_final_when_the_clock_of_their_source_has_passed(lake: Lake) -> None:
    lake.context = replace(lake.context, lateness=minutes(10))
    sent = lake.send_trades(
        [
            *(trade(n, OPEN + minutes(n)) for n in range(60)),
            fetched(trade(100, OPEN + minutes(1)), OPEN + minutes(70)),
            # Another source's clock is its own.
            fetched(trade(0, OPEN, symbol="IBM"), CLOSE, "other"),
        ]
    )
    lake.compact()
    lake.windows()
    lake.bars()
    mine, others = "symbol = 'AAPL'", "symbol = 'IBM'"
    hour = OPEN + minutes(60)
    assert final_until(lake, WINDOW_METRICS, "window_end_at", mine) == (hour, hour + minutes(5))
    ones = f"{mine} and interval = '1m'"
    assert final_until(lake, TRADE_BARS, "end_at", ones) == (hour, None)
    days = "interval = '1d'"
    assert final_until(lake, TRADE_BARS, "end_at", days) == (None, CLOSE)
    edge = CLOSE - minutes(10)
    assert final_until(lake, WINDOW_METRICS, "window_end_at", others) == (edge, edge + minutes(5))

    # Nothing of the session comes any more, only the next one's first trade.
    sent = lake.send_trades([trade(200, NEXT_DAY)], start=sent)
    lake.compact()
    written = lake.windows().written[WINDOW_METRICS.name]
    lake.bars()

    day = f"{mine} and session_date = date'{OPEN.date()}'"
    assert final_until(lake, WINDOW_METRICS, "window_end_at", day) == (CLOSE, None)
    assert written == 78 - 12 + 78
    assert final_until(lake, TRADE_BARS, "end_at", f"{days} and {day}") == (CLOSE, None)
    assert final_until(lake, WINDOW_METRICS, "window_end_at", others)[0] == edge
    assert lake.windows().commits == lake.bars().commits == 0
    assert lake.windows(Range(OPEN.date(), OPEN.date())).commits == 0

    # What is final is corrected all the same.
    wrong = trade(30)["event_id"]
    fix = trade(300, OPEN + minutes(31), "441", "7", action="correct", ref=wrong)
    lake.send_trades([fetched(fix, NEXT_DAY)], start=sent)
    lake.compact()
    lake.bars()

    at = (OPEN + minutes(30)).replace(tzinfo=None)
    bar = lake.rows(TRADE_BARS).where(f"{ones} and start_at = timestamp'{at}'").orderBy("revision")
    found = [(row["revision"], str(row["open"]), row["is_final"]) for row in bar.collect()]
    assert found == [(1, "440.100000", True), (2, "441.000000", True)]


def test_an_older_lake_gains_the_columns_and_all_its_rows_get_values(lake: Lake) -> None:
    older = replace(
        WINDOW_METRICS,
        columns={name: kind for name, kind in WINDOW_METRICS.columns.items() if name not in NEW},
    )

    def compute(context: Any, trades: Any) -> Any:
        return window_metrics.METRIC.compute(context, trades).drop(*NEW)

    lake.send_trades([fetched(trade(n, OPEN + minutes(5 * n)), CLOSE) for n in range(8)])
    lake.compact()
    past = revise.Metric("window-metrics", window_metrics.METRIC.source, older, compute)
    assert revise.run(lake.context, past, Range()).written[older.name] == 78
    assert not set(NEW) & set(lake.spark.table(f"{older.identifier}_latest").columns)

    summary = lake.windows()

    assert summary.written[WINDOW_METRICS.name] == 78
    rows = (
        lake.spark.table(f"{WINDOW_METRICS.identifier}_latest").orderBy("window_end_at").collect()
    )
    assert {row["revision"] for row in rows} == {2}
    assert [row["ma_5_periods"] is None for row in rows[:6]] == [True] * 4 + [False] * 2
    assert [row["is_final"] for row in rows[-4:]] == [True, False, False, False]
    assert lake.rows(WINDOW_METRICS).where("is_final is null").count() == 78
    assert lake.windows().commits == 0


def test_a_view_that_was_left_behind_is_made_anew(lake: Lake) -> None:
    tables.ensure(lake.spark, (TRADE_BARS,))
    view = f"{TRADE_BARS.identifier}_latest"
    lake.spark.sql(f"create or replace view {view} as select symbol from {TRADE_BARS.identifier}")

    tables.ensure(lake.spark, (TRADE_BARS,))

    assert lake.spark.table(view).columns == list(TRADE_BARS.columns)


NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("before", "now", "since"),
    [
        ({"a": CLOSE}, {"a": CLOSE}, None),
        ({"a": CLOSE}, {"a": CLOSE + minutes(1)}, date(2013, 2, 28)),
        ({"a": CLOSE}, {"a": CLOSE, "b": CLOSE}, None),
        ({"a": CLOSE, "b": OPEN - timedelta(days=9)}, {"a": NEXT_DAY}, date(2013, 2, 28)),
        # 00:10 in New York: what ended at midnight was not final yet.
        ({"a": datetime(2013, 3, 1, 5, 10, tzinfo=UTC)}, {"a": NEXT_DAY}, date(2013, 2, 28)),
        ({"a": datetime(2013, 3, 1, 5, 15, tzinfo=UTC)}, {"a": NEXT_DAY}, date(2013, 3, 1)),
    ],
)
def test_the_first_session_that_may_become_final(
    before: clocks.Clocks, now: clocks.Clocks, since: date | None
) -> None:
    assert clocks.open_since(before, now, minutes(15), NEW_YORK) == since


def test_a_fetch_beyond_kafka_s_own_time_is_no_later_than_that(root_session: SparkSession) -> None:
    sent = CLOSE + minutes(1)
    rows = [("a", CLOSE, sent), ("a", CLOSE + timedelta(days=30_000), sent), ("b", OPEN, sent)]
    schema = "source string, fetched_at timestamp, kafka_timestamp timestamp"
    found = clocks.read(root_session.createDataFrame(rows, schema))
    assert found == {"a": sent, "b": OPEN}


def test_clocks_travel_as_text() -> None:
    found: clocks.Clocks = {"b": CLOSE, "a": OPEN + timedelta(microseconds=1)}

    assert clocks.decode(clocks.encode(found)) == found
    assert clocks.decode(clocks.encode({})) == {}
    assert clocks.decode(None) is None
    merged = clocks.merge({"a": OPEN, "b": CLOSE}, {"a": CLOSE, "c": OPEN})
    assert merged == {"a": CLOSE, "b": CLOSE, "c": OPEN}


def test_a_fetch_at_a_time_before_all_clocks_stops_no_job(lake: Lake) -> None:
    """Year 1 is what some languages take for no time; the contract lets it through."""
    unset = "0001-01-01T00:00:00Z"
    sent = lake.send_trades([trade(0) | {"fetched_at": unset}])
    lake.compact()
    assert lake.bars().written["trade_bars"] == 5
    assert not lake.rows(TRADE_BARS).where("is_final").count()
    lake.send_trades([trade(1), trade(2) | {"fetched_at": unset}], start=sent)
    lake.compact()

    assert lake.bars().written["trade_bars"] == 5
    assert lake.windows().written["realtime_stock_analytics"] == 78
