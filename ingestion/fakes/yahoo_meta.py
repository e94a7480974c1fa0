"""The ``meta`` of a chart: what Yahoo says of a symbol beside its rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from ingestion.calendar import Session
from ingestion.fakes.desk import House
from ingestion.fakes.market import View
from ingestion.fakes.numbers import split_adjusted
from ingestion.fakes.universe import canonical

VALID_RANGES: Final = ["1d", "5d", "1mo", "3mo", "6mo", "1y", "2y", "5y", "10y", "ytd", "max"]
_YEAR: Final = 252
# September 2001 is the longest on record: six days.
_LONGEST_CLOSURE: Final = 10
# Extended hours of US exchanges: 4:00 to 20:00.
_PRE, _POST = timedelta(hours=5, minutes=30), timedelta(hours=4)


def describe(
    house: House,
    view: View,
    spelling: str,
    interval: str,
    query: Mapping[str, str],
    at: Sequence[int],
) -> dict[str, Any]:
    """Return the ``meta`` for a chart whose rows are stamped ``at``."""
    zone = house.market.calendar.zone
    last = view.bars.sessions[-1]
    local = last.open_at.astimezone(zone)
    prices = {name: values.round(4) for name, values in split_adjusted(view.bars).items()}
    year = slice(-_YEAR, None)
    name = house.market.series[canonical(spelling)].made_of
    current = _current(house)
    meta: dict[str, Any] = {
        "currency": "USD",
        "symbol": spelling,
        "exchangeName": "NMS",
        "fullExchangeName": "NasdaqGS",
        "instrumentType": "EQUITY",
        "firstTradeDate": int(view.bars.sessions[0].open_at.timestamp()),
        "regularMarketTime": _market_time(view, last),
        "hasPrePostMarketData": True,
        "gmtoffset": _offset(local),
        "timezone": local.tzname(),
        "exchangeTimezoneName": str(zone),
        "regularMarketPrice": float(prices["close"][-1]),
        "fiftyTwoWeekHigh": float(np.max(prices["high"][year])),
        "fiftyTwoWeekLow": float(np.min(prices["low"][year])),
        "regularMarketDayHigh": float(prices["high"][-1]),
        "regularMarketDayLow": float(prices["low"][-1]),
        "regularMarketVolume": int(view.bars.volume[-1]),
        "longName": f"{spelling} ({name})",
        "shortName": spelling,
    }
    meta |= _previous(view, prices["close"], at, interval)
    meta |= {"priceHint": 2, "currentTradingPeriod": _periods(current, local)}
    if interval != "1d" and at:
        meta["tradingPeriods"] = _trading_periods(house, view, query, at)
    wanted = query.get("range", "") if "period1" not in query else ""
    return meta | {"dataGranularity": interval, "range": wanted, "validRanges": VALID_RANGES}


def _previous(view: View, close: Any, at: Sequence[int], interval: str) -> dict[str, Any]:  # noqa: ANN401 - an array
    """Return the close before the first row; intraday also that before the last session."""
    starts = [int(session.open_at.timestamp()) for session in view.bars.sessions]
    first = int(np.searchsorted(starts, at[0] if at else starts[-1], side="right")) - 1
    found: dict[str, Any] = {"chartPreviousClose": float(close[max(first - 1, 0)])}
    if interval != "1d":
        found |= {"previousClose": float(close[max(len(close) - 2, 0)]), "scale": 3}
    return found


def _market_time(view: View, last: Session) -> int:
    if view.forming is not None:
        return view.forming.last_at // 1_000_000
    return int(last.close_at.timestamp()) + 1


def _current(house: House) -> Session:
    """Return the session under way, or the next one."""
    calendar, now = house.market.calendar, house.market.clock.now()
    today = now.astimezone(calendar.zone).date()
    upcoming = (calendar.session(today + timedelta(days=days)) for days in range(_LONGEST_CLOSURE))
    return next(session for session in upcoming if session and session.close_at > now)


def _trading_periods(
    house: House, view: View, query: Mapping[str, str], at: Sequence[int]
) -> dict[str, Any] | list[Any]:
    zone = house.market.calendar.zone
    shown = [
        _periods(session, session.open_at.astimezone(zone))
        for session in view.bars.sessions
        if session.close_at.timestamp() > at[0] and session.open_at.timestamp() <= at[-1]
    ]
    if query.get("includePrePost", "").lower() == "true":
        return {name: [[one[name]] for one in shown] for name in ("pre", "regular", "post")}
    return [[one["regular"]] for one in shown]


def _periods(session: Session, local: datetime) -> dict[str, Any]:
    bounds = {
        "pre": (session.open_at - _PRE, session.open_at),
        "regular": (session.open_at, session.close_at),
        "post": (session.close_at, session.close_at + _POST),
    }
    return {
        name: {
            "timezone": local.tzname(),
            "start": int(start.timestamp()),
            "end": int(end.timestamp()),
            "gmtoffset": _offset(local),
        }
        for name, (start, end) in bounds.items()
    }


def _offset(local: datetime) -> int:
    offset = local.utcoffset()
    return int(offset.total_seconds()) if offset else 0
