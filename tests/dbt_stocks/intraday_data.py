"""Minutes of trades and of providers' bars with gaps, half a day, corrections, and the same again.

Every batch is drawn from a seed; what a source holds in the end is kept for the oracle.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from tests.dbt_stocks.raw import LANDED_AT, XNYS, RawWarehouse, action, at, bar, naive

WEDNESDAY, HALF_DAY, MONDAY = date(2013, 11, 27), date(2013, 11, 29), date(2013, 12, 2)
# Told in the last batch: what a source had adjusted for it by then is twice as much as traded.
SPLIT_DAY, REFETCHED_AT = date(2013, 12, 9), at(2013, 12, 10, 12)
_WIDTHS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "1d": 1440}
_LATENESS = timedelta(minutes=2)
Minutes = dict[datetime, dict[str, Any]]


@dataclass
class Market:
    """Draws minutes and puts them into raw tables, a batch after the other."""

    raw: RawWarehouse
    seed: int
    held: dict[tuple[str, str, str, date], pd.DataFrame] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin the sequence of draws and of revisions."""
        self._random = random.Random(self.seed)
        self._trades: dict[tuple[str, str, date], Minutes] = {}

    def load(self, batch: int) -> None:
        """Add one batch of three."""
        self.raw.batch = batch
        (self._first, self._second, self._third)[batch - 1]()

    def frame(self) -> pd.DataFrame:
        """Return every minute bar that a source holds now, for the oracle."""
        return pd.concat([rows for rows in self.held.values() if len(rows)], ignore_index=True)

    def _first(self) -> None:
        for day in (WEDNESDAY, HALF_DAY):
            self._trade("AAPL", "finnhub", day, simulated=False)
            self._trade("IBM", "simulator", day, simulated=True)
            self._trade("MSFT", "finnhub", day, simulated=False)
        self._trade("GOOG", "finnhub", WEDNESDAY, simulated=False, last=40)
        self._provide("MSFT", WEDNESDAY, as_of=at(2013, 11, 28, 12))
        self._trade("AAPL", "finnhub", MONDAY, simulated=False, last=97)
        self._trade("IBM", "simulator", MONDAY, simulated=True, last=97)
        self._trade("MSFT", "finnhub", MONDAY, simulated=False, last=97)

    def _second(self) -> None:
        self._correct("AAPL", "finnhub", HALF_DAY, simulated=False)
        self._correct("GOOG", "finnhub", WEDNESDAY, simulated=False, cancelled=1.0)
        for symbol, source in (("AAPL", "finnhub"), ("IBM", "simulator"), ("MSFT", "finnhub")):
            self._trade(symbol, source, MONDAY, simulated=source == "simulator", first=97)
        # It has stopped: its last bar is an hour older than the newest trade.
        self._provide("MSFT", MONDAY, as_of=at(2013, 12, 2, 20), last=330)

    def _third(self) -> None:
        self._provide("IBM", HALF_DAY, as_of=at(2013, 11, 29, 19))
        self._provide("MSFT", WEDNESDAY, as_of=at(2013, 11, 29, 12), share=0.2)
        self._provide("MSFT", HALF_DAY, as_of=REFETCHED_AT, adjustment="split")
        told = {"source": "yahoo", "as_of": REFETCHED_AT, "fetched_at": REFETCHED_AT}
        self.raw.actions([action("MSFT", SPLIT_DAY, "split", "2", **told)])
        prices = ("30", "99", "20", "31")
        self.raw.bars(
            [
                bar("AAPL", WEDNESDAY, prices, 10**7),
                bar("AAPL", MONDAY, prices, 10**7, as_of=at(2013, 12, 2, 18)),
                bar("IBM", HALF_DAY, prices, 10**7, source="simulator", simulated=True),
            ]
        )

    def _trade(
        self, symbol: str, source: str, day: date, *, simulated: bool, first: int = 0,
        last: int = 10_000,
    ) -> None:  # fmt: skip
        """Add trades of minutes [first, last), and what the lake makes of all so far."""
        opened, n_minutes = _hours(day)
        key = (symbol, source, day)
        for number in range(first, min(last, n_minutes)):
            if self._random.random() < 0.7:
                self._trades.setdefault(key, {})[opened + timedelta(minutes=number)] = self._bar()
        clock = opened + timedelta(minutes=min(last, n_minutes + 60))
        self._lake(key, clock - _LATENESS, simulated)

    def _correct(
        self, symbol: str, source: str, day: date, *, simulated: bool, cancelled: float = 0.1
    ) -> None:
        key = (symbol, source, day)
        for start, known in self._trades[key].items():
            if self._random.random() < cancelled:
                self._trades[key][start] = dict.fromkeys(known) | {"volume": 0, "n_trades": 0}
            elif self._random.random() < 0.1:
                self._trades[key][start] = self._bar()
        self._lake(key, _hours(day)[0] + timedelta(days=1), simulated)

    def _bar(self) -> dict[str, Any]:
        cents = sorted(self._random.randint(2_000, 2_400) for _ in range(4))
        low, one, other, high = (Decimal(price) / 100 for price in cents)
        opened, closed = self._random.sample([one, other], 2)
        return {
            "open": opened, "high": high, "low": low, "close": closed,
            "volume": self._random.choice([0, *[self._random.randint(1, 9_999)] * 9]),
            "n_trades": self._random.randint(1, 50),
        }  # fmt: skip

    def _lake(self, key: tuple[str, str, date], settled: datetime, simulated: bool) -> None:
        symbol, source, day = key
        opened, n_minutes = _hours(day)
        known = {
            "symbol": symbol, "source": source, "segment": "regular", "simulated": simulated,
            "session_date": day, "revision": self.raw.batch, "computed_at": LANDED_AT,
        }  # fmt: skip
        rows = []
        for interval, width in _WIDTHS.items():
            for start, part in _steps(self._trades[key], opened, width).items():
                end = min(start + timedelta(minutes=width), opened + timedelta(minutes=n_minutes))
                merged = _merge(part) | {"interval": interval, "start_at": start, "end_at": end}
                final = {"is_final": end <= settled, "as_of": start + timedelta(seconds=61)}
                rows.append(known | merged | final)
        self.raw.trade_bars(rows)
        of_minutes = [r for r in rows if r["interval"] == "1m" and r["n_trades"]]
        self._hold("trades", key, of_minutes, settled, 1)

    def _provide(
        self, symbol: str, day: date, *, as_of: datetime, last: int = 10_000, share: float = 1.0,
        adjustment: str = "raw",
    ) -> None:  # fmt: skip
        """Add a provider's bars of a share of the minutes; the others stay as they are."""
        opened, n_minutes = _hours(day)
        rows = []
        for number in range(min(last, n_minutes)):
            if self._random.random() < share:
                start = opened + timedelta(minutes=number)
                made = self._bar()
                prices = tuple(str(made[name]) for name in ("open", "high", "low", "close"))
                rows.append(
                    bar(symbol, day, prices, 2 * made["volume"], source="yahoo", interval="1m",
                        start_at=start, event_at=start, as_of=as_of, fetched_at=as_of,
                        adjustment=adjustment)
                )  # fmt: skip
        self.raw.bars(rows)
        merged = [
            row | {"is_final": True, "n_trades": None, "vwap": None, "start_at": row["start_at"]}
            for row in rows
        ]
        factor = 2 if adjustment == "split" else 1
        self._hold("provider_minutes", (symbol, "yahoo", day), merged, as_of, factor)

    def _hold(
        self, made_of: str, key: tuple[str, str, date], rows: list[dict[str, Any]],
        settled: datetime, factor: int,
    ) -> None:  # fmt: skip
        _, _, day = key
        wanted = ("symbol", "source", "simulated", "session_date", "start_at", "volume",
                  "n_trades", "is_final", "vwap")  # fmt: skip
        prices = ("open", "high", "low", "close")
        found = pd.DataFrame(
            [
                {name: row[name] for name in wanted}
                | {name: float(row[name]) * factor for name in prices}
                for row in rows
            ]
        )
        if len(found):
            found = found.assign(
                made_of=made_of,
                settled_at=settled,
                volume=found.volume.astype(float) / factor,
                n_trades=found.n_trades.astype(float),
                session_date=pd.Timestamp(day),
            )
            typical = (found.high + found.low + found.close) / 3
            found["vwap"] = found.vwap.astype(float).fillna(typical)
        name = (made_of, *key)
        if made_of == "provider_minutes" and name in self.held:
            before = self.held[name].assign(settled_at=settled)
            before = before[~before.start_at.isin(found.start_at)]
            found = pd.concat([before, found])
        self.held[name] = found


