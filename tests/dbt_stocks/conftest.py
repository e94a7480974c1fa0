"""A warehouse with raw rows of every kind, and the gate's commands on it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingestion.settings import ROOT
from tests.dbt_stocks.raw import (
    XNYS,
    RawWarehouse,
    action,
    anomaly,
    at,
    bar,
    naive,
    quote,
    trade_bars,
    window,
)

FRIDAY, MONDAY = date(2013, 2, 22), date(2013, 2, 25)
HALF_DAY = date(2012, 11, 23)
MARTS = {model.stem for model in (ROOT / "dbt_stocks/models/gold").rglob("*.sql")}
EVENING = at(2013, 2, 27, 0, 30)  # still Tuesday the 26th in New York


@dataclass(frozen=True)
class Project:
    """A state folder with a warehouse, and our commands run against it in other processes."""

    state: Path

    @property
    def raw(self) -> RawWarehouse:
        return RawWarehouse(self.state / "warehouse" / "stocks_mds.duckdb")

    @property
    def gold(self) -> Path:
        return self.state / "gold"

    @property
    def environment(self) -> dict[str, str]:
        # A machine whose date is neither UTC's nor the exchange's for much of the day.
        return os.environ | {"TAPEHOUSE_ENV_FILE": str(self.state / "env"), "TZ": "Asia/Tokyo"}

    def dbt_stocks(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dbt_stocks", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def build(self, *arguments: str) -> dict[str, Any]:
        report = self.state / "report.json"
        found = self.dbt_stocks("build", "--report", str(report), *arguments)
        assert found.returncode == 0, found.stdout + found.stderr
        loaded: dict[str, Any] = json.loads(report.read_text())
        return loaded


def new_project(state: Path) -> Project:
    state.mkdir(parents=True, exist_ok=True)
    (state / "env").write_text(f"TAPEHOUSE_STATE_DIR={state}\n")
    project = Project(state)
    project.raw.create()
    return project


def minutes(day: date, count: int, start: int = 1) -> list[datetime]:
    session = XNYS.session(day)
    assert session is not None
    return [naive(session.open_at) + timedelta(minutes=start + n) for n in range(count)]


def first_batch(raw: RawWarehouse) -> None:
    """Good records of every kind and one of each kind of bad one."""
    good = ("10", "12", "9", "11")
    raw.bars(
        [
            bar("AAPL", FRIDAY, ("20", "24", "18", "22"), 500),
            bar("AAPL", MONDAY, good, 300, as_of=at(2013, 2, 25, 17)),
            bar("AAPL", HALF_DAY, good, 90),
            bar("GOOG", MONDAY, good),
            bar("MSFT", MONDAY, (None, None, None, None), 70),
            bar("IBM", MONDAY, ("10", "9", "8", "9.5")),
            bar("IBM", date(2013, 2, 24), good),
            bar("ZZZZ", MONDAY, good),
        ]
    )
    raw.actions([action("AAPL", MONDAY, "split", "2"), action("AAPL", FRIDAY, "split", "-1")])
    same_second = minutes(MONDAY, 1, start=30)[0]
    raw.quotes(
        [
            *(quote(s, same_second, 10.0) for s in ("AAPL", "GOOG", "MSFT", "IBM", "FB")),
            quote("AAPL", same_second, 10.0),
            quote("AAPL", minutes(MONDAY, 1, 31)[0], 0.0, o=0, h=0, l=0, t=0),
            quote("AAPL", minutes(FRIDAY, 1, 389)[0], 9.0, minutes(MONDAY, 1, 60)[0]),
            quote("AAPL", minutes(MONDAY, 1, 32)[0], 10.0, c="10"),
            quote("ZZZZ", minutes(MONDAY, 1, 33)[0], 10.0),
            "bm90IGpzb24=",
        ]
    )
    raw.windows(window("AAPL", end) for end in minutes(MONDAY, 1, 5) + minutes(MONDAY, 1, 10))
    raw.windows([window("AAPL", minutes(FRIDAY, 1, 5)[0], session_date=date(2013, 2, 24))])
    [opened] = minutes(MONDAY, 1, 0)
    for symbol in ("AAPL", "GOOG", "ZZZZ"):
        raw.trade_bars(trade_bars(symbol, opened))
        raw.anomalies(anomaly(symbol, opened, subject) for subject in ("stays", "goes"))


def second_batch(raw: RawWarehouse) -> None:
    """What comes late: re-sent records, a bar polled again, its correction, a window's revision."""
    raw.batch, raw.offsets = 2, {"stock-market-batch": 100, "stock-quotes": 100}
    raw.bars(
        [
            bar("AAPL", MONDAY, ("10", "12", "9", "11.5"), 450, as_of=at(2013, 2, 26, 12)),
            bar("AAPL", MONDAY, ("10", "12", "9", "11.2"), 400, as_of=at(2013, 2, 25, 19)),
        ]
    )
    moment = minutes(MONDAY, 1, 30)[0]
    conflict = quote("AAPL", moment, 10.0) | {"data": quote("AAPL", moment, 99.0)["data"]}
    raw.quotes(
        [
            quote("GOOG", moment, 10.0),
            quote("MSFT", moment, 10.5, moment + timedelta(seconds=30)),
            quote("AAPL", EVENING, 12.0),
            conflict,
        ]
    )
    raw.windows([window("AAPL", minutes(MONDAY, 1, 10)[0], revision=2, ma_15m=11.0)])
    [opened] = minutes(MONDAY, 1, 0)
    raw.trade_bars(trade_bars("AAPL", opened, n_trades=4, revision=2))
    raw.trade_bars(trade_bars("GOOG", opened, n_trades=0, revision=2))
    raw.anomalies([anomaly("AAPL", opened, "goes", value=None, revision=2)])


@pytest.fixture(scope="session")
def two_batches(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two batches, each built and published as it came: silver and marts are increments."""
    project = new_project(tmp_path_factory.mktemp("dbt"))
    raw = project.raw
    first_batch(raw)
    project.build("--build-id", "first")
    second_batch(raw)
    project.build("--build-id", "second")
    return project


@pytest.fixture
def gold_only(tmp_path: Path) -> Iterator[Project]:
    """A warehouse with a hand-made candidate mart, to publish without running dbt."""
    yield new_project(tmp_path / "state")
