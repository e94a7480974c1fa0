"""The market marts against pandas and numpy, on real bars."""

from collections.abc import Callable
from dataclasses import dataclass

import duckdb
import pandas as pd
import pytest
import yaml

from ingestion.settings import ROOT
from tests.dbt_stocks import daily_data, market_data
from tests.dbt_stocks.conftest import Project, new_project
from tests.dbt_stocks.oracles import market as oracle
from tests.dbt_stocks.oracles.compare import assert_equal

VARS = yaml.safe_load((ROOT / "dbt_stocks/dbt_project.yml").read_text())["vars"]
INSTRUMENTS = pd.read_csv(
    ROOT / "dbt_stocks/seeds/instruments.csv", parse_dates=["valid_from", "valid_to"]
)
FIRST, LAST = pd.Timestamp("2013-07-01"), pd.Timestamp("2015-12-31")


@dataclass(frozen=True)
class Market:
    """A built warehouse of real bars, and the same bars for the oracle."""

    project: Project
    panel: oracle.Panel

    def mart(self, name: str) -> pd.DataFrame:
        with duckdb.connect(self.project.gold / "current", read_only=True) as db:
            return db.execute(f"from gold.{name}").df()


def identified(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the instrument that had the symbol that day; a bar of nobody's is left out."""
    found = frame.merge(INSTRUMENTS[["symbol", "instrument_id", "valid_from", "valid_to"]])
    ends = found.valid_to.fillna(pd.Timestamp.max.normalize())
    return found[(found.valid_from <= found.session_date) & (found.session_date <= ends)]


def recorded() -> pd.DataFrame:
    return market_data.recorded()


def sp500() -> pd.DataFrame:
    if not daily_data.IS_SP500_WANTED:
        pytest.skip(daily_data.NO_SP500)
    listed = INSTRUMENTS[(INSTRUMENTS.valid_from <= FIRST) & ~(INSTRUMENTS.valid_to <= LAST)]
    return market_data.sp500(sorted(listed.symbol), str(FIRST.date()))


@pytest.fixture(scope="module", params=[recorded, sp500])
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Market:
    """Real bars, built and published with every test of the project."""
    make: Callable[[], pd.DataFrame] = request.param
    frame = make()
    project = new_project(tmp_path_factory.mktemp(make.__name__))
    market_data.put_bars(project.raw, frame)
    market_data.put_actions(project.raw, frame)
    project.build("--build-id", make.__name__)
    return Market(project, oracle.Panel(identified(frame)))


def test_movers_are_what_sorting_the_returns_gives(market: Market) -> None:
    expected = oracle.movers(
        market.panel, VARS["movers_min_dollar_volume"], VARS["movers_per_direction"]
    )

    assert_equal(
        market.mart("gold_movers"), expected, ["session_date", "direction", "rank"], "movers"
    )


def test_volatilities_are_ranked_as_pandas_ranks_them(market: Market) -> None:
    expected = oracle.volatility_ranks(market.panel)

    assert_equal(
        market.mart("gold_volatility_rank"),
        expected,
        ["session_date", "instrument_id"],
        "volatility_rank",
    )


def test_correlations_are_numpy_s(market: Market) -> None:
    found = market.mart("gold_correlation_matrix")
    expected = oracle.correlations(
        market.panel,
        tuple(VARS["correlation_windows"]),
        VARS["correlation_months"],
        VARS["correlation_instruments"],
        VARS["correlation_min_share"],
    )

    key = ["session_date", "window_sessions", "instrument_id_a", "instrument_id_b"]
    assert_equal(found, expected, key, "correlation_matrix")


def test_a_matrix_of_complete_returns_has_no_negative_eigenvalue(market: Market) -> None:
    found = market.mart("gold_correlation_matrix")
    last = found[found.session_date == found.session_date.max()]
    complete = last[(last.window_sessions == 252) & (last.n_obs == 252)]

    lowest = oracle.lowest_eigenvalue(complete)
    assert lowest > -1e-9, lowest


def test_breadth_is_what_counting_one_by_one_gives(market: Market) -> None:
    sectors = dict(zip(INSTRUMENTS.instrument_id, INSTRUMENTS.sector, strict=True))
    expected = oracle.breadth(market.panel, sectors)

    assert_equal(
        market.mart("gold_market_breadth"), expected, ["session_date", "universe"], "market_breadth"
    )


def test_a_card_shows_the_volume_and_the_year_of_its_last_bar(market: Market) -> None:
    found = market.mart("gold_kpi")
    expected = oracle.latest(market.panel)

    shown = expected[expected.instrument_id.isin(found.instrument_id)]
    assert_equal(found, shown, ["instrument_id"], "kpi")
    assert len(shown) >= 5
