"""One symbol's daily bars as columns, and how a later split or dividend changes them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

import numpy as np

from ingestion.calendar import Session
from ingestion.sources.corporate_actions import Action
from ingestion.sources.daily_bar import UNIT, DailyBar
from ingestion.sources.profile import Floats, Ints

FIELDS = ("open", "high", "low", "close")
# Yahoo (and CRSP) relate a dividend to the close before, Alpha Vantage to that of the ex-date.
Convention = Literal["close_before", "close_on"]
_MILLION = float(UNIT)


@dataclass(frozen=True)
class Columns:
    """Daily bars as traded, in order: prices in millionths, volume in shares.

    ``null_price`` and ``null_volume`` mark what the provider does not give. ``actions`` are by
    position: the bar on whose session they take effect.
    """

    symbol: str
    sessions: list[Session]
    open: Ints
    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    null_price: np.ndarray[tuple[int], np.dtype[np.bool_]]
    null_volume: np.ndarray[tuple[int], np.dtype[np.bool_]]
    actions: Mapping[int, Action]

    def __len__(self) -> int:
        return len(self.sessions)

    def first(self, count: int) -> "Columns":
        """Return the first ``count`` bars, and the actions that have taken effect with them."""
        return replace(
            self,
            sessions=self.sessions[:count],
            open=self.open[:count],
            high=self.high[:count],
            low=self.low[:count],
            close=self.close[:count],
            volume=self.volume[:count],
            null_price=self.null_price[:count],
            null_volume=self.null_volume[:count],
            actions={at: action for at, action in self.actions.items() if at < count},
        )

    def bar(self, position: int) -> DailyBar:
        """Return one bar as traded."""
        return DailyBar(
            self.symbol,
            self.sessions[position],
            int(self.open[position]),
            int(self.high[position]),
            int(self.low[position]),
            int(self.close[position]),
            int(self.volume[position]),
            int(self.close[position - 1]) if position else None,
        )

    def splits(self) -> Iterator[tuple[int, Decimal]]:
        """Return the splits: position of the ex-date, new shares per old."""
        yield from (
            (at, action.value) for at, action in self.actions.items() if action.type == "split"
        )

    def dividends(self) -> Iterator[tuple[int, Decimal]]:
        """Return the dividends: position of the ex-date, amount per share of that day."""
        yield from (
            (at, action.value) for at, action in self.actions.items() if action.type == "dividend"
        )

    def split_factor(self) -> Floats:
        """Return how many of the last bar's shares each bar's share has become."""
        factor = np.ones(len(self))
        for at, ratio in self.splits():
            factor[:at] *= float(ratio)
        return factor

    def dividend_factor(self, convention: Convention) -> Floats:
        """Return what each bar's close is to be multiplied with for the dividends after it."""
        factor = np.ones(len(self))
        for at, amount in self.dividends():
            paid = float(amount) * _MILLION
            if convention == "close_before":
                factor[:at] *= 1 - paid / float(self.close[at - 1])
            else:
                factor[:at] /= 1 + paid / float(self.close[at])
        return factor


def columns(symbol: str, bars: list[DailyBar], actions: Mapping[int, Action]) -> Columns:
    """Return bars as columns."""
    none = np.zeros(len(bars), dtype=np.bool_)
    prices = {
        field: np.array([getattr(bar, field) for bar in bars], dtype=np.int64) for field in FIELDS
    }
    volume = np.array([bar.volume for bar in bars], dtype=np.int64)
    sessions = [bar.session for bar in bars]
    return Columns(
        symbol,
        sessions,
        **prices,
        volume=volume,
        null_price=none,
        null_volume=none,
        actions=actions,
    )


def with_last(
    made: Columns, session: Session, prices: tuple[int, int, int, int], volume: int
) -> Columns:
    """Return the columns with the last bar's values replaced: the one that is still forming."""
    changed = {field: getattr(made, field).copy() for field in FIELDS}
    for field, value in zip(FIELDS, prices, strict=True):
        changed[field][-1] = value
    volumes = made.volume.copy()
    volumes[-1] = volume
    return replace(made, sessions=[*made.sessions[:-1], session], **changed, volume=volumes)
