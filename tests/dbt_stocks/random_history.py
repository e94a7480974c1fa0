"""Histories of bars and corporate actions with everything that comes late, from a seed.

``python -m tests.dbt_stocks.random_history STATE SEED`` loads such a history batch by batch with a
dbt run after each, then all of it at once, and prints what differs between the two. It is a process
of its own because dbt changes the one that it runs in.
"""

import json
import math
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.dbt_stocks.raw import XNYS, RawWarehouse, action, bar, naive

# Each with the columns that name a row. A mart that is kept by increments belongs here.
MARTS: Final = {
    "silver.silver_daily_bars": ("instrument_id", "session_date"),
    "silver.silver_daily_returns": ("instrument_id", "session_date"),
    "silver.silver_market_returns": ("session_date", "simulated"),
    "gold_candidate.fct_corporate_action": (
        "instrument_id", "ex_date", "action_type", "revision"
    ),
    "gold_candidate.fct_adjustment_factor": (
        "instrument_id", "simulated", "convention", "valid_from"
    ),
    "gold_candidate.gold_daily_metrics": ("instrument_id", "session_date"),
    "gold_candidate.gold_drawdown": ("instrument_id", "session_date"),
    "gold_candidate.gold_daily_prices_adjusted": (
        "instrument_id", "session_date", "convention"
    ),
    "silver.silver_comparable_bars": ("instrument_id", "session_date"),
    "silver.silver_smoothed_bars": ("instrument_id", "session_date"),
    "gold_candidate.gold_technical_indicators": ("instrument_id", "session_date"),
    "gold_candidate.gold_candlestick": ("instrument_id", "candle_interval", "session_date"),
    "gold_candidate.gold_movers": ("session_date", "simulated", "direction", "rank"),
    "gold_candidate.gold_volatility_rank": ("session_date", "instrument_id"),
    "gold_candidate.gold_market_breadth": ("session_date", "universe", "simulated"),
    "gold_candidate.gold_correlation_matrix": (
        "session_date", "window_sessions", "instrument_id_a", "instrument_id_b"
    ),
    "gold_candidate.gold_treechart": ("instrument_id", "session_date"),
    "gold_candidate.gold_kpi": ("instrument_id",),
    "gold_candidate.gold_daily_bar_history": (
        "instrument_id", "session_date", "source", "simulated", "valid_from"
    ),
    "gold_candidate.gold_source_reconciliation": (
        "instrument_id", "session_date", "source_a", "source_b"
    ),
}  # fmt: skip
# Engines sum in an order of their own; a wrong row differs by more.
RELATIVE: Final = 1e-12
# Differences of averages cross nought: they are as exact as the prices that they are made of.
SCALES: Final = dict.fromkeys(("macd_line", "macd_signal", "macd_histogram"), "close_price")
# FB was renamed to META within these sessions, and the days span more than the longest window.
FIRST, LAST = date(2021, 4, 1), date(2022, 8, 31)
SHARES: Final = ("apple", "ibm", "microsoft", "meta-platforms", "amazon")
# These miss sessions, or have made-up bars in them: either leaves a year without a beta, and the
# others are to have one.
HALTED: Final = ("ibm", "amazon")
# So late that some averages have not begun when increments come.
LISTED: Final = {"amazon": date(2022, 2, 1)}
_SYMBOLS: Final = {"apple": "AAPL", "ibm": "IBM", "microsoft": "MSFT", "amazon": "AMZN"}
_RENAMED: Final = date(2022, 6, 9)
_BATCHES: Final = 3


@dataclass
class Batch:
    """What one load brings."""

    bars: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)


class Told(NamedTuple):
    """An action that was sent."""

    share: str
    day: date
    kind: str
    value: str
    source: str


