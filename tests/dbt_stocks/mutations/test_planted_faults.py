"""Planted faults of the models: each turns the unit test red that is named for it.

Faults of different models are planted together, so that a handful of dbt runs does for all.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from ingestion.settings import ROOT
from tests.dbt_stocks.conftest import Project


class Fault(NamedTuple):
    """A text of a model, what stands there instead, and the unit test that sees it."""

    model: str
    text: str
    instead: str
    seen_by: str


GOLD = "gold/daily/gold_technical_indicators"
SMOOTHED = "silver/indicators/silver_smoothed_bars"
FAULTS = {
    "calendar_days_for_sessions": Fault(
        "silver/silver_daily_returns",
        "session_number\n        - lag(session_number) over {{ before }}",
        "session_date - lag(session_date) over {{ before }}",
        "a_split_does_not_move_the_return",
    ),
    "dividend_factor_of_the_same_day_s_close": Fault(
        "gold/reference/fct_adjustment_factor",
        "then previous_close / (previous_close - dividend * ratio)",
        "then close_value / (close_value - dividend)",
        "factors_of_both_conventions_end_at_one",
    ),
    "revisions_in_the_order_of_loads": Fault(
        "silver/silver_bars_judged",
        "order by\n                        as_of, kafka_timestamp",
        "order by\n                        batch_id, as_of, kafka_timestamp",
        "a_late_correction_wins_by_as_of_and_not_by_load",
    ),
    "cumulative_volume_summed": Fault(
        "silver/silver_daily_bars",
        "bars.*,\n        sessions.session_number",
        "bars.* replace (sum(bars.volume_shares) over (partition by bars.instrument_id,"
        " bars.session_date) as volume_shares),\n        sessions.session_number",
        "one_source_gives_the_bar_of_a_session",
    ),
    "rsi_by_simple_average": Fault(
        SMOOTHED,
        "then shares_{{ smoothing_steps() }}.{{ name }} / moved.split_ratio_total",
        "then avg(moved.{{ average['value'] }}) over (partition by moved.instrument_id"
        " order by moved.bar_number rows between 13 preceding and current row)",
        "an_increment_goes_on_from_the_known_bar",
    ),
    "window_off_by_one": Fault(
        GOLD,
        "rows between {{ width - 1 }} preceding",
        "rows between {{ width }} preceding",
        "a_window_is_whole_or_null",
    ),
    "sample_for_population_deviation": Fault(
        GOLD, "stddev_pop", "stddev_samp", "bands_are_of_the_population_s_deviation"
    ),
    "population_for_sample_deviation": Fault(
        "gold/daily/gold_daily_metrics",
        "stddev_samp(return_1d_log)",
        "stddev_pop(return_1d_log)",
        "volatility_is_of_the_sample_s_deviation",
    ),
    "partial_window_shown_as_full": Fault(
        GOLD, "when bar_number >= {{ width }}", "when bar_number >= 1", "a_window_is_whole_or_null"
    ),
    "look_back_too_short": Fault(
        GOLD,
        "> changed.first_bar_number - {{ sma_widths | max }}",
        "> changed.first_bar_number - 4",
        "an_increment_looks_back_as_far_as_its_windows",
    ),
    "split_on_the_wrong_side_of_its_day": Fault(
        "silver/indicators/silver_comparable_bars",
        "bars.session_date >= split_periods.valid_from",
        "bars.session_date > split_periods.valid_from",
        "bars_are_numbered_and_brought_to_the_first_day_s_shares",
    ),
    "first_bar_has_a_true_range": Fault(
        SMOOTHED,
        "when previous_close_value is not null",
        "when high_value is not null",
        "averages_begin_with_the_mean_of_their_first_bars",
    ),
    "unadjusted_prices": Fault(
        SMOOTHED,
        "bars.close_price * bars.split_ratio_total as close_value",
        "cast(bars.close_price as double) as close_value",
        "a_split_is_no_fall",
    ),
    "state_of_an_average_that_has_not_begun": Fault(
        SMOOTHED,
        "where states.bar_number >= {{ ema_spans() | max }}",
        "where states.bar_number >= 1",
        "an_increment_begins_anew_where_an_average_has_not_begun",
    ),
    "utc_s_date_for_the_session_s": Fault(
        "silver/market/silver_market_clock",
        "sessions.day_start_at <= clock.now_at",
        "sessions.session_date <= cast(clock.now_at as date)",
        "the_market_has_the_exchange_s_day",
    ),
    "a_quote_of_utc_s_date": Fault(
        "silver/silver_quotes_judged",
        "coalesce(sessions.session_date, cast(arrived.event_at as date))\n            <=",
        "cast(arrived.event_at as date)\n            <=",
        "a_quote_s_symbol_is_that_of_the_exchange_s_day",
    ),
    "the_price_of_a_forming_bar_as_of_the_close_to_come": Fault(
        "silver/market/silver_latest_prices",
        "least(last_bars.close_at, last_bars.as_of)",
        "last_bars.close_at",
        "a_forming_bar_is_as_old_as_its_fetch",
    ),
    "the_last_of_a_month_though_nothing_traded": Fault(
        "silver/market/silver_month_ends",
        "max(session_date) as session_date",
        "min(session_date) as session_date",
        "a_month_ends_with_its_last_session_that_has_a_bar",
    ),
    "the_day_makes_itself_liquid": Fault(
        "gold/market/gold_movers",
        "previous_bars.dollar_volume_avg_20d as",
        "session_bars.dollar_volume as",
        "only_what_trades_enough_moves",
    ),
    "ranks_of_what_differs_in_the_last_bit": Fault(
        "gold/market/gold_volatility_rank",
        "partition by session_date, simulated order by compared\n",
        "partition by session_date, simulated order by volatility_20d\n",
        "equal_volatilities_have_one_rank",
    ),
    "what_a_pair_shares_in_a_window_not_half_full": Fault(
        "gold/market/gold_correlation_matrix",
        "{{ var('correlation_min_share') }} * {{ window }}",
        "1",
        "a_pair_counts_sessions_in_which_both_have_a_return",
    ),
    "every_increment_starts_the_line_anew": Fault(
        "gold/market/gold_market_breadth",
        "coalesce(carried.ad_line, 0)",
        "0",
        "the_line_goes_on_from_the_session_before",
    ),
    "a_made_up_bar_as_the_day_before": Fault(
        "silver/silver_daily_returns",
        "set before = '(partition by instrument_id, simulated order by session_date)'",
        "set before = '(partition by instrument_id order by session_date)'",
        "a_made_up_bar_is_nobody_s_yesterday",
    ),
    "the_newest_quote_though_it_is_made_up": Fault(
        "silver/market/silver_last_quotes",
        "quotes.simulated,\n",
        "quotes.event_at desc,\n",
        "a_made_up_quote_is_the_last_of_none_that_was_really_quoted",
    ),
    "final_on_a_bar_that_never_was": Fault(
        "gold/daily/gold_drawdown",
        "returns.n_final_bars = returns.bar_number as is_final",
        "returns.is_final",
        "a_drawdown_goes_on_from_the_row_before_the_change",
    ),
    "a_split_on_the_wrong_side_of_its_ex_date": Fault(
        "gold/market/gold_kpi",
        "and prices.session_date >= splits.ex_date",
        "and prices.session_date > splits.ex_date",
        "a_quote_of_the_ex_date_stands_in_a_year_of_old_shares",
    ),
    "made_up_days_in_a_real_week": Fault(
        "gold/gold_candlestick",
        "where days.simulated = days.is_week_simulated",
        "where true",
        "a_week_with_a_split_has_one_basis",
    ),
    "a_made_up_session_before_a_real_one": Fault(
        "silver/intraday/silver_minute_bars",
        "case when n_bars > 0 then 0 else 1 end,\n                simulated,",
        "case when n_bars > 0 then 0 else 1 end,",
        "a_session_has_one_series_of_minutes",
    ),
    "a_window_that_looks_ahead": Fault(
        "gold/intraday/gold_intraday_window_metrics",
        "and ended.end_minute > minutes.minute_number",
        "and ended.end_minute >= minutes.minute_number",
        "what_a_window_looks_back_on",
    ),
}


def rounds() -> list[dict[str, Fault]]:
    """Deal the faults out, so that no round has two of one model."""
    dealt: list[dict[str, Fault]] = []
    for name, fault in FAULTS.items():
        free = [one for one in dealt if fault.model not in {other.model for other in one.values()}]
        if not free:
            dealt.append({})
            free = dealt[-1:]
        free[0][name] = fault
    return dealt


@pytest.mark.parametrize("faults", rounds(), ids=lambda faults: f"{len(faults)} faults")
def test_every_planted_fault_is_seen(
    two_batches: Project, tmp_path: Path, faults: dict[str, Fault]
) -> None:
    project = tmp_path / "dbt_stocks"
    shutil.copytree(
        ROOT / "dbt_stocks", project, ignore=shutil.ignore_patterns("target", "logs", "__pycache__")
    )
    for fault in faults.values():
        path = project / f"models/{fault.model}.sql"
        sound = path.read_text()
        assert sound.count(fault.text) == 1, f"{path.name}: {fault.text!r} is not there once"
        path.write_text(sound.replace(fault.text, fault.instead))

    tests = {name: fault.seen_by for name, fault in faults.items()}
    found = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "test",
         "--select", *tests.values(), "--target-path", str(tmp_path), "--log-path", str(tmp_path)],
        cwd=project,
        env=os.environ | {"WAREHOUSE_PATH": str(two_batches.raw.path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    # One that ends in an error of SQL has seen nothing.
    red = set(re.findall(r"FAIL 1 \w+::(\w+)", found.stdout))
    assert {name for name, test in tests.items() if test not in red} == set(), found.stdout
