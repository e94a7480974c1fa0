"""The simulator against what real data shows; `pytest -s` prints the tables."""

import random
from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from ingestion.calendar import Calendar, Session
from ingestion.sources import moments, tape
from ingestion.sources.daily_bar import DailyBar
from ingestion.sources.market import Market, made_up
from ingestion.sources.moments import DAILY, TICKS, Target

FRACTION = Decimal("0.04")


@pytest.mark.parametrize("seed", [7, 8, 9])
def test_a_generated_market_has_the_moments_of_a_real_one(nyse: Calendar, seed: int) -> None:
    bars = Market(seed, made_up(60), nyse).bars(date(1999, 1, 1), date(2021, 12, 31))

    found = moments.daily(bars)

    print(moments.table(found, DAILY))  # noqa: T201 - shown with `pytest -s`
    assert moments.outside(found, DAILY) == {}


@pytest.mark.parametrize("symbol", ["AAPL", "GOOG", "MSFT", "IBM"])
def test_trades_inside_recorded_bars_have_the_moments_of_real_ticks(
    all_bars: list[DailyBar], symbol: str
) -> None:
    chosen = random.Random(3).sample([bar for bar in all_bars if bar.symbol == symbol], 60)

    found = moments.ticks([tape.record(bar, 7, FRACTION) for bar in chosen])

    print(moments.table(found, TICKS))  # noqa: T201 - shown with `pytest -s`
    assert moments.outside(found, TICKS) == {}


def test_trades_inside_generated_bars_have_them_too(nyse: Calendar) -> None:
    bars = Market(7, made_up(10), nyse).bars(date(2020, 3, 2), date(2020, 3, 13))

    found = moments.ticks([tape.record(bar, 7, FRACTION) for bar in bars])

    assert moments.outside(found, TICKS) == {}


def test_independent_normal_returns_are_told_apart(nyse: Calendar) -> None:
    sessions = nyse.sessions(date(2000, 1, 1), date(2009, 12, 31))

    found = moments.daily([*_walk("A", sessions), *_walk("B", sessions)])

    assert moments.outside(found, DAILY).keys() == DAILY.keys() - {"sd", "skew"}


def _walk(symbol: str, sessions: list[Session]) -> Iterator[DailyBar]:
    rng = np.random.default_rng(ord(symbol))
    closes = (10**9 * np.exp(np.cumsum(0.022 * rng.standard_normal(len(sessions))))).tolist()
    volumes = rng.integers(10**5, 10**6, len(sessions)).tolist()
    for number, (session, volume) in enumerate(zip(sessions, volumes, strict=True)):
        opened, close = int(closes[max(0, number - 1)]), int(closes[number])
        yield DailyBar(symbol, session, opened, close, opened, close, volume, opened)


def test_the_table_has_a_line_for_each_target() -> None:
    lines = moments.table({"x": 0.5}, {"x": Target("0.4", 0.3, 0.6)}).splitlines()

    assert len(lines) == 2
    assert lines[1].split() == ["x", "0.4", "0.500", "0.3", "to", "0.6"]


def test_equal_prices_alone_are_no_equal_rows(all_bars: list[DailyBar]) -> None:
    found = tape.record(all_bars[0], 7, FRACTION)
    assert found is not None

    counted = moments.ticks([found])

    rows = {*zip(found.at.tolist(), found.price.tolist(), found.size.tolist(), strict=True)}
    assert counted["equal_rows"] == pytest.approx(1 - len(rows) / len(found))
    assert counted["zero_change"] == pytest.approx(np.mean(np.diff(found.price) == 0))
