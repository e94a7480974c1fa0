"""What silver, quarantine and gold make of the raw rows of two batches."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

from tests.dbt_stocks.conftest import (
    EVENING,
    HALF_DAY,
    MARTS,
    MONDAY,
    Project,
    first_batch,
    new_project,
    second_batch,
)
from tests.dbt_stocks.raw import GENERATION, at


def counts(project: Project, sql: str) -> dict[object, int]:
    return dict(project.raw.query(sql))


def test_five_symbols_of_the_same_second_are_five_quotes(two_batches: Project) -> None:
    rows = two_batches.raw.query(
        "select symbol from silver.silver_quotes where event_at = "
        "(select min(event_at) from silver.silver_quotes)"
    )

    assert sorted(row[0] for row in rows) == ["AAPL", "FB", "GOOG", "IBM", "MSFT"]


def test_every_bad_quote_is_in_quarantine_with_its_rule(two_batches: Project) -> None:
    found = counts(
        two_batches, "select rule, count(*) from quarantine.quarantine_quotes group by rule"
    )

    assert found == {
        "zero_quote": 1, "stale": 1, "format": 2, "unknown_symbol": 1, "conflict": 1
    }  # fmt: skip
    raw, reason = two_batches.raw.query(
        "select raw, reason from quarantine.quarantine_quotes where rule = 'zero_quote'"
    )[0]
    assert '"c":0' in raw and "a price and a time > 0" in reason


def test_quotes_add_up_for_every_partition(two_batches: Project) -> None:
    parts = ("silver.silver_quotes", "verdicts.silver_quotes_deduplicated",
             "quarantine.quarantine_quotes")  # fmt: skip
    key = "topic, generation, partition"
    found: Counter[tuple[object, ...]] = Counter()
    for table in parts:
        for *place, rows in two_batches.raw.query(
            f"select {key}, count(*) from {table} group by {key}"
        ):
            found[tuple(place)] += rows

    assert found == {("stock-quotes", GENERATION, 0): 15}
    assert two_batches.raw.value("select count(*) from common.bronze_stock_quotes_raw") == 15


def test_what_was_sent_again_is_told_from_what_was_superseded(two_batches: Project) -> None:
    found = counts(
        two_batches,
        "select reason, count(*) from verdicts.silver_quotes_deduplicated group by reason",
    )

    assert found == {"resent": 2, "superseded": 1}


def test_what_the_lake_computed_of_an_unknown_symbol_is_in_quarantine(two_batches: Project) -> None:
    rows = two_batches.raw.query(
        "select relation_name, symbol, rules, reason, count(*) "
        "from quarantine.quarantine_lake_metrics group by all order by all"
    )
    bars, anomalies = (
        two_batches.raw.value(f"select count(*) from common.{table} where symbol = 'ZZZZ'")
        for table in ("trade_bars_raw", "anomalies_raw")
    )

    listed = ("unknown_symbol", "expected a symbol that was listed on that day")
    day = ("no_session", "expected a date that is a session of the exchange")
    assert rows == [
        ("bronze_anomalies", "ZZZZ", *listed, anomalies),
        ("bronze_realtime_stock_analytics", "AAPL", *day, 1),
        ("bronze_trade_bars", "ZZZZ", *listed, bars),
    ]
    assert bars and anomalies


def test_bars_add_up_and_bad_ones_carry_their_rule(two_batches: Project) -> None:
    raw = two_batches.raw
    kept = counts(
        two_batches, "select is_current, count(*) from silver.silver_bars group by is_current"
    )
    bad = counts(two_batches, "select rule, count(*) from quarantine.quarantine_bars group by rule")

    assert kept == {True: 4, False: 2}
    assert bad == {"incomplete": 1, "price_order": 1, "no_session": 1, "unknown_instrument": 1}
    assert raw.value("select count(*) from common.bars_raw") == 4 + 2 + 4


def test_a_bar_polled_while_it_formed_is_counted_once(two_batches: Project) -> None:
    rows = two_batches.raw.query(
        "select daily_volume, daily_close, is_final from gold.daily_stock_metrics "
        "where symbol = 'AAPL' and date = ?",
        [MONDAY],
    )

    assert [(volume, float(close), final) for volume, close, final in rows] == [(450, 11.5, True)]
    charts = two_batches.raw.query(
        "select volume_shares from gold.gold_daily_metrics "
        "where symbol = 'AAPL' and session_date = $1 union all "
        "select volume_shares from gold.gold_candlestick "
        "where symbol = 'AAPL' and session_date = $1 and candle_interval in ('1d', '1w')",
        [MONDAY],
    )
    assert charts == [(450,)] * 3, "the day, its candle and its week's"


def test_bad_records_never_reach_gold(two_batches: Project) -> None:
    symbols = two_batches.raw.query(
        "select symbol from gold.daily_stock_metrics "
        "union select symbol from gold.gold_candlestick "
        "union select symbol from gold.gold_daily_metrics"
    )

    assert {row[0] for row in symbols} == {"AAPL", "GOOG"}
    assert two_batches.raw.value("select min(current_price) from gold.gold_kpi") > 1


def test_the_return_over_a_split_is_that_of_the_holder(two_batches: Project) -> None:
    found = two_batches.raw.value(
        "select price_return_1d from gold.gold_daily_metrics where symbol = 'AAPL' "
        "and session_date = ?",
        [MONDAY],
    )

    assert abs(found - (11.5 * 2 / 22 - 1)) < 1e-12


def test_prices_and_hours_are_the_exchange_s_own(two_batches: Project) -> None:
    first, last, closed = two_batches.raw.query(
        "select open_price, close_price, close_at from gold.gold_daily_metrics "
        "where symbol = 'AAPL' and session_date = ?",
        [HALF_DAY],
    )[0]

    assert (float(first), float(last)) == (10, 11)
    assert (closed.hour, closed.minute) == (18, 0), "the day after Thanksgiving ends at 13:00"


def test_a_quote_s_open_is_the_provider_s_and_not_the_polled_price(two_batches: Project) -> None:
    found = two_batches.raw.query(
        "select current_price, day_open_price from gold.gold_kpi where symbol = 'FB'"
    )

    assert [(float(price), float(opened)) for price, opened in found] == [(10, 9.5)]


def test_a_quote_s_day_is_the_exchange_s(two_batches: Project) -> None:
    """Neither UTC's, nor that of the machine, which stands in Tokyo, nor the day it was landed."""
    days = two_batches.raw.query(
        "select symbol, session_date from silver.silver_quotes where symbol in ('AAPL', 'FB') "
        "order by all"
    )
    [(fetched,)] = two_batches.raw.query("select max(event_at) from silver.silver_quotes")

    tuesday = MONDAY + timedelta(days=1)
    assert days == [("AAPL", MONDAY), ("AAPL", tuesday), ("FB", MONDAY)]
    assert fetched == EVENING and fetched.date() != tuesday


