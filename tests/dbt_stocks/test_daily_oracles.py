"""The daily marts against independent libraries, on real bars; compared values are counted."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingestion.settings import ROOT
from tests.dbt_stocks import daily_data
from tests.dbt_stocks.conftest import new_project
from tests.dbt_stocks.oracles import daily as oracle
from tests.dbt_stocks.raw import RawWarehouse

# Of several industries; splits of 2:1, 7:1, 3:2, reverse ones, special dividends, late listings.
# Instruments from 1999 on (JPM and XOM were merged into theirs later), of whose dividends the file
# has all digits (it prints 0.0213 for Texas Instruments' 0.02125).
LARGE_CAPS = ["AAPL", "MSFT", "IBM", "WMT", "JNJ", "KO", "NKE", "INTC", "C", "V", "PG", "COST"]
MARTS = ("gold_daily_metrics", "gold_drawdown", "gold_daily_prices_adjusted", "dim_session")
MARKET_AT_LEAST = 3
RELATIVE, ABSOLUTE = 1e-9, 1e-13


@dataclass(frozen=True)
class Built:
    """Bars by instrument as the oracle takes them, and the marts that dbt made of them."""

    raw: RawWarehouse
    bars: dict[str, pd.DataFrame]

    def mart(self, name: str, where: str = "true") -> pd.DataFrame:
        found = self.raw.frame(f"select * from gold_candidate.{name} where {where}")
        return found.set_index(pd.DatetimeIndex(found.session_date).as_unit("ns")).sort_index()

    def each(self, name: str, where: str = "true") -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
        """Yield each instrument's bars with its rows of a mart."""
        found = self.mart(name, where)
        for instrument, bars in self.bars.items():
            yield bars, found[found.instrument_id == instrument]


@pytest.fixture(scope="module", params=["recorded", "sp500"])
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Built:
    if request.param == "sp500" and not daily_data.IS_SP500_WANTED:
        pytest.skip(daily_data.NO_SP500)
    frame = daily_data.recorded() if request.param == "recorded" else daily_data.sp500(LARGE_CAPS)
    project = new_project(tmp_path_factory.mktemp(request.param))
    daily_data.load(project.raw, frame)
    run = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "build",
         "--select", *(f"+{mart}" for mart in MARTS), "--exclude-resource-type", "unit_test",
         "--indirect-selection", "buildable",
         "--target-path", str(project.state / "dbt"), "--log-path", str(project.state / "dbt")],
        cwd=ROOT / "dbt_stocks",
        env=os.environ | {"WAREHOUSE_PATH": str(project.raw.path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout
    names = project.raw.query(
        "select distinct symbol, instrument_id from gold_candidate.gold_daily_metrics"
    )
    bars = {share: frame[frame.symbol == symbol].reset_index(drop=True) for symbol, share in names}
    assert len(bars) == frame.symbol.nunique() and all(len(one) for one in bars.values())
    return Built(project.raw, bars)


def equal(name: str, found: pd.Series, expected: pd.Series) -> int:
    """Compare by session, missing with missing, and return how many values there were."""
    ours, theirs = found.to_numpy(float), expected.reindex(found.index).to_numpy(float)
    different = ~np.isclose(ours, theirs, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    worst = pd.DataFrame({"found": ours, "expected": theirs}, index=found.index)[different]
    assert len(found) == len(expected) and not different.any(), f"{name}\n{worst}"
    return int(np.isfinite(theirs).sum())


def say(counts: dict[str, int]) -> None:
    for name, count in counts.items():
        assert count > 0, f"{name}: nothing was compared"
        sys.stdout.write(f"{name:<24} {count:>9,} values equal\n")


def test_both_conventions_of_adjustment(built: Built) -> None:
    counts = dict.fromkeys(("crsp", "alphavantage"), 0)
    for convention in counts:
        for bars, found in built.each(MARTS[2], f"convention = '{convention}'"):
            expected = oracle.adjustment(bars, convention).set_index("session_date")
            for factor in ("split_factor", "dividend_factor"):
                counts[convention] += equal(factor, found[factor], expected[factor])
            price = bars.set_index("session_date").high * expected.product(axis=1)
            counts[convention] += equal("high", found.high_price_adj, price)
            assert (found[["split_factor", "dividend_factor"]].iloc[-1] == 1).all()
    say(counts)


def test_the_vendor_s_adjusted_close_is_raw_times_our_factors(built: Built) -> None:
    """Both files follow Alpha Vantage's convention; theirs is rounded to what they print."""
    count = 0
    for bars, found in built.each(MARTS[2], "convention = 'alphavantage'"):
        vendor = bars.set_index("session_date").adj_close
        vendor = vendor / vendor.iloc[-1] * bars.close.iloc[-1]
        wrong = (found.close_price_adj / vendor - 1).abs()
        assert wrong.max() < 1e-6, f"{bars.symbol[0]}: {wrong.nlargest(3)}"
        count += len(wrong)
    say({"vendor's adjusted close": count})


def test_volatility_is_quantstats(built: Built) -> None:
    counts = {"volatility_20d": 0, "volatility_60d": 0}
    for bars, found in built.each(MARTS[0]):
        for name, window in zip(counts, (20, 60), strict=True):
            counts[name] += equal(name, found[name], oracle.volatility(bars, window))
    say(counts)


def test_drawdowns_are_quantstats(built: Built) -> None:
    counts = dict.fromkeys(("total_return_index", "drawdown", "max_drawdown", "days_since_peak"), 0)
    for bars, found in built.each(MARTS[1]):
        expected = oracle.drawdown(bars)
        for name in counts:
            counts[name] += equal(name, found[name], expected[name])
    say(counts)


def test_beta_is_numpy_s_against_the_mean_of_all(built: Built) -> None:
    returns = pd.DataFrame({share: oracle.returns(bars) for share, bars in built.bars.items()})
    market = oracle.market(returns, MARKET_AT_LEAST)
    counts = {"market_return_1d": 0, "beta_252d": 0}
    for share, found in built.mart(MARTS[0]).groupby("instrument_id"):
        own = returns[share].reindex(found.index)
        counts["market_return_1d"] += equal("market", found.market_return_1d, market[found.index])
        counts["beta_252d"] += equal("beta", found.beta_252d, oracle.beta(own, market))
    say(counts)


def test_the_year_s_range_is_in_the_shares_of_its_day(built: Built) -> None:
    counts = {"high_52w_price": 0, "low_52w_price": 0}
    for bars, found in built.each(MARTS[0]):
        expected = oracle.year_range(bars)
        for name in counts:
            # Published with six decimals.
            rounded = expected[name].round(6)
            assert np.allclose(
                found[name].astype(float), rounded, atol=1e-6, rtol=0, equal_nan=True
            )
            counts[name] += int(rounded.notna().sum())
    say(counts)


def test_sessions_are_the_exchange_s(built: Built) -> None:
    found = built.mart("dim_session").reset_index(drop=True)
    expected = oracle.sessions(str(found.session_date.min()), str(found.session_date.max()))
    for name in expected:
        assert (pd.to_datetime(found[name]) == expected[name]).all(), name
    say({"dim_session": int(expected.size)})
