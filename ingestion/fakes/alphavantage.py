"""Alpha Vantage: one path, functions by name, text for every value, status 200 for every error."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from starlette.requests import Request

from ingestion.fakes.answer import Answer, json_answer
from ingestion.fakes.desk import House
from ingestion.fakes.faults import REFUSALS
from ingestion.fakes.market import View, intraday
from ingestion.fakes.numbers import percent, text
from ingestion.fakes.record import Asking, Observation
from ingestion.fakes.script import Asked, Provider
from ingestion.fakes.universe import canonical

COMPACT: Final = 100
ZONE: Final = "US/Eastern"
INTERVALS: Final = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}
# An intraday request without a month goes back so far.
_INTRADAY_DEPTH: Final = timedelta(days=30)
_DAY_S: Final = 86_400.0
_ASKED: Final[Mapping[str, Asked]] = {
    "GLOBAL_QUOTE": "quote",
    "TIME_SERIES_DAILY": "daily",
    "TIME_SERIES_DAILY_ADJUSTED": "daily",
    "TIME_SERIES_INTRADAY": "intraday",
}
_PREMIUM: Final = {"TIME_SERIES_DAILY_ADJUSTED", "TIME_SERIES_INTRADAY"}

Point = dict[str, str]


class AlphaVantage:
    """Alpha Vantage's query endpoint."""

    provider: Final[Provider] = "alphavantage"

    def __init__(self, house: House) -> None:
        self._house = house

    def key(self, request: Request) -> str:
        return request.query_params.get("apikey", "")

    def asked(self, request: Request) -> Asked:
        return _ASKED.get(request.query_params.get("function", "").upper(), "any")

    def refuse_key(self) -> Answer:
        return json_answer({"Error Message": "the parameter apikey is invalid or missing."})

    def refuse_limit(self, asking: Asking) -> Answer:
        is_day = asking.broken is not None and asking.broken.seconds >= _DAY_S
        return json_answer(REFUSALS["day" if is_day else "burst"])

    def answer(self, request: Request, asking: Asking) -> Answer:
        query = request.query_params
        function = query.get("function", "").upper()
        if request.url.path != "/query" or function not in _ASKED:
            return _invalid(function)
        if function in _PREMIUM and self._house.script.is_free(self.provider):
            return json_answer(REFUSALS["premium"])
        spelling = query.get("symbol", "")
        market, symbol = self._house.market, canonical(spelling)
        view = market.view(symbol, self.provider) if symbol in market else None
        if view is None or not len(view.bars):
            return json_answer(REFUSALS["empty"]) if _is_quote(function) else _invalid(function)
        if _is_quote(function):
            return self._quote(spelling, view)
        if function == "TIME_SERIES_INTRADAY":
            return self._intraday(spelling, view, query)
        return self._daily(spelling, view, query, "ADJUSTED" in function)

    def _quote(self, spelling: str, view: View) -> Answer:
        """Answer with the last close; only a paying key sees the session under way."""
        count = view.complete if self._house.script.is_free(self.provider) else len(view.bars)
        bars = view.bars.first(max(count, 1))
        close = int(bars.close[-1])
        before = round(float((bars.close / bars.split_factor())[-2])) if len(bars) > 1 else close
        day = bars.sessions[-1].session_date.isoformat()
        body = {
            "01. symbol": spelling,
            "02. open": text(int(bars.open[-1])),
            "03. high": text(int(bars.high[-1])),
            "04. low": text(int(bars.low[-1])),
            "05. price": text(close),
            "06. volume": str(int(bars.volume[-1])),
            "07. latest trading day": day,
            "08. previous close": text(before),
            "09. change": text(close - before),
            "10. change percent": f"{percent(close - before, before):f}%",
        }
        given = Observation("quote", canonical(spelling), day, tuple(body.values()))
        return json_answer({"Global Quote": body}, given=[given])

    def _daily(
        self, spelling: str, view: View, query: Mapping[str, str], is_adjusted: bool
    ) -> Answer:
        is_full = query.get("outputsize", "compact") == "full"
        points = dict(_days(view, is_adjusted))
        shown = _newest_first(points, is_full)
        meta = {
            "1. Information": "Daily Time Series with Splits and Dividend Events"
            if is_adjusted
            else "Daily Prices (open, high, low, close) and Volumes",
            "2. Symbol": spelling,
            "3. Last Refreshed": next(iter(shown), ""),
            "4. Output Size": "Full size" if is_full else "Compact",
            "5. Time Zone": ZONE,
        }
        kind = "bar.1d.adjusted" if is_adjusted else "bar.1d"
        return _series(canonical(spelling), kind, meta, "Time Series (Daily)", shown)

    def _intraday(self, spelling: str, view: View, query: Mapping[str, str]) -> Answer:
        interval = query.get("interval", "")
        if interval not in INTERVALS:
            return _invalid("TIME_SERIES_INTRADAY")
        is_full = query.get("outputsize", "compact") == "full"
        is_adjusted = query.get("adjusted", "true") != "false"
        points = dict(self._minutes(view, INTERVALS[interval], is_adjusted))
        shown = _newest_first(points, is_full)
        meta = {
            "1. Information": f"Intraday ({interval}) open, high, low, close prices and volume",
            "2. Symbol": spelling,
            "3. Last Refreshed": next(iter(shown), ""),
            "4. Interval": interval,
            "5. Output Size": "Full size" if is_full else "Compact",
            "6. Time Zone": ZONE,
        }
        kind = f"bar.{interval}"
        return _series(canonical(spelling), kind, meta, f"Time Series ({interval})", shown)

    def _minutes(self, view: View, minutes: int, is_adjusted: bool) -> Iterator[tuple[str, Point]]:
        """Return the bars of the last month, each labelled by its start in the exchange's time."""
        now = self._house.market.clock.now()
        factors = view.bars.split_factor() * (1 / view.bars.dividend_factor("close_on"))
        for position, session in enumerate(view.bars.sessions):
            if session.open_at < now - _INTRADAY_DEPTH:
                continue
            forming = view.forming if position == view.complete else None
            tape = forming.tape if forming else self._house.market.tape(view.bars.bar(position))
            factor = float(factors[position]) if is_adjusted else 1.0
            for bar in intraday(tape, minutes, now) if tape else ():
                if bar.open is None or bar.high is None or bar.low is None or bar.close is None:
                    continue
                label = datetime.fromtimestamp(bar.start, self._house.market.calendar.zone)
                prices = [round(p / factor) for p in (bar.open, bar.high, bar.low, bar.close)]
                yield f"{label:%Y-%m-%d %H:%M:%S}", _point(prices, bar.volume)


