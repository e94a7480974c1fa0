"""Queries against their declaration, ranges, and one screen of one build."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dashboards import contract
from dashboards.web import gold, ranges
from dashboards.web.exchange import clock_of
from dashboards.web.panels import PANELS
from dashboards.web.ranges import MAX_BARS, RANGES, Choice, Series
from dbt_stocks.reader import GoldReader
from ingestion import calendar
from ingestion.errors import BuildError

EXCHANGE = clock_of(calendar.get())


def declared(panel: str) -> duckdb.DuckDBPyConnection:
    """Return a gold that has only what a panel declares."""
    db = duckdb.connect()
    db.execute("create schema gold")
    known = contract.load()
    for table, names in PANELS[panel].items():
        columns = (f"{n} {known.column(table, n).type_in('duckdb')}" for n in names)
        db.execute(f"create table gold.{table} ({', '.join(columns)})")
    return db


@pytest.mark.parametrize("panel", gold.QUERIES)
def test_a_query_reads_what_its_panel_declares_and_all_of_it(panel: str) -> None:
    sql = gold.QUERIES[panel]
    marks: dict[int, list[object]] = {
        0: [],
        1: ["x"],
        5: ["x", "1d", False, datetime.fromisoformat("2013-01-01T00:00"), 3],
    }
    with declared(panel) as db:
        assert db.execute(sql, marks[sql.count("?")]).fetchall() == []
    words = set(re.findall(r"\w+", sql))
    for table, names in PANELS[panel].items():
        assert table in words
        assert set(names) <= words, f"{panel} declares of {table} what it does not read"


def series(
    interval: str,
    first: str,
    n_bars: int = 100,
    simulated: bool = False,
    last: str = "2013-03-12T19:59",
    end: str | None = None,
    first_end: str | None = None,
) -> Series:
    """Return a series; its last candle begins and ends as told, or is a minute before a close."""
    started = datetime.fromisoformat(last)
    ended = started + timedelta(minutes=1) if end is None else datetime.fromisoformat(end)
    begun = datetime.fromisoformat(first)
    first_ended = begun if first_end is None else datetime.fromisoformat(first_end)
    return Series(interval, simulated, begun, first_ended, started, ended, started.date(), n_bars)


def choice(wanted: str, *there: Series) -> Choice:
    found = ranges.choose(RANGES[wanted], there, EXCHANGE)
    assert found is not None
    return found


def chosen(wanted: str, *there: Series) -> tuple[str, bool] | None:
    found = ranges.choose(RANGES[wanted], there, EXCHANGE)
    return None if found is None else (found.series.interval, found.series.simulated)


def test_the_finest_candles_that_cover_the_range_are_taken() -> None:
    minutes, quarters = series("1m", "2013-03-11"), series("15m", "2013-01-02")
    hours, days = series("1h", "2013-01-02"), series("1d", "2000-01-03")
    there = (days, hours, quarters, minutes)
    assert chosen("1D", *there) == ("1m", False)
    assert chosen("1M", *there) == ("15m", False)
    assert chosen("1Y", *there) == ("1d", False)
    # Minutes of two days are no month.
    assert chosen("1M", series("15m", "2013-03-11"), days) == ("1d", False)
    # Nothing covers it: what goes back furthest.
    assert chosen("1M", series("15m", "2013-03-11"), series("1h", "2013-03-01")) == ("1h", False)
    assert chosen("1H", days) is None


def test_candles_that_have_stopped_are_not_the_newest() -> None:
    days = series("1d", "2000-01-03")
    stopped = [
        series(one, "2013-01-02", last="2013-02-22T20:59") for one in ("1m", "15m", "1h", "4h")
    ]
    assert chosen("1W", *stopped, days) == ("1d", False)
    assert chosen("1M", *stopped, days) == ("1d", False)
    # Within a day there are no others: what is drawn says of which days it is.
    assert chosen("1D", *stopped, days) == ("1m", False)


# 14:31 in New York on Tuesday 12 March 2013: the larger candles are forming.
FORMING = (
    series("1m", "2013-01-02", last="2013-03-12T18:30", end="2013-03-12T18:31"),
    series("5m", "2013-01-02", last="2013-03-12T18:30", end="2013-03-12T18:35"),
    series("15m", "2013-01-02", last="2013-03-12T18:30", end="2013-03-12T18:45"),
    series("1h", "2013-01-02", last="2013-03-12T18:30", end="2013-03-12T19:30"),
)


def test_a_span_is_whole_while_larger_candles_form() -> None:
    for wanted, start in (("1H", "2013-03-12T17:31"), ("4H", "2013-03-12T14:31")):
        assert choice(wanted, *FORMING) == Choice(FORMING[0], datetime.fromisoformat(start))


def test_minutes_that_ended_a_candle_before_others_hide_none_of_them() -> None:
    stopped = series("1m", "2013-01-02", last="2013-03-12T17:59", end="2013-03-12T18:00")
    found = choice("1H", stopped, *FORMING[1:])
    assert found == Choice(FORMING[1], datetime.fromisoformat("2013-03-12T17:35"))


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        # The week that ends on Friday 15 March 2013 begins on a Saturday.
        ("2013-03-11T13:30", "2013-03-15", "5m"),
        ("2013-03-11T19:00", "2013-03-15", "5m"),
        ("2013-03-12T13:30", "2013-03-15", "1d"),
        ("2013-03-13T13:30", "2013-03-15", "1d"),
        # The one that ends on 4 April begins on Good Friday.
        ("2013-04-01T13:30", "2013-04-04", "5m"),
        ("2013-04-02T13:30", "2013-04-04", "1d"),
    ],
)
def test_a_range_has_the_first_session_of_its_span(first: str, last: str, expected: str) -> None:
    fives = series("5m", first, last=f"{last}T19:55", end=f"{last}T20:00")
    days = series("1d", "2000-01-03T14:30", last=f"{last}T13:30", end=f"{last}T20:00")
    assert chosen("1W", fives, days) == (expected, False)


def test_hours_that_begin_before_the_session_begin_with_it() -> None:
    minutes = series("1m", "2013-03-12T13:30", last="2013-03-12T13:44")
    quarters = series("15m", "2013-03-01", last="2013-03-12T13:30", end="2013-03-12T13:45")
    assert chosen("4H", minutes, quarters) == ("1m", False)


@pytest.mark.parametrize(
    ("daily", "expected"),
    [("2013-01-10T14:30", "1d"), ("2012-03-15T13:30", "1d"), ("2013-01-14T14:30", "1w")],
)
def test_a_week_has_no_more_in_it_than_its_days(daily: str, expected: str) -> None:
    """Candles of weeks begin with the week's first session, from which there may be nothing."""
    week = datetime.fromisoformat(daily) - timedelta(days=3)
    weeks = series("1w", week.isoformat(), first_end=(week + timedelta(days=4.2)).isoformat())
    if expected == "1w":  # the days before were lost, or are not loaded yet
        weeks = replace(weeks, first_start_at=week - timedelta(days=28), first_end_at=week)
    found = chosen("1Y", series("1d", daily), weeks)
    assert found == (expected, False)


