"""Finnhub over HTTP: the quote, and candles for those who pay."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from starlette.requests import Request

from ingestion.fakes.answer import Answer, json_answer
from ingestion.fakes.desk import House
from ingestion.fakes.market import View, intraday
from ingestion.fakes.numbers import number, percent
from ingestion.fakes.record import Asking, Observation
from ingestion.fakes.script import Asked, Provider, StaleQuote

BASE: Final = "/api/v1"
RESOLUTIONS: Final = {"1": 1, "5": 5, "15": 15, "30": 30, "60": 60}
_UNKNOWN: Final[Mapping[str, Any]] = {
    "c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0,
}  # fmt: skip


class Finnhub:
    """Finnhub's REST API. The key is in the query or in a header."""

    provider: Final[Provider] = "finnhub"

    def __init__(self, house: House) -> None:
        self._house = house

    def key(self, request: Request) -> str:
        return request.query_params.get("token") or request.headers.get("x-finnhub-token", "")

    def asked(self, request: Request) -> Asked:
        kinds: dict[str, Asked] = {f"{BASE}/quote": "quote", f"{BASE}/stock/candle": "candle"}
        # The provider's own client asks for `/api/v1//quote`.
        return kinds.get(request.url.path.replace("//", "/"), "any")

    def refuse_key(self) -> Answer:
        return json_answer({"error": "Invalid API key"}, 401)

    def refuse_limit(self, asking: Asking) -> Answer:
        error = "API limit reached. Please try again later. Remaining Limit: 0"
        return json_answer({"error": error}, 429, headers=self._headers(asking))

    def answer(self, request: Request, asking: Asking) -> Answer:
        query = request.query_params
        on = self.asked(request)
        if on == "quote":
            return self._quote(query.get("symbol", ""), asking)
        if on == "candle":
            return self._candle(query, asking)
        return Answer(404, b"404 page not found", "text/plain")

    def _quote(self, symbol: str, asking: Asking) -> Answer:
        market = self._house.market
        view = market.view(symbol, self.provider) if symbol in market else None
        if view is None or not len(view.bars):
            return json_answer(_UNKNOWN, headers=self._headers(asking))
        is_stale = bool(self._house.faults.acting(self.provider, "quote", StaleQuote))
        document = quote(_yesterday(view) if is_stale else view)
        given = Observation("quote", symbol, str(document["t"]), tuple(document.values()))
        return json_answer(document, given=[given], headers=self._headers(asking))

    def _candle(self, query: Mapping[str, str], asking: Asking) -> Answer:
        headers = self._headers(asking)
        if self._house.script.is_free(self.provider):
            error = "You don't have access to this resource."
            return json_answer({"error": error}, 403, headers=headers)
        try:
            start, end = int(query["from"]), int(query["to"])
        except (KeyError, ValueError):
            return json_answer({"error": "Wrong from or to."}, 422, headers=headers)
        symbol, resolution = query.get("symbol", ""), query.get("resolution", "")
        if resolution != "D" and resolution not in RESOLUTIONS:
            return json_answer({"error": "Wrong resolution."}, 422, headers=headers)
        found = self._candles(symbol, resolution, start, end)
        if not found:
            return json_answer({"s": "no_data"}, headers=headers)
        return _columns(symbol, resolution, found, headers)

    def _candles(self, symbol: str, resolution: str, start: int, end: int) -> list["Candle"]:
        if symbol not in self._house.market:
            return []
        view = self._house.market.view(symbol, self.provider)
        made = (
            _days(view)
            if resolution == "D"
            else self._minutes(view, RESOLUTIONS[resolution], start, end)
        )
        return [candle for candle in made if start <= candle.t <= end]

    def _minutes(self, view: View, minutes: int, start: int, end: int) -> Iterator["Candle"]:
        now = self._house.market.clock.now()
        for position, session in enumerate(view.bars.sessions):
            if session.close_at.timestamp() < start or session.open_at.timestamp() > end:
                continue
            forming = view.forming if position == view.complete else None
            tape = forming.tape if forming else self._house.market.tape(view.bars.bar(position))
            for bar in intraday(tape, minutes, now) if tape else ():
                if bar.open is not None and bar.high is not None and bar.low is not None:
                    prices = bar.open, bar.high, bar.low, bar.close or bar.open
                    yield _candle_of(bar.start, prices, bar.volume)

    def _headers(self, asking: Asking) -> dict[str, str]:
        limits = self._house.script.limits_of(self.provider)
        if not limits:
            return {}
        limit = max(limits, key=lambda one: one.seconds)
        left = max(limit.requests - self._house.record.used(asking, limit), 0)
        reset = int(self._house.market.clock.real_now().timestamp() + limit.seconds)
        return {
            "X-Ratelimit-Limit": str(limit.requests),
            "X-Ratelimit-Remaining": str(left),
            "X-Ratelimit-Reset": str(reset),
        }


@dataclass(frozen=True)
class Candle:
    """One candle; ``t`` in epoch seconds."""

    t: int
    o: float
    h: float
    low: float
    c: float
    v: int


def quote(view: View) -> dict[str, Any]:
    """Return the quote of the session under way, else that of the last close.

    ``t`` is the last trade's second, or that of the close.
    """
    bars = view.bars
    last = [int(getattr(bars, name)[-1]) for name in ("close", "high", "low", "open")]
    close, high, low, opening = last
    before = round(float((bars.close / bars.split_factor())[-2])) if len(bars) > 1 else opening
    at = bars.sessions[-1].close_at
    return {
        "c": number(close),
        "d": float(number(round(close - before, -2))),
        "dp": float(percent(close - before, before)),
        "h": number(high),
        "l": number(low),
        "o": number(opening),
        "pc": number(before),
        "t": view.forming.last_at // 1_000_000 if view.forming else _seconds(at),
    }


def _yesterday(view: View) -> View:
    return View(view.bars.first(max(len(view.bars) - 1, 1)), None)


def _days(view: View) -> Iterator[Candle]:
    factor = view.bars.split_factor()
    prices = [getattr(view.bars, name) / factor for name in ("open", "high", "low", "close")]
    volume = np.rint(view.bars.volume * factor).astype(np.int64).tolist()
    for position, session in enumerate(view.bars.sessions):
        opening, high, low, close = (round(float(column[position])) for column in prices)
        midnight = datetime.combine(
            session.session_date, datetime.min.time(), session.open_at.tzinfo
        )
        yield _candle_of(_seconds(midnight), (opening, high, low, close), volume[position])


def _candle_of(t: int, prices: tuple[int, int, int, int], volume: int) -> Candle:
    opening, high, low, close = prices
    return Candle(t, number(opening), number(high), number(low), number(close), volume)


def _columns(
    symbol: str, resolution: str, found: list[Candle], headers: Mapping[str, str]
) -> Answer:
    document = {
        "c": [candle.c for candle in found],
        "h": [candle.h for candle in found],
        "l": [candle.low for candle in found],
        "o": [candle.o for candle in found],
        "s": "ok",
        "t": [candle.t for candle in found],
        "v": [candle.v for candle in found],
    }
    given = [
        Observation(
            f"candle.{resolution}", symbol, str(one.t), (one.o, one.h, one.low, one.c, one.v)
        )
        for one in found
    ]
    return json_answer(document, given=given, headers=headers)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