def _is_quote(function: str) -> bool:
    return function == "GLOBAL_QUOTE"


def _days(view: View, is_adjusted: bool) -> Iterator[tuple[str, Point]]:
    """Return the complete bars as traded. The adjusted series says what came of each close."""
    bars = view.bars.first(view.complete)
    factor = bars.dividend_factor("close_on") / bars.split_factor()
    paid, split = dict(bars.dividends()), dict(bars.splits())
    for at, session in enumerate(bars.sessions):
        prices = [int(getattr(bars, name)[at]) for name in ("open", "high", "low", "close")]
        point = _point(prices, int(bars.volume[at]))
        if is_adjusted:
            adjusted = Decimal(float(bars.close[at]) * float(factor[at]) / 1e6)
            events = paid.get(at, Decimal(0)), split.get(at, Decimal(1))
            point = _adjusted(point, adjusted, *events)
        if not bars.null_price[at]:
            yield session.session_date.isoformat(), point


def _point(prices: list[int], volume: int) -> Point:
    names = "1. open", "2. high", "3. low", "4. close"
    values = {name: text(price) for name, price in zip(names, prices, strict=True)}
    return values | {"5. volume": str(volume)}


def _adjusted(point: Point, close: Decimal, dividend: Decimal, split: Decimal) -> Point:
    prices = {name: value for name, value in point.items() if name != "5. volume"}
    return prices | {
        "5. adjusted close": f"{close:.12f}",
        "6. volume": point["5. volume"],
        "7. dividend amount": f"{dividend:.4f}",
        "8. split coefficient": f"{split:.1f}",
    }


def _newest_first(points: Mapping[str, Point], is_full: bool) -> dict[str, Point]:
    ordered = sorted(points.items(), reverse=True)
    return dict(ordered if is_full else ordered[:COMPACT])


def _series(
    symbol: str, kind: str, meta: Mapping[str, str], name: str, shown: Mapping[str, Point]
) -> Answer:
    given = [Observation(kind, symbol, at, tuple(point.values())) for at, point in shown.items()]
    document: dict[str, Any] = {"Meta Data": meta, name: shown}
    return json_answer(document, given=given)


def _invalid(function: str) -> Answer:
    where = "https://www.alphavantage.co/documentation/"
    error = f"Invalid API call. Please retry or visit the documentation ({where}) for {function}."
    return json_answer({"Error Message": error})
