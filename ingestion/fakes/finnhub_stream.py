"""Finnhub's WebSocket: trades of the subscribed symbols, several a frame, no number of any kind."""

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, Final

import msgspec

from ingestion.fakes.numbers import number
from ingestion.fakes.record import Asking, Observation
from ingestion.fakes.script import Provider
from ingestion.fakes.stream import Connection, Frame, Stream, error_frame
from ingestion.sources.tape import Tape

TOO_MANY: Final = "Subscribing to too many symbols"
_LOT: Final = 100
# Codes as in the provider's list: a regular trade, and the mark of an odd lot.
_REGULAR: Final = ["1"]
_ODD_LOT: Final = ["1", "12"]


class FinnhubStream(Stream):
    """One connection a key; a free key may subscribe to fifty symbols."""

    provider: Provider = "finnhub"

    def refusal(self, key: str, asking: Asking) -> int | None:
        if not self._house.script.knows(self.provider, key):
            return 401
        return 429 if key in self._keys or asking.broken is not None else None

    def ping(self) -> str | None:
        return '{"type":"ping"}'

    async def told(self, connection: Connection, message: Any) -> None:  # noqa: ANN401 - JSON
        kind = message.get("type") if isinstance(message, dict) else None
        symbol = message.get("symbol") if isinstance(message, dict) else None
        if kind == "unsubscribe":
            connection.symbols.pop(str(symbol), None)
        elif kind == "subscribe" and isinstance(symbol, str):
            await self._subscribe(connection, symbol)
        else:
            await connection.say(error_frame("Invalid message"))

    async def frames(self, connection: Connection, now: datetime) -> AsyncIterator[Frame]:
        streams = []
        for symbol in list(connection.symbols):
            since = connection.served_until(symbol, now)
            if since is not None and symbol in self._house.market:
                found = self._house.market.trades(symbol, self.provider, since, now)
                streams += [_trades(symbol, tape, chosen) for tape, chosen in found]
            await asyncio.sleep(0)
        batch: list[dict[str, Any]] = []
        for _, _, trade in heapq.merge(*streams, key=lambda one: one[:2]):
            batch.append(trade)
            if len(batch) == self._house.script.max_trades:
                yield _frame(connection, batch)
                batch = []
        if batch:
            yield _frame(connection, batch)

    async def _subscribe(self, connection: Connection, symbol: str) -> None:
        if len(connection.symbols) >= self._house.script.max_symbols:
            await connection.say(error_frame(TOO_MANY))
            return
        connection.symbols.setdefault(symbol, self._house.market.clock.now())


def _trades(symbol: str, tape: Tape, chosen: slice) -> Iterator[tuple[int, str, dict[str, Any]]]:
    at, price = tape.at[chosen].tolist(), tape.price[chosen].tolist()
    size = tape.size[chosen].tolist()
    auctions = {0, len(tape) - 1}
    for place, moment in enumerate(at):
        codes = _REGULAR if size[place] >= _LOT else _ODD_LOT
        trade = {
            "c": None if chosen.start + place in auctions else codes,
            "p": number(price[place]),
            "s": symbol,
            "t": moment // 1_000,
            "v": size[place],
        }
        yield moment, symbol, trade


def _frame(connection: Connection, batch: list[dict[str, Any]]) -> Frame:
    text = msgspec.json.encode({"data": batch, "type": "trade"}).decode()
    given = [
        Observation(
            "trade",
            trade["s"],
            str(trade["t"]),
            (trade["p"], trade["v"]),
            f"{connection.name}/{connection.frames}/{index}",
        )
        for index, trade in enumerate(batch)
    ]
    return Frame(text, given)
