"""Daily metrics from bars: exact, never doubled, revised only where a value changed."""

from datetime import date
from decimal import Decimal

import pytest

from spark_jobs.jobs.revise import Range
from spark_jobs.schemas import BARS, DAILY_METRICS
from spark_jobs.transforms.daily import daily_metrics
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import bar

DAYS = ("2013-02-26", "2013-02-27", "2013-02-28")
VALUES = ("symbol", "session_date", "daily_open", "daily_close", "daily_volume", "daily_change")


def rows(lake: Lake, *columns: str) -> list[tuple]:
    found = lake.rows(DAILY_METRICS).select(*(columns or VALUES)).collect()
    return sorted(tuple(row) for row in found)


def test_a_bar_gives_its_own_numbers(lake: Lake) -> None:
    lake.send_batch([bar(open="200", close="201", high="202.5", low="199.000001", volume="7")])
    lake.compact()
    lake.daily()

    (row,) = lake.rows(DAILY_METRICS).collect()
    assert (row["daily_open"], row["daily_high"]) == (Decimal("200"), Decimal("202.5"))
    assert (row["daily_low"], row["daily_close"]) == (Decimal("199.000001"), Decimal("201"))
    assert (row["daily_volume"], row["revision"]) == (7, 1)
    assert row["daily_change"] == pytest.approx(0.5, rel=1e-12)
    assert (row["simulated"], row["source"]) == (False, "recorded")
    assert row["bar_event_id"]


def test_duplicate_bars_add_no_volume(lake: Lake) -> None:
    sent = lake.send_batch([bar(), bar(), bar(as_of="2013-03-01T00:00:00Z")])
    lake.compact()
    lake.daily()
    lake.send_batch([bar()], start=sent)
    lake.compact()

    assert lake.daily().written[DAILY_METRICS.name] == 0
    assert rows(lake, "daily_volume") == [(11518400,)]
    bars = lake.rows(BARS)
    assert bars.count() == 1
    # Nor would copies that got as far as the table.
    found = daily_metrics(bars.union(bars)).collect()
    assert [row["daily_volume"] for row in found] == [11518400]


def test_a_bar_polled_while_it_formed_is_counted_once(lake: Lake) -> None:
    polls = {"2013-02-28T16:00:00Z": "300", "2013-02-28T18:00:00Z": "400"}
    forming = [bar(volume=volume, as_of=at) for at, volume in polls.items()]
    sent = lake.send_batch([*forming, bar(volume="450", as_of="2013-02-28T21:15:00Z")])
    lake.compact()
    lake.daily()
    assert lake.rows(BARS).count() == 3
    assert rows(lake, "daily_volume") == [(450,)]

    lake.send_batch([bar(volume="460", as_of="2013-03-01T12:00:00Z")], start=sent)
    lake.compact()
    lake.daily()

    assert rows(lake, "revision", "daily_volume") == [(1, 450), (2, 460)]


def test_the_latest_restatement_is_current_and_the_earlier_stays_a_revision(lake: Lake) -> None:
    sent = lake.send_batch([bar(), bar(close="446", as_of="2013-03-02T00:00:00Z")])
    lake.compact()
    lake.daily()
    assert rows(lake, "daily_close", "revision") == [(Decimal("446"), 1)]

    stale = bar(close="442", as_of="2013-01-01T00:00:00Z")
    lake.send_batch([stale, bar(close="447", as_of="2013-03-03T00:00:00Z")], start=sent)
    lake.compact()
    lake.daily()

    assert rows(lake, "daily_close", "revision") == [(Decimal("446"), 1), (Decimal("447"), 2)]
    latest = lake.spark.table(f"{DAILY_METRICS.identifier}_latest").collect()
    assert [row["daily_close"] for row in latest] == [Decimal("447")]


UNSOUND = {
    "null": {"open": None},
    "zero": {"open": "0", "high": "0", "low": "0", "close": "0"},
    "low above open": {"low": "445"},
    "high below open": {"high": "444"},
    "negative": {"low": "-1"},
    "negative volume": {"volume": "-1"},
    "weekly": {"interval": "1w"},
    "adjusted for dividends": {"adjustment": "all"},
}


def test_unsound_bars_give_no_row_but_stay_in_the_lake(lake: Lake) -> None:
    symbols = [f"S{number}" for number in range(len(UNSOUND))]
    bad = [bar(symbol=s, **data) for s, data in zip(symbols, UNSOUND.values(), strict=True)]
    lake.send_batch([*bad, bar()])

    assert lake.compact().written["bars"] == len(bad) + 1
    lake.daily()

    assert rows(lake, "symbol") == [("AAPL",)]


def test_a_split_adjusted_bar_keeps_its_basis(lake: Lake) -> None:
    lake.send_batch([bar(adjustment="split", open="4.2", close="4.41", low="4.1", high="4.5")])
    lake.compact()
    lake.daily()

    assert rows(lake, "daily_open", "daily_close") == [(Decimal("4.2"), Decimal("4.41"))]


def test_a_sound_bar_is_not_unseated_by_an_unsound_restatement(lake: Lake) -> None:
    lake.send_batch([bar(), bar(close="0", as_of="2013-03-02T00:00:00Z")])
    lake.compact()
    lake.daily()
    assert rows(lake, "daily_close") == [(Decimal("441.4"),)]


@pytest.mark.cluster
def test_a_backfill_of_a_past_date_equals_the_original_run(lake: Lake) -> None:
    lake.send_batch([bar(day, volume=str(n)) for n, day in enumerate(DAYS)])
    lake.compact()
    lake.daily()
    original = rows(lake)
    past = Range(date(2013, 2, 27), date(2013, 2, 27))

    assert lake.daily(past).commits == 0
    lake.spark.sql(f"delete from {DAILY_METRICS.identifier} where session_date = date'2013-02-27'")
    assert len(rows(lake)) == 2
    assert lake.daily(past).written[DAILY_METRICS.name] == 1

    assert rows(lake) == original


def test_a_range_leaves_the_other_news_to_the_next_run(lake: Lake) -> None:
    lake.send_batch([bar(day) for day in DAYS])
    lake.compact()
    lake.daily(Range(None, date(2013, 2, 26)))
    assert [row[1] for row in rows(lake)] == [date(2013, 2, 26)]

    assert lake.daily().written[DAILY_METRICS.name] == 2


def test_running_again_makes_no_snapshot(lake: Lake) -> None:
    lake.send_batch([bar()])
    lake.compact()
    lake.daily()
    head = lake.head(DAILY_METRICS)

    assert lake.daily().commits == 0
    assert lake.head(DAILY_METRICS) == head


def test_all_is_computed_when_the_covered_snapshot_is_gone(lake: Lake) -> None:
    sent = lake.send_batch([bar(DAYS[0])])
    lake.compact()
    lake.daily()
    lake.send_batch([bar(DAYS[1])], start=sent)
    lake.compact()
    lake.spark.sql(
        "call lake.system.expire_snapshots(table => 'silver.bars', retain_last => 1, "
        "older_than => timestamp'2099-01-01 00:00:00')"
    ).collect()

    summary = lake.daily()

    assert (summary.read, summary.written[DAILY_METRICS.name]) == (2, 1)