class History:
    """Draws batches: new sessions in each, and corrections of what the ones before had."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._days = [found.session_date for found in XNYS.sessions(FIRST, LAST)]
        self._price = {share: self._random.uniform(5, 500) for share in SHARES}
        self._sent: list[tuple[str, date]] = []
        self._left_out: list[tuple[str, date]] = []
        self._made_up: list[tuple[str, date]] = []
        self._acted: list[Told] = []

    def batches(self) -> list[Batch]:
        """Return all of them, in the order of their loads."""
        first = int(len(self._days) * 0.9)
        ends = [first, *(first + (len(self._days) - first) * n // 2 for n in (1, 2))]
        starts = [0, *ends]
        return [
            self._batch(self._days[start:end], number)
            for number, (start, end) in enumerate(zip(starts, ends, strict=False))
        ]

    def _batch(self, days: Sequence[date], number: int) -> Batch:
        made = Batch()
        if number:
            self._late(made, number)
        for day in days:
            for share in (one for one in SHARES if LISTED.get(one, day) <= day):
                if share in HALTED and self._random.random() < 0.02:
                    self._left_out.append((share, day))
                else:
                    self._new(made, share, day)
                if self._random.random() < 0.01:
                    self._act(made, share, day)
        return made

    def _new(self, made: Batch, share: str, day: date) -> None:
        self._sent.append((share, day))
        forming = self._random.random() < 0.01
        session = XNYS.session(day)
        assert session is not None
        known = naive(session.close_at) + timedelta(minutes=-60 if forming else 15)
        simulated = share in HALTED and self._random.random() < 0.3
        if simulated:
            self._made_up.append((share, day))
        made.bars.append(self._bar(share, day, as_of=known, fetched_at=known, simulated=simulated))

    def _late(self, made: Batch, number: int) -> None:
        """Draw what comes late: corrections, bars of the other kind, gaps that close, actions."""
        for share, day in self._random.sample(self._sent, 4):
            made.bars.append(self._restated(share, day, number))
        for share, day in self._random.sample(self._sent, 3):
            adjusted = {"source": "yahoo", "adjustment": "split"}
            made.bars.append(self._restated(share, day, number) | adjusted)
        for share, day in self._random.sample(self._left_out, min(2, len(self._left_out))):
            self._left_out.remove((share, day))
            self._new(made, share, day)
        for share, day in self._random.sample(self._made_up, 2):
            self._made_up.remove((share, day))
            made.bars.append(self._restated(share, day, number))
        for share, day in self._random.sample(self._sent, 2):
            made.bars.append(self._restated(share, day, number, simulated=True))
        for share, day in self._random.sample(self._sent, 2):
            self._act(made, share, day)
        restated, taken_back, any_other = self._random.sample(self._acted, 3)
        split = self._random.choice([one for one in self._acted if one.kind == "split"])
        neutral = "1" if taken_back.kind == "split" else "0"
        self._tell(made, restated._replace(value=self._value(restated.kind)), number)
        self._tell(made, taken_back._replace(value=neutral), number)
        # By its source, which has corrected the ex-date, and by another one.
        for one, source in ((split, split.source), (any_other, "alphavantage")):
            next_day = XNYS.sessions(one.day + timedelta(days=1), LAST + timedelta(days=7))[
                0
            ].session_date
            self._tell(made, one._replace(day=next_day, source=source), number)

    def _act(self, made: Batch, share: str, day: date) -> None:
        kind = "split" if self._random.random() < 0.3 else "dividend"
        source = self._random.choice(["recorded", "recorded", "yahoo", "alphavantage"])
        told = Told(share, day, kind, self._value(kind), source)
        self._acted.append(told)
        self._tell(made, told, simulated=self._random.random() < 0.1)

    def _tell(self, made: Batch, told: Told, days: int = 0, *, simulated: bool = False) -> None:
        """Send an action that was known at noon of its day, or days after a later session."""
        changes: dict[str, Any] = {"source": told.source, "simulated": simulated}
        if days:
            session = XNYS.session(told.day)
            assert session is not None
            known = naive(session.close_at) + timedelta(days=days)
            changes["as_of"] = known
        symbol = _symbol(told.share, told.day)
        made.actions.append(action(symbol, told.day, told.kind, told.value, **changes))

    def _value(self, kind: str) -> str:
        if kind == "split":
            return self._random.choice(["2", "3", "1.5", "0.5", "1.047613"])
        return f"{self._random.uniform(0.01, 2):.4f}"

    def _restated(self, share: str, day: date, number: int, **changes: Any) -> dict[str, Any]:
        session = XNYS.session(day)
        assert session is not None
        # Some are older than what they come after: known before, loaded later.
        hours = self._random.choice([-2, 24 * number, 24 * 400])
        known = naive(session.close_at) + timedelta(hours=hours)
        return self._bar(share, day, as_of=known, fetched_at=known, **changes)

    def _bar(self, share: str, day: date, **changes: Any) -> dict[str, Any]:
        price = self._price[share] = self._price[share] * math.exp(self._random.gauss(0, 0.02))
        opened = price * math.exp(self._random.gauss(0, 0.01))
        prices = (opened, max(opened, price) * 1.01, min(opened, price) * 0.99, price)
        texts = tuple(f"{value:.6f}" for value in prices)
        volume = self._random.randrange(1, 10**6)
        return bar(_symbol(share, day), day, texts, volume, **changes)


def differences(one: RawWarehouse, other: RawWarehouse, mart: str) -> list[str]:
    """Return what differs between the rows of a mart in two warehouses."""
    columns = [
        str(name)
        for (name,) in one.query(f"select column_name from (describe {mart})")
        if name != "build_id"
    ]
    sql = f"select {', '.join(columns)} from {mart} order by {', '.join(MARTS[mart])}"
    mine, theirs = one.query(sql), other.query(sql)
    if len(mine) != len(theirs):
        return [f"{mart}: {len(mine)} rows, at once {len(theirs)}"]
    return [
        f"{mart}.{column} of {row[: len(MARTS[mart])]}: {left!r}, at once {right!r}"
        for row, twin in zip(mine, theirs, strict=True)
        for column, left, right in zip(columns, row, twin, strict=True)
        if not _same(left, right, _scale(column, columns, row))
    ]


def empty_columns(raw: RawWarehouse, mart: str) -> list[str]:
    """Return the columns of a mart that no row has a value in: nothing was compared in them."""
    return [
        str(name)
        for (name,) in raw.query(f"select column_name from (describe {mart})")
        if raw.value(f"select count({name}) from {mart}") == 0
    ]


def _scale(column: str, columns: Sequence[str], row: tuple[Any, ...]) -> float:
    """Return what a difference in a column is related to, besides the value itself."""
    return float(row[columns.index(SCALES[column])]) if column in SCALES else 0.0


def _same(left: object, right: object, scale: float) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        nought = max(1e-15, RELATIVE * scale)
        return math.isclose(left, right, rel_tol=RELATIVE, abs_tol=nought)
    return left == right


def _symbol(share: str, day: date) -> str:
    if share == "meta-platforms":
        return "FB" if day < _RENAMED else "META"
    return _SYMBOLS[share]


def _build(raw: RawWarehouse, number: int, *arguments: str) -> None:
    from dbt_stocks import runner  # dbt sets up the process that imports it, pytest's must not be

    state = raw.path.parent
    selected = [f"+{mart.rpartition('.')[2]}" for mart in MARTS]
    given = ["--select", *selected, "--exclude-resource-types", "test", "unit_test", *arguments]
    variables = {
        "WAREHOUSE_PATH": str(raw.path),
        "TAPEHOUSE_BUILD_ID": f"b{number}",
        "TAPEHOUSE_NOW": "",
        "DBT_MODULE_PATH": str(runner.PROJECT),
    }
    found = runner.Dbt(state / "dbt", variables).invoke("build", given)
    assert not found.bad, [result.line() for result in found.bad]


def main(state: Path, seed: int) -> None:
    """Load and build, compare, and print the differences and the empty columns as JSON."""
    raw = RawWarehouse(state / "increments" / "stocks_mds.duckdb").create()
    for number, batch in enumerate(History(seed).batches(), start=1):
        raw.batch = number
        raw.bars(batch.bars)
        raw.actions(batch.actions)
        _build(raw, number)
    at_once = RawWarehouse(state / "at_once" / "stocks_mds.duckdb")
    shutil.copytree(raw.path.parent, at_once.path.parent)
    _build(at_once, _BATCHES + 1, "--full-refresh")
    found = {mart: differences(raw, at_once, mart) for mart in MARTS}
    empty = {mart: empty_columns(raw, mart) for mart in MARTS}
    sys.stdout.write(json.dumps({"different": found, "empty": empty}, default=str) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