def test_goog_of_2013_is_the_class_a_share(two_batches: Project) -> None:
    assert (
        two_batches.raw.value(
            "select instrument_id from gold.gold_daily_metrics where symbol = 'GOOG'"
        )
        == "alphabet-class-a"
    )


def test_windows_show_their_last_revision(two_batches: Project) -> None:
    rows = two_batches.raw.query(
        "select revision, ma_15m, ma_5_periods, is_final, window_15m_end = window_1h_end from "
        "gold.realtime_stock_analytics order by window_15m_end"
    )

    assert rows == [(1, 10.0, 10.0, False, True), (2, 11.0, 10.0, True, True)]


def test_bars_of_trades_show_their_last_revision(two_batches: Project) -> None:
    rows = two_batches.raw.query(
        "select symbol, instrument_id, bar_interval, n_trades, open_price, revision from "
        "silver.silver_trade_bars where bar_interval in ('1m', '1d') order by all"
    )

    assert rows == [
        *(("AAPL", "apple", interval, 4, 10, 2) for interval in ("1d", "1m")),
        *(("GOOG", "alphabet-class-a", interval, 0, None, 2) for interval in ("1d", "1m")),
    ]


def test_an_anomaly_is_shown_until_it_is_taken_back(two_batches: Project) -> None:
    rows = two_batches.raw.query(
        "select symbol, subject, value, value_unit, is_final from gold.gold_anomalies order by all"
    )

    assert rows == [
        ("AAPL", "stays", 30.0, "robust z-score", True),
        ("GOOG", "goes", 30.0, "robust z-score", True),
        ("GOOG", "stays", 30.0, "robust z-score", True),
    ]


def test_the_build_s_now_is_the_latest_fetch(two_batches: Project) -> None:
    builds = dict(two_batches.raw.query("select build_id, cast(as_of as varchar) from ops.builds"))

    assert builds["first"].startswith("2013-02-25 21:15:00")
    assert builds["second"].startswith("2013-02-27 00:30:01")