def test_days_before_the_minutes_of_the_first_week_are_known_by_the_daily_candles() -> None:
    first = ("2013-03-04T14:30", "2013-03-08T21:00")
    weeks = series("1w", first[0], first_end=first[1])
    days = series("1d", first[0], first_end="2013-03-04T21:00")
    minutes = series("5m", "2013-03-07T14:30", first_end="2013-03-07T14:35")
    assert chosen("1W", minutes, days, weeks) == ("1d", False)


def test_on_the_first_day_the_finest_candles_are_taken() -> None:
    minutes = series("5m", "2013-03-12T14:00")
    hours, days = series("1h", "2013-03-12T13:30"), series("1d", "2013-03-12T13:30")
    assert chosen("1W", minutes, hours, days) == ("5m", False)


def test_real_candles_come_before_simulated_ones() -> None:
    real, simulated = series("1d", "2000-01-03"), series("5m", "2013-01-02", simulated=True)
    assert chosen("1W", simulated, real) == ("1d", False)
    assert chosen("1D", simulated, real) == ("5m", True)


def test_everything_is_drawn_by_the_day_until_it_is_too_much() -> None:
    weeks = series("1w", "2000-01-03", 700)
    assert chosen("MAX", series("1d", "2000-01-03", MAX_BARS), weeks) == ("1d", False)
    assert chosen("MAX", series("1d", "2000-01-03", MAX_BARS + 1), weeks) == ("1w", False)


def test_ranges_end_with_the_newest_candle_and_count_the_exchange_s_days() -> None:
    newest = series("1m", "2013-03-01")
    assert RANGES["1H"].start(newest, EXCHANGE.zone) == datetime.fromisoformat("2013-03-12T19:00")
    # Midnight in New York: 4 hours behind UTC since the 10th, 5 before.
    assert RANGES["1D"].start(newest, EXCHANGE.zone) == datetime.fromisoformat("2013-03-12T04:00")
    assert RANGES["1W"].start(newest, EXCHANGE.zone) == datetime.fromisoformat("2013-03-06T05:00")
    assert RANGES["MAX"].start(newest, EXCHANGE.zone) is None


@pytest.mark.parametrize("wanted", RANGES)
def test_no_range_sends_more_than_is_seen(reader: GoldReader, wanted: str) -> None:
    market = gold.market(reader, "AAA", wanted, EXCHANGE)
    assert market.candles is not None
    assert 0 < len(market.candles.bars) <= MAX_BARS
    starts = [bar.start_at for bar in market.candles.bars]
    assert starts == sorted(set(starts))


def test_a_screen_is_read_from_one_build() -> None:
    class Pinned:
        def __init__(self) -> None:
            self.pins = 0

        def pinned(self) -> Any:
            self.pins += 1
            raise BuildError("no build yet")

    source = Pinned()
    with pytest.raises(BuildError):
        gold.market(source, None, "1D", EXCHANGE)
    assert source.pins == 1


def test_without_a_symbol_the_first_one_is_shown(reader: GoldReader) -> None:
    market = gold.market(reader, None, "1D", EXCHANGE)
    assert market.build_id == "b1"
    assert market.shown is not None
    assert (market.shown.symbol, market.shown.name) == ("AAA", "AAA Incorporated")
    unknown = gold.market(reader, "ZZZ", "1D", EXCHANGE)
    assert unknown.shown is None
    assert unknown.candles is None


def test_no_build_tells_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="no build yet"):
        gold.market(GoldReader(tmp_path), None, "1D", EXCHANGE)
