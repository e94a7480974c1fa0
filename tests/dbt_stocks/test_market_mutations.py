"""Planted faults of the market marts, all at once: each turns the unit test named for it red."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ingestion.settings import ROOT
from tests.dbt_stocks.conftest import Project


class Fault(NamedTuple):
    """A text of a model and what stands there instead; one fault a model."""

    model: str
    text: str
    instead: str
    seen_by: str


FAULTS = [
    Fault(
        "silver/market/silver_market_clock",  # UTC's date for the session's
        "sessions.day_start_at <= clock.now_at",
        "sessions.session_date <= cast(clock.now_at as date)",
        "the_market_has_the_exchange_s_day",
    ),
    Fault(
        "silver/market/silver_latest_prices",  # the price of a forming bar as of the close to come
        "least(last_bars.close_at, last_bars.as_of)",
        "last_bars.close_at",
        "a_forming_bar_is_as_old_as_its_fetch",
    ),
    Fault(
        "silver/market/silver_month_ends",  # the last of a month though nothing traded
        "select max(session_date)",
        "select min(session_date)",
        "a_month_ends_with_its_last_session_that_has_a_bar",
    ),
    Fault(
        "gold/market/gold_movers",  # the day makes itself liquid
        "previous_bars.dollar_volume_avg_20d as",
        "session_bars.dollar_volume as",
        "only_what_trades_enough_moves",
    ),
    Fault(
        "gold/market/gold_volatility_rank",  # ranks of what differs in the last bit
        "partition by session_date order by compared\n",
        "partition by session_date order by volatility_20d\n",
        "equal_volatilities_have_one_rank",
    ),
    Fault(
        "gold/market/gold_correlation_matrix",  # what a pair shares in a window not half full
        "{{ var('correlation_min_share') }} * {{ window }}",
        "1",
        "a_pair_counts_sessions_in_which_both_have_a_return",
    ),
    Fault(
        "gold/market/gold_market_breadth",  # every increment starts the line anew
        "coalesce(carried.ad_line, 0)",
        "0",
        "the_line_goes_on_from_the_session_before",
    ),
    Fault(
        "gold/market/gold_kpi",  # a split on the wrong side of its ex-date
        "and prices.session_date >= splits.ex_date",
        "and prices.session_date > splits.ex_date",
        "a_quote_of_the_ex_date_stands_in_a_year_of_old_shares",
    ),
]


def test_every_planted_fault_is_seen(two_batches: Project, tmp_path: Path) -> None:
    project = tmp_path / "dbt_stocks"
    shutil.copytree(
        ROOT / "dbt_stocks", project, ignore=shutil.ignore_patterns("target", "logs", "__pycache__")
    )
    for fault in FAULTS:
        path = project / f"models/{fault.model}.sql"
        before = path.read_text()
        assert before.count(fault.text) == 1, fault
        path.write_text(before.replace(fault.text, fault.instead))

    tests = [fault.seen_by for fault in FAULTS]
    found = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "test",
         "--select", *tests, "--target-path", str(tmp_path), "--log-path", str(tmp_path)],
        cwd=project,
        env=os.environ | {"WAREHOUSE_PATH": str(two_batches.raw.path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip

    red = set(re.findall(r"FAIL 1 \w+::(\w+)", found.stdout))
    assert red == set(tests), found.stdout