def test_every_row_of_gold_carries_the_published_build(two_batches: Project) -> None:
    marts = two_batches.raw.query(
        "select table_name from information_schema.tables where table_schema = 'gold'"
    )

    assert {mart for (mart,) in marts} == MARTS
    empty = set()
    for (mart,) in marts:
        found = two_batches.raw.query(f"select distinct build_id from gold.{mart}")
        assert set(found) <= {("second",)}, mart
        empty |= set() if found else {mart}
    # Two bars of an instrument have no volatility, mover or correlation yet, and of one source's
    # daily bars there is nothing to reconcile.
    assert empty == {
        "gold_volatility_rank", "gold_movers", "gold_correlation_matrix",
        "gold_source_reconciliation",
    }  # fmt: skip


def test_what_was_known_when_is_in_the_history(two_batches: Project) -> None:
    """Of three times of knowledge: the bar while it formed, a late one, and its correction."""
    known = (
        "select close_price from gold.gold_daily_bar_history where symbol = 'AAPL' "
        "and session_date = $1 and valid_from <= $2 and (valid_to > $2 or valid_to is null)"
    )
    found = [
        [float(close) for (close,) in two_batches.raw.query(known, [MONDAY, moment])]
        for moment in (at(2013, 2, 25, 16), at(2013, 2, 25, 18), at(2013, 2, 25, 19),
                       at(2013, 2, 26, 11), at(2013, 2, 26, 12))
    ]  # fmt: skip

    assert found == [[], [11], [11.2], [11.2], [11.5]]


def test_freshness_is_of_the_build_s_now_and_alarms_no_replay(two_batches: Project) -> None:
    found = two_batches.raw.query(
        "select source, feed, status, lag_sessions, cast(checked_at as varchar) "
        "from gold.gold_freshness order by all"
    )

    # Half past midnight UTC on the 27th: the bar of the 26th is not yet due, six hours after it.
    now = "2013-02-27 00:30:01"
    assert found == [
        ("recorded", "corporate_actions", "unscheduled", 0, now),
        ("recorded", "daily_bars", "ok", 0, now),
        ("simulator", "quotes", "ok", 0, now),
        ("simulator", "windows", "unscheduled", 1, now),
    ]


TABLES = (
    "silver.silver_daily_bars", "silver.silver_daily_returns", "silver.silver_market_returns",
    "verdicts.silver_quotes_judged", "verdicts.silver_bars_judged",
    "silver.silver_trade_bars", "silver.silver_anomalies", "gold_candidate.gold_anomalies",
    "silver.silver_minute_bars", "gold_candidate.gold_intraday_window_metrics",
    "gold_candidate.daily_stock_metrics", "gold_candidate.realtime_stock_analytics",
    "gold_candidate.gold_daily_metrics", "gold_candidate.gold_candlestick",
    "gold_candidate.gold_drawdown", "gold_candidate.fct_adjustment_factor",
    "gold_candidate.fct_corporate_action", "gold_candidate.gold_daily_prices_adjusted",
    "gold_candidate.gold_kpi", "gold_candidate.gold_treechart",
    "gold_candidate.gold_market_breadth",
    "gold_candidate.gold_technical_indicators",
    "gold_candidate.gold_daily_bar_history", "gold_candidate.gold_source_reconciliation",
    "gold_candidate.gold_freshness",
)  # fmt: skip


def contents(project: Project) -> dict[str, list[tuple[object, ...]]]:
    return {
        table: sorted(
            project.raw.query(f"select columns(lambda c: c <> 'build_id') from {table}"), key=repr
        )
        for table in TABLES
    }


def test_a_full_refresh_gives_the_same_rows_as_the_increments(
    two_batches: Project, tmp_path: Path
) -> None:
    at_once = new_project(tmp_path / "at_once")
    raw = at_once.raw
    first_batch(raw)
    second_batch(raw)
    at_once.build("--full-refresh")

    expected, found = contents(two_batches), contents(at_once)
    for table in TABLES:
        assert found[table] == expected[table], table


def test_gold_counts_what_is_in_quarantine_by_rule(two_batches: Project) -> None:
    counted = two_batches.raw.query(
        "select relation_name, rule, n_records from gold.gold_quarantine where n_records > 0"
    )
    relations = ("bars", "corporate_actions", "lake_metrics", "quotes", "rejects")
    held = two_batches.raw.query(
        " union all ".join(
            f"select 'quarantine_{name}', rule, count(*) from quarantine.quarantine_{name} "
            "group by rule"
            for name in relations
        )
    )

    assert len(held) > 5
    assert sorted(counted) == sorted(held)
    [(unbroken, without_reason)] = two_batches.raw.query(
        "select count(*) filter (where n_records = 0), count(*) filter (where reason is null) "
        "from gold.gold_quarantine"
    )
    assert (unbroken > 5, without_reason) == (True, 0)
