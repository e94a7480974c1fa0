"""Batch after batch with late corrections, the market marts are what a full refresh makes them."""

import os
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from ingestion.settings import ROOT
from tests.dbt_stocks import market_data
from tests.dbt_stocks.conftest import Project, new_project
from tests.dbt_stocks.oracles.compare import assert_equal
from tests.dbt_stocks.raw import XNYS, RawWarehouse

KEYS = {
    "gold_movers": ["session_date", "direction", "rank"],
    "gold_volatility_rank": ["session_date", "instrument_id"],
    "gold_correlation_matrix": [
        "session_date", "window_sessions", "instrument_id_a", "instrument_id_b",
    ],
    "gold_market_breadth": ["session_date", "universe"],
    "gold_treechart": ["instrument_id", "session_date"],
    "gold_kpi": ["instrument_id"],
}  # fmt: skip
SYMBOLS = ("AAPL", "IBM", "JPM", "KO", "MSFT", "XOM")
FIRST, LAST = date(2012, 1, 3), date(2013, 6, 28)
SESSIONS, BATCHES = 300, 4
pytestmark = pytest.mark.skipif(
    "HISTORIES" not in os.environ,
    reason="make test-increments: test_increments.py has these marts in one history",
)
SEEDS = range(int(os.environ.get("HISTORIES", "1")))


def random_bars(rng: np.random.Generator) -> pd.DataFrame:
    """Return a random walk for each symbol, with halts and days on which nothing moves."""
    days = [session.session_date for session in XNYS.sessions(FIRST, LAST)][:SESSIONS]
    frames = []
    for symbol in SYMBOLS:
        moves = rng.normal(0, 0.02, SESSIONS) * (rng.random(SESSIONS) > 0.05)
        close = (rng.uniform(20, 200) * np.exp(moves.cumsum())).round(2)
        spread = 1 + rng.uniform(0, 0.02, (2, SESSIONS))
        frame = pd.DataFrame({"symbol": symbol, "session_date": pd.to_datetime(days)})
        frame["open"], frame["close"] = close, close
        frame["high"], frame["low"] = (close * spread[0]).round(2), (close / spread[1]).round(2)
        frame["volume"] = rng.integers(5_000, 60_000, SESSIONS)
        frame["split_ratio"], frame["dividend"] = 1.0, 0.0
        frames.append(frame[rng.random(SESSIONS) > 0.01])
    return pd.concat(frames, ignore_index=True)


def corrected(rng: np.random.Generator, loaded: pd.DataFrame) -> pd.DataFrame:
    """Return a few loaded bars with other prices, volumes, dividends and splits."""
    late = loaded.sample(4, random_state=int(rng.integers(2**31))).copy()
    factor = rng.choice([0.5, 0.97, 1.04, 2.0], len(late))
    for price in ("open", "high", "low", "close"):
        late[price] = (late[price] * factor).round(2)
    late["volume"] = rng.integers(1, 200_000, len(late))
    late["split_ratio"] = rng.choice([1.0, 1.0, 2.0, 0.5], len(late))
    late["dividend"] = rng.choice([0.0, 0.5], len(late))
    return late


def load(raw: RawWarehouse, frame: pd.DataFrame) -> None:
    """Load bars and actions; one symbol's source adjusts its prices for splits."""
    is_adjusted = frame.symbol == "IBM"
    market_data.put_bars(raw, frame[~is_adjusted])
    market_data.put_bars(raw, frame[is_adjusted], source="yahoo", adjustment="split")
    market_data.put_actions(raw, frame[~is_adjusted])
    market_data.put_actions(raw, frame[is_adjusted], source="yahoo")


def dbt(project: Project, *arguments: str) -> None:
    """Build what the market marts need, without tests, as a person would."""
    target = str(project.state / "target")
    found = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "build", *arguments,
         "--select", "+path:models/gold/market", "--exclude-resource-type", "test", "unit_test",
         "--target-path", target, "--log-path", target],
        cwd=ROOT / "dbt_stocks",
        env=project.environment | {"WAREHOUSE_PATH": str(project.raw.path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout


def marts(project: Project) -> dict[str, pd.DataFrame]:
    with duckdb.connect(project.raw.path, read_only=True) as db:
        return {
            name: db.execute(f"select * exclude (build_id) from gold_candidate.{name}").df()
            for name in KEYS
        }


def in_batches(project: Project, seed: int) -> None:
    """Load most of the history, then two sessions a batch with corrections of what was before."""
    rng = np.random.default_rng(seed)
    bars, raw = random_bars(rng), project.raw
    days = np.sort(bars.session_date.unique())
    is_late = bars.index.isin(bars.sample(10, random_state=seed).index)
    n_first = len(days) - 2 * (BATCHES - 1)
    known = bars[bars.session_date.isin(days[:n_first]) & ~is_late]
    load(raw, known)
    dbt(project)
    for batch in range(2, BATCHES + 1):
        raw.batch = batch
        new_days = days[n_first + 2 * (batch - 2) :][:2]
        new = bars[bars.session_date.isin(new_days) | (is_late & (batch == 2))]
        load(raw, new)
        load(raw, corrected(rng, known))
        known = pd.concat([known, new])
        dbt(project)


@pytest.mark.parametrize("seed", SEEDS)
def test_increments_and_a_full_refresh_give_the_same_rows(tmp_path: Path, seed: int) -> None:
    project = new_project(tmp_path / "increments")
    in_batches(project, seed)

    whole = new_project(tmp_path / "whole")
    shutil.copy(project.raw.path, whole.raw.path)
    dbt(whole, "--full-refresh")

    found, expected = marts(project), marts(whole)
    for name, key in KEYS.items():
        assert_equal(found[name], expected[name], key, name)
