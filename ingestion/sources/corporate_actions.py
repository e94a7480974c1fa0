"""Splits and dividends that a file of bars proves by its raw and adjusted closes.

The adjustment factor ``f = adj_close / close`` is constant between two events. Where it changes
from session t-1 to session t, t is an ex-date. The recorded file adjusts with the ex-date's own
close, ``f[t-1] = f[t] / (1 + amount / close[t])``: with ``amount = close[t] * (f[t] / f[t-1] - 1)``
all its 92 dividends come out on the cents that were paid (3.08 of MSFT on 2004-11-15, 2.65 of AAPL
in 2012), within 1e-11; with the other convention in use, that of CRSP and Yahoo (``1 - f[t-1] /
f[t]`` of ``close[t-1]``), they come out as 3.0295 and 2.6350. What fits neither a split nor a
dividend on this grid is not proven, and is not an event.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

# The file's 12 decimals leave a relative noise below 1e-13 in the ratio of two factors.
NOISE = Decimal("1e-9")
# Companies declare in cents or fractions down to a hundredth of one.
AMOUNT_STEP = Decimal("0.0001")
AMOUNT_TOLERANCE = Decimal("1e-6")
# Between two sessions the market itself moves too; a split is accepted where the price, put on the
# new basis, moved by less than this. Any ratio of the list differs from 1 by more.
PRICE_TOLERANCE = Decimal("0.25")
# The special dividend of 2004 was 11 % of the price. A payment of a quarter of it is more likely an
# error in the file, or a split that the price does not confirm.
MAX_PAYMENT = Decimal("0.25")
SPLIT_RATIOS = tuple(
    Decimal(new) / Decimal(old) for new, old in ((2, 1), (3, 1), (4, 1), (5, 1), (7, 1), (10, 1),
                                                 (3, 2), (1, 2), (1, 3), (1, 4), (1, 5), (1, 10))
)  # fmt: skip


@dataclass(frozen=True)
class Action:
    """A split (``value`` = new shares per old) or a cash dividend (``value`` per share)."""

    type: Literal["split", "dividend"]
    value: Decimal


@dataclass(frozen=True)
class Close:
    """What one session's bar says: the raw close and the adjusted one."""

    raw: Decimal
    adjusted: Decimal

    @property
    def factor(self) -> Decimal:
        """The adjustment factor of the session."""
        return self.adjusted / self.raw


def derive(before: Close, after: Close) -> Action | None:
    """Return the action whose ex-date is ``after``'s session, or None where none is proven.

    ``before`` must be the session just before: over a gap the ex-date is not known.
    """
    change = after.factor / before.factor
    if abs(change - 1) <= NOISE:
        return None
    return _split(before, after, change) or _dividend(before, after, change)


def _split(before: Close, after: Close, change: Decimal) -> Action | None:
    for ratio in SPLIT_RATIOS:
        moved = after.raw * ratio / before.raw - 1
        if abs(change / ratio - 1) <= NOISE and abs(moved) < PRICE_TOLERANCE:
            return Action("split", ratio)
    return None


def _dividend(before: Close, after: Close, change: Decimal) -> Action | None:
    amount = after.raw * (change - 1)
    rounded = amount.quantize(AMOUNT_STEP)
    if rounded <= 0 or abs(amount - rounded) > AMOUNT_TOLERANCE:
        return None
    if rounded >= before.raw * MAX_PAYMENT:
        return None
    return Action("dividend", rounded)
