"""Candles and windows of minutes against pandas, batch after batch and all at once."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ingestion.settings import ROOT
from tests.dbt_stocks.conftest import Project, new_project
from tests.dbt_stocks.intraday_data import HALF_DAY, MONDAY, WEDNESDAY, Market
from tests.dbt_stocks.oracles import intraday as oracle
from tests.dbt_stocks.oracles.compare import assert_equal
from tests.dbt_stocks.raw import window

VARS = yaml.safe_load((ROOT / "dbt_stocks/dbt_project.yml").read_text())["vars"]
TABLES = {
    "silver.silver_minute_bars": "instrument_id, start_at",
    "gold.gold_candlestick": "instrument_id, candle_interval, bar_start_at",
    "gold.gold_intraday_window_metrics": "instrument_id, window_size, window_start_at",
}


@dataclass(frozen=True)
class Built:
    """A project after three batches, each built as it came, and what its sources hold then."""

    project: Project
    market: Market

    def mart(self, name: str) -> pd.DataFrame:
        return self.project.raw.frame(f"select * from gold.{name}")

    @property
    def bars(self) -> pd.DataFrame:
        return oracle.chosen(self.market.frame(), VARS["source_priority"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    project = new_project(tmp_path_factory.mktemp("intraday"))
    market = Market(project.raw, seed=7)
    for batch in (1, 2, 3):
        market.load(batch)
        project.build("--build-id", f"b{batch}")
    return Built(project, market)


def daily_bars(project: Project) -> pd.DataFrame:
    """Return the days' own bars as they were put in; one was fetched while it formed."""
    raw = project.raw.frame(
        "select symbol, source, simulated, session_date, open::double as open_price, "
        "high::double as high_price, low::double as low_price, close::double as close_price, "
        "volume as volume_shares, as_of from common.bars_raw where interval = '1d'"
    )
    hours = oracle.hours(raw.assign(start_at=pd.NaT))
    return hours.assign(
        candle_interval="1d",
        made_of="daily_bars",
        bar_start_at=hours.open_at,
        bar_end_at=hours.close_at,
        n_bars=1,
        n_bars_expected=1,
        is_final=hours.as_of >= hours.close_at,
    ).drop(columns=["open_at", "close_at", "minute", "start_at", "as_of"])


def test_candles_are_what_pandas_makes_of_the_minutes(built: Built) -> None:
    intraday = oracle.candles(built.bars)
    days = oracle.days(intraday, daily_bars(built.project))
    short = intraday[intraday.candle_interval != "1d"]
    expected = pd.concat([short, days, oracle.weeks(days)], ignore_index=True)

    values = assert_equal(
        built.mart("gold_candlestick"),
        expected,
        ["symbol", "candle_interval", "bar_start_at"],
        "candles",
    )
    assert values > 10_000
    assert set(expected.made_of) == {"trades", "provider_minutes", "daily_bars"}
    assert {"AAPL", "IBM", "MSFT"} == set(expected.symbol), "all trades of GOOG were cancelled"
    assert expected.is_final.nunique() == 2


def test_windows_are_what_pandas_makes_of_the_minutes(built: Built) -> None:
    values = assert_equal(
        built.mart("gold_intraday_window_metrics"),
        oracle.windows(built.bars),
        ["symbol", "window_size", "window_start_at"],
        "windows",
    )

    assert values > 5_000


def test_a_session_is_of_one_source_real_before_simulated(built: Built) -> None:
    sources = built.project.raw.query(
        "select symbol, session_date, string_agg(distinct source || ' ' || made_of, ', ') "
        "from gold.gold_candlestick where candle_interval = '1m' group by all order by all"
    )

    assert sources == [
        ("AAPL", WEDNESDAY, "finnhub trades"),
        ("AAPL", HALF_DAY, "finnhub trades"),
        ("AAPL", MONDAY, "finnhub trades"),
        ("IBM", WEDNESDAY, "simulator trades"),
        ("IBM", HALF_DAY, "yahoo provider_minutes"),
        ("IBM", MONDAY, "simulator trades"),
        ("MSFT", WEDNESDAY, "yahoo provider_minutes"),
        ("MSFT", HALF_DAY, "yahoo provider_minutes"),
        ("MSFT", MONDAY, "finnhub trades"),
    ]


def test_increments_equal_a_full_refresh(built: Built, tmp_path: Path) -> None:
    at_once = new_project(tmp_path / "at_once")
    again = Market(at_once.raw, seed=7)
    for batch in (1, 2, 3):
        again.load(batch)
    at_once.build("--full-refresh")

    for table, key in TABLES.items():
        sql = f"select * exclude (build_id) from {table} order by {key}"
        sql = sql if table.startswith("gold") else sql.replace("* exclude (build_id)", "*")
        pd.testing.assert_frame_equal(
            built.project.raw.frame(sql), at_once.raw.frame(sql), rtol=1e-12
        )


@pytest.mark.long
def test_a_window_that_the_lake_sees_otherwise_is_warned_of(built: Built) -> None:
    """Last, since it changes the project: one window as the lake has it, one with a trade more."""
    raw = built.project.raw
    ours = raw.query(
        "select windows.* from ("
        "  select symbol, window_end_at, source, simulated, session_date, volume_shares, n_trades,"
        "  vwap_price, window_start_at from gold.gold_intraday_window_metrics"
        "  where window_size = '15m' and made_of = 'trades' and volume_shares > 0) as windows "
        "join reference.sessions using (session_date) "
        "where windows.window_start_at > open_at and windows.window_end_at < close_at "
        "order by all limit 2"
    )
    raw.batch = 4
    for (symbol, end, source, simulated, day, volume, trades, vwap, _), more in zip(
        ours, (0, 1), strict=True
    ):
        raw.windows(
            [
                window(
                    symbol, end, source=source, simulated=simulated, session_date=day,
                    volume_sum_15m=volume, volume_sum_1h=volume, vwap_15m=vwap,
                    n_obs_15m=trades + more, n_obs_1h=trades + more,
                )
            ]
        )  # fmt: skip

    built.project.build()

    found = raw.query(
        "select status, failing_rows from ops.test_results "
        "where test_name = 'windows_agree_with_the_lake' order by loaded_at desc limit 1"
    )
    assert found == [("warn", 1)]