def _hours(day: date) -> tuple[datetime, int]:
    session = XNYS.session(day)
    assert session is not None
    opened, closed = naive(session.open_at), naive(session.close_at)
    return opened, int((closed - opened) / timedelta(minutes=1))


def _steps(minutes: Minutes, opened: datetime, width: int) -> dict[datetime, list[dict[str, Any]]]:
    found: dict[datetime, list[dict[str, Any]]] = {}
    step = timedelta(minutes=width)
    for start in sorted(minutes):
        found.setdefault(opened + (start - opened) // step * step, []).append(minutes[start])
    return found


def _merge(part: Iterable[dict[str, Any]]) -> dict[str, Any]:
    traded = [one for one in part if one["n_trades"]]
    volume = sum(one["volume"] for one in traded)
    prices = {name: None for name in ("open", "high", "low", "close")}
    if traded:
        prices |= {
            "open": traded[0]["open"],
            "high": max(one["high"] for one in traded),
            "low": min(one["low"] for one in traded),
            "close": traded[-1]["close"],
        }
    middle = sum(float(one["low"] + one["high"]) / 2 * one["volume"] for one in traded)
    return prices | {
        "volume": Decimal(volume),
        "vwap": middle / volume if volume else None,
        "n_trades": sum(one["n_trades"] for one in traded),
    }
