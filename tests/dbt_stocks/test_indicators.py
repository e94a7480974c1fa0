"""The published indicators beside TA-Lib and numpy, on every daily bar that there is."""

import re

import duckdb
import pandas as pd
import pytest

from benchmarks.dbt import data
from benchmarks.dbt.project import Project
from tests.dbt_stocks.daily_bars import dbt, frame, market, new_project
from tests.dbt_stocks.oracles import indicators
from tests.dbt_stocks.oracles.indicators import Tally

MARTS = ("gold_technical_indicators", "gold_daily_metrics", "dim_session")


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return frame(market())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, bars: pd.DataFrame) -> Project:
    """All bars but the last session's, then that one: models and tests, both times."""
    home = tmp_path_factory.mktemp("indicators")
    project = new_project(home, bars.symbol.unique())
    for commit in data.write(market(), home / "lake"):
        data.load(project.warehouse, commit)
        done = dbt(
            project, "build", "--exclude-resource-type", "unit_test",
            "--indirect-selection", "cautious",
            "--select", *(f"+{mart}" for mart in MARTS),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert re.search(r"PASS=\d\d+ WARN=\d+ ERROR=0", done.stdout), done.stdout
    return project


@pytest.fixture(scope="module")
def mart(built: Project) -> pd.DataFrame:
    with duckdb.connect(built.warehouse, read_only=True) as db:
        return db.execute(
            "select * from gold_candidate.gold_technical_indicators order by symbol, session_date"
        ).df()


def test_every_indicator_is_ta_lib_s(mart: pd.DataFrame, bars: pd.DataFrame) -> None:
    tallies: dict[str, Tally] = {}
    theirs = dict(iter(bars.groupby("symbol")))
    ours = dict(iter(mart.groupby("symbol")))

    assert ours.keys() == theirs.keys()
    for symbol, rows in ours.items():
        assert (rows.session_date.to_numpy() == theirs[symbol].session_date.to_numpy()).all()
        indicators.compare(rows, theirs[symbol], tallies)

    for metric, tally in tallies.items():
        print(f"{metric:<32} {tally.values:>10,} values, worst {tally.worst:.1e} {tally.where}")  # noqa: T201 - for `pytest -s`
    assert {name: tally.nulls[:3] for name, tally in tallies.items() if tally.nulls} == {}
    wrong = {n: t for n, t in tallies.items() if not t.worst <= indicators.TOLERANCE}
    assert wrong == {}
    assert all(tally.values > 10_000 for tally in tallies.values())


def test_a_split_makes_no_crash(mart: pd.DataFrame, bars: pd.DataFrame) -> None:
    """Apple, 28 February 2005: the close halves, and no average falls with it but in its unit."""
    rows = mart[mart.symbol == "AAPL"].set_index("session_date")
    before, after = rows.loc["2005-02-25"], rows.loc["2005-02-28"]

    assert after.close_price < 0.6 * before.close_price
    assert after.sma_200 == pytest.approx(before.sma_200 / 2, rel=0.01)
    assert after.rsi_14 > 50
    assert after.atr_14 < 0.6 * before.atr_14
