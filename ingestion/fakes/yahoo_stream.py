"""Yahoo's streamer: a subscription, then a ``PricingData`` whenever a symbol has traded."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Final

import msgspec

from ingestion.fakes import pricing
from ingestion.fakes.market import Forming, View
from ingestion.fakes.numbers import number, percent
from ingestion.fakes.record import Asking, Observation
from ingestion.fakes.script import Provider
from ingestion.fakes.stream import Connection, Frame, Stream
from ingestion.fakes.universe import canonical

EQUITY: Final = 8
REGULAR_HOURS: Final = 1


class YahooStream(Stream):
    """Prices of the subscribed symbols, each at most once an interval. It has no key."""

    provider: Provider = "yahoo"

    def refusal(self, key: str, asking: Asking) -> int | None:
        return None if asking.broken is None else 429

    async def told(self, connection: Connection, message: Any) -> None:  # noqa: ANN401 - JSON
        if not isinstance(message, dict):
            return
        now = self._house.market.clock.now()
        for spelling in _texts(message.get("subscribe")):
            if canonical(spelling) in self._house.market:
                connection.symbols.setdefault(spelling, now)
        for spelling in _texts(message.get("unsubscribe")):
            connection.symbols.pop(spelling, None)

    async def frames(self, connection: Connection, now: datetime) -> AsyncIterator[Frame]:
        for spelling in list(connection.symbols):
            since = connection.served_until(spelling, now)
            if since is None:
                continue
            view = self._house.market.view(canonical(spelling), self.provider, now)
            forming = view.forming
            if forming is not None and forming.last_at > int(since.timestamp() * 1_000_000):
                yield _frame(spelling, view, forming)
            await asyncio.sleep(0)


def _frame(spelling: str, view: View, forming: Forming) -> Frame:
    values = _values(spelling, view, forming)
    message = base64.b64encode(pricing.encode(values)).decode()
    text = msgspec.json.encode({"type": "pricing", "message": message}).decode()
    stamp = str(values.pop("time"))
    given = Observation("price", canonical(spelling), stamp, tuple(values.values()))
    return Frame(text, [given])


def _values(spelling: str, view: View, forming: Forming) -> dict[str, str | int | float]:
    opening, high, low, last = forming.prices
    before = int(view.bars.close[-2] / view.bars.split_factor()[-2]) if len(view.bars) > 1 else last
    return {
        "id": spelling,
        "price": number(last),
        "time": forming.last_at // 1_000,
        "currency": "USD",
        "exchange": "NMS",
        "quote_type": EQUITY,
        "market_hours": REGULAR_HOURS,
        "change_percent": float(percent(last - before, before)),
        "day_volume": forming.volume,
        "day_high": number(high),
        "day_low": number(low),
        "change": number(last - before),
        "open_price": number(opening),
        "previous_close": number(before),
        "last_size": int(forming.tape.size[forming.trades - 1]),
        "price_hint": 2,
    }


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - JSON
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
