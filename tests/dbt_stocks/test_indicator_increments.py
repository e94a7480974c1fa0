"""Increments after late corrections, gaps filled and splits told late: the rows of a full refresh.

Every seed is a market of its own; all of them share one warehouse and the same few builds.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from benchmarks.dbt.project import Project
from ingestion import calendar
from tests.dbt_stocks.daily_bars import dbt, new_project
from tests.dbt_stocks.raw import RawWarehouse, action, bar

pytestmark = pytest.mark.skipif(
    "HISTORIES" not in os.environ,
    reason="make test-increments: test_increments.py has these tables in one history",
)
SEEDS = range(24)
TABLES = (
    "silver.silver_daily_bars",
    "silver.silver_comparable_bars",
    "silver.silver_smoothed_bars",
    "gold_candidate.gold_technical_indicators",
)
# Sums of doubles come out in another order when they begin elsewhere.
RELATIVE = 1e-12
_FIRST = date(2012, 1, 3)


@dataclass
class Instrument:
    """One symbol's history as it is told, batch after batch."""

    symbol: str
    draw: random.Random
    price: float = 40.0
    days: list[date] = field(default_factory=list)
    missing: list[date] = field(default_factory=list)
    revisions: int = 0

    def bar(self, day: date, **changes: Any) -> dict[str, Any]:
        """Return a bar around a price that wanders, with a cent's precision."""
        self.price = max(1.0, self.price * self.draw.uniform(0.96, 1.045))
        close = Decimal(str(round(self.price, 2)))
        spread = [Decimal(self.draw.randint(0, 50)) / 100 for _ in range(3)]
        low = max(close - spread[0], Decimal("0.01"))
        prices = (low + (close - low) / 2, close + spread[1], low, close)
        shares = self.draw.choice([0, *[self.draw.randint(1, 10**7)] * 9])
        return bar(self.symbol, day, tuple(map(str, prices)), shares, **changes)

    def history(self, sessions: list[date]) -> list[dict[str, Any]]:
        """Return the bars of sessions; some are left out, to be told later or never."""
        rows = []
        for day in sessions:
            if self.draw.random() < 0.03:
                self.missing.append(day)
            else:
                self.days.append(day)
                rows.append(self.bar(day))
        return rows

    def news(self, sessions: list[date]) -> Iterator[dict[str, Any]]:
        """Yield what a later batch tells: new sessions, and now and then something late."""
        yield from self.history(sessions)
        if self.draw.random() < 0.5:
            self.revisions += 1
            day = self.draw.choice(self.days)
            yield self.bar(day, as_of=_late(self.revisions))
        if self.missing and self.draw.random() < 0.4:
            day = self.missing.pop(self.draw.randrange(len(self.missing)))
            self.days.append(day)
            yield self.bar(day)

    def split(self) -> Iterator[dict[str, Any]]:
        """Yield a split, most often of a day that is past."""
        if self.draw.random() < 0.3:
            ratio = self.draw.choice(["2", "3", "1.5", "0.1", "0.333333"])
            yield action(self.symbol, self.draw.choice(self.days), "split", ratio)


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Project]]:
    """The same raw rows built batch by batch, and at once."""
    instruments = [
        Instrument(f"S{seed}{name}", random.Random(f"{seed}{name}"))
        for seed in SEEDS
        for name in "AB"
    ]
    symbols = [one.symbol for one in instruments]
    stepwise = new_project(tmp_path_factory.mktemp("stepwise"), symbols)
    at_once = new_project(tmp_path_factory.mktemp("at_once"), symbols)
    raws = [RawWarehouse(made.warehouse) for made in (stepwise, at_once)]
    for number, told in enumerate(_batches(instruments), start=1):
        for raw in raws:
            raw.batch = number
            raw.insert("common.bars_raw", _complete(raw, told["bars"]))
            if told["actions"]:
                raw.insert("common.corporate_actions_raw", _complete(raw, told["actions"]))
        _run(stepwise)
    _run(at_once)
    yield stepwise, at_once


def test_increments_give_the_rows_of_a_full_refresh(rebuilt: tuple[Project, Project]) -> None:
    found, expected = (_contents(made) for made in rebuilt)

    for table in TABLES:
        ours, theirs = found[table], expected[table]
        assert len(ours) > 9_000
        assert ours.keys() == theirs.keys(), table
        wrong = [key for key, row in ours.items() if not _is_equal(row, theirs[key])]
        assert wrong == [], (table, ours[wrong[0]], theirs[wrong[0]])


def test_the_increments_were_increments(rebuilt: tuple[Project, Project]) -> None:
    """Rows of the first batch stand where nothing came before or after them."""
    with duckdb.connect(rebuilt[0].warehouse, read_only=True) as db:
        builds = db.execute(
            "select build_id, count(*) from gold_candidate.gold_technical_indicators group by all"
        ).fetchall()

    assert len(builds) == 6
    assert max(rows for _, rows in builds) > 500


def _batches(instruments: list[Instrument]) -> Iterator[dict[str, list[dict[str, Any]]]]:
    sessions = [one.session_date for one in calendar.get().sessions(_FIRST, date(2013, 3, 28))]
    cuts = [250, 251, 254, 255, 265, 266]
    for number, (start, stop) in enumerate(zip([0, *cuts], cuts, strict=False)):
        told: dict[str, list[dict[str, Any]]] = {"bars": [], "actions": []}
        for place, one in enumerate(instruments):
            # Some are listed so late that no average goes on from what was known.
            listed = sessions[(60 if place % 3 else 0) :]
            days = [day for day in listed if sessions[start] <= day < sessions[stop]]
            told["bars"] += one.news(days) if number else one.history(days)
            told["actions"] += one.split()
        yield told


def _complete(raw: RawWarehouse, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [raw._transport("stock-market-batch") | raw._loaded() | row for row in rows]


def _late(revision: int) -> Any:
    return calendar.get().sessions(date(2013, 6, 3))[0].close_at.replace(tzinfo=None) + timedelta(
        minutes=revision
    )


def _run(made: Project) -> None:
    done = dbt(
        made, "build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test",
        "--select", "+gold_technical_indicators",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def _contents(made: Project) -> dict[str, dict[tuple[Any, ...], tuple[Any, ...]]]:
    with duckdb.connect(made.warehouse, read_only=True) as db:
        return {
            table: {
                row[:2]: row[2:]
                for row in db.execute(
                    f"select instrument_id, session_date, columns(lambda c: c not in "
                    f"('instrument_id', 'session_date', 'build_id')) from {table}"
                ).fetchall()
            }
            for table in TABLES
        }


def _is_equal(ours: tuple[Any, ...], theirs: tuple[Any, ...]) -> bool:
    return all(
        a == b
        or (
            isinstance(a, float)
            and isinstance(b, float)
            and abs(a - b) <= RELATIVE * max(abs(a), abs(b), 100.0)
        )
        for a, b in zip(ours, theirs, strict=True)
    )
