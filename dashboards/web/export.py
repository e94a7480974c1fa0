"""The candles that are shown, as a file."""

from typing import Final
from zoneinfo import ZoneInfo

from dashboards.web.gold import Market
from dashboards.web.text import csv_of, local

_HEADER: Final = (
    "symbol", "interval", "start_local", "start_utc", "end_utc", "session_date", "open", "high",
    "low", "close", "volume_shares", "currency", "source", "simulated", "is_final", "build_id",
)  # fmt: skip
# Prices have six places; a split's factor would leave the noise of a division.
_PLACES: Final = 6


def candles_csv(market: Market, zone: ZoneInfo) -> str:
    """Return the shown candles, oldest first, split-adjusted as the chart has them."""
    assert market.shown is not None  # noqa: S101 - the caller has looked
    assert market.candles is not None  # noqa: S101
    candles, symbol = market.candles, market.shown.symbol
    rows = (
        [
            symbol,
            candles.interval,
            local(bar.start_at, zone).isoformat(),
            f"{bar.start_at.isoformat()}Z",
            f"{bar.end_at.isoformat()}Z",
            bar.session_date.isoformat(),
            *(round(price, _PLACES) for price in (bar.open, bar.high, bar.low, bar.close)),
            round(bar.volume),
            bar.currency,
            bar.source,
            str(candles.simulated).lower(),
            str(bar.is_final).lower(),
            market.build_id,
        ]
        for bar in candles.bars
    )
    return csv_of(_HEADER, rows)
