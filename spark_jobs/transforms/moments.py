"""One minute's trades to its moments: what ``minutes`` computes, for trades held in memory.

Prices and sizes are whole millionths, times microseconds since 1970. Counts, sums and extremes are
exact; means and sums of squares differ from Spark's only in the order in which floats are added.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from spark_jobs.transforms.roots import roots

MILLIONTHS: Final = 1_000_000

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Trade(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A trade as it was sent."""

    at: int
    seq: int
    partition: int
    offset: int
    price: int
    size: int
    event_id: str
    fetched: int
    simulated: bool

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Return its place among the trades of its minute."""
        return self.at, self.seq, self.partition, self.offset


class Revision(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A correction or a cancellation of the trade, or of the correction, that ``ref`` names.

    ``day`` is its own session's, the trade's or a later one.
    """

    event_id: str
    day: int
    ref: str
    cancels: bool
    price: int
    size: int
    fetched: int
    sent: int
    partition: int
    offset: int

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Return what the latest revision of a trade has most of."""
        return self.fetched, self.sent, self.partition, self.offset


class Moments(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A minute's row; the names are those of ``minutes.COLUMNS``.

    ``volume`` is a decimal text: a sum of sizes may pass 64 bits. A minute all of whose trades have
    been taken back has ``n`` 0 and no prices.
    """

    open: int | None
    high: int | None
    low: int | None
    close: int | None
    volume: str
    n: int
    mean: float | None
    ss: float | None
    rn: int
    rmean: float | None
    rss: float | None
    dv: float
    simulated: bool
    as_of: int


def newest(revisions: Mapping[str, Revision]) -> dict[str, Revision]:
    """Return the latest revision of each trade, by the trade's event_id."""
    found: dict[str, Revision] = {}
    for name, root in roots_of(revisions).items():
        revision = revisions[name]
        if root is not None and (root not in found or found[root].rank < revision.rank):
            found[root] = revision
    return found


def roots_of(revisions: Mapping[str, Revision]) -> dict[str, str | None]:
    """Return the trade that each revision is about, by the revision's event_id; see ``roots``."""
    return roots({name: revision.ref for name, revision in revisions.items()})


def effective(trades: Iterable[Trade], revised: Mapping[str, Revision]) -> list[Trade]:
    """Return the trades that count, in order, each with its latest price and size.

    A corrected trade keeps its time and place. Only those with a positive price and a size that is
    not negative count.
    """
    current = (_revised(trade, revised.get(trade.event_id)) for trade in trades)
    counted = (trade for trade in current if trade and trade.price > 0 and trade.size >= 0)
    return sorted(counted, key=lambda trade: trade.order)


def _revised(trade: Trade, revision: Revision | None) -> Trade | None:
    if revision is None:
        return trade
    if revision.cancels:
        return None
    return msgspec.structs.replace(
        trade,
        price=revision.price,
        size=revision.size,
        fetched=max(trade.fetched, revision.fetched),
    )


def moments(trades: list[Trade], before: int | None) -> Moments:
    """Return the moments of a minute's effective trades.

    Args:
        trades: at least one, in order.
        before: the price of the last trade of the segment before the minute, if there is one.
    """
    price = np.array([trade.price for trade in trades], np.int64)
    size = np.array([trade.size for trade in trades], np.float64) / MILLIONTHS
    low = int(price.min())
    away = (price - low) / MILLIONTHS
    returns = _returns(price if before is None else np.concatenate(([before], price)))
    return Moments(
        open=trades[0].price,
        high=int(price.max()),
        low=low,
        close=trades[-1].price,
        volume=_decimal(sum(trade.size for trade in trades)),
        n=len(trades),
        mean=float(away.mean()),
        ss=_squares(away),
        rn=len(returns),
        rmean=float(returns.mean()) if len(returns) else None,
        rss=_squares(returns) if len(returns) else None,
        dv=float((away * size).sum()),
        simulated=any(trade.simulated for trade in trades),
        as_of=max(trade.fetched for trade in trades),
    )


def nothing(last: Moments) -> Moments:
    """Return what is left of a minute when all its trades have been taken back."""
    return Moments(
        *(None, None, None, None, _decimal(0), 0, None, None, 0, None, None, 0.0),
        *(last.simulated, last.as_of),
    )


def _returns(price: Ints) -> Floats:
    # log1p of an exact difference: the logarithm of a ratio near 1 would lose half its digits.
    found: Floats = np.log1p(np.diff(price) / price[:-1])
    return found


def _squares(values: Floats) -> float:
    return float(((values - values.mean()) ** 2).sum())


def _decimal(millionths: int) -> str:
    whole, rest = divmod(millionths, MILLIONTHS)
    return f"{whole}.{rest:06d}"
