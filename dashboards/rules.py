"""What follows from a column's name and type: its unit, and how it may be aggregated.

Names carry unit and basis (``dbt_stocks/README.md``), so most of it does. A rule stands here when
its names mean the same wherever they occur; what a single column means is beside its description
in dbt's YAML (``config.meta``), which wins over the rules.
"""

import re
from dataclasses import dataclass
from typing import Final

from dashboards.contract import Axis, Over

UNITS: Final = {
    "price": "money per share, in the row's currency (column currency, else dim_instrument's)",
    "money": "in the row's currency (column currency)",
    "shares": "shares",
    "percent": "hundredths: 1.5 is 1.5 %",
    "fraction": "of one: 0.015 is 1.5 %",
    "basis_points": "ten-thousandths: 150 is 1.5 %",
    "ratio": "how many times another value",
    "index": "a level that only its own changes mean something of",
    "oscillator": "0 to 100",
    "correlation": "-1 to 1",
    "seconds": "seconds",
    "minutes": "minutes of regular trading",
    "days": "calendar days",
    "sessions": "trading days of the exchange",
    "count": "how many",
    "ordinal": "a place in an order: neither its sum nor its mean means anything",
}


@dataclass(frozen=True)
class Meaning:
    """A number's unit, and the aggregations that give a true number, by axis (none where absent).

    ``unit_column`` instead of a unit: the column that names the unit of each row.
    """

    unit: str | None
    over: Over
    unit_column: str | None = None


_ADDITIVE: Final[Over] = {"time": ("sum",), "symbols": ("sum",), "categories": ("sum",)}
_EXTREMES: Final[Over] = {
    "time": ("min", "max"),
    "symbols": ("min", "max"),
    "categories": ("min", "max"),
}
_NEWEST: Final[Over] = {"time": ("max",), "symbols": ("max",), "categories": ("max",)}
_NONE: Final[Over] = {}

# The first that matches holds.
_NUMBERS: Final[tuple[tuple[str, Meaning], ...]] = (
    (r"(.*_)?(52w_price|range_price|change_price)", Meaning("price", _NONE)),
    (r"previous_close_price", Meaning("price", {"time": ("first",)})),
    # Over time these are a coarser candle; over symbols no price means anything.
    (r"(.*_)?open(_price.*)?", Meaning("price", {"time": ("first",)})),
    (r"(.*_)?high(_price.*)?", Meaning("price", {"time": ("max",)})),
    (r"(.*_)?low(_price.*)?", Meaning("price", {"time": ("min",)})),
    (r"(.*_)?close(_price.*)?", Meaning("price", {"time": ("last",)})),
    (r"(ma|sma|ema|vwap|bollinger|macd|atr)_.*", Meaning("price", _NONE)),
    # The windows of one symbol overlap.
    (r"volume_sum_.*", Meaning("shares", {"symbols": ("sum",)})),
    (r"(size_)?dollar_volume", Meaning("money", _ADDITIVE)),
    (r"dollar_volume_avg_.*", Meaning("money", {"symbols": ("sum",)})),
    (r"(daily_|up_|down_)?volume(_shares.*)?", Meaning("shares", _ADDITIVE)),
    (r".*_(ratio|factor)", Meaning("ratio", _NONE)),
    (r".*_index", Meaning("index", {"time": ("last",)})),
    (r"return_volatility_.*|rv_.*", Meaning("fraction", _NONE)),
    # A log return is additive over time; the mean over symbols is an equally weighted basket's.
    (r"return_.*_log", Meaning("fraction", {"time": ("sum",)})),
    (r"return_.*|price_return_.*|gap_return", Meaning("fraction", {"symbols": ("mean",)})),
    (r"volatility_\d+d", Meaning("fraction", {"symbols": ("mean", "min", "max")})),
    (r"coverage(_.*)?", Meaning("fraction", {"time": ("min",), "symbols": ("min",)})),
    (r".*_share", Meaning("fraction", _NONE)),
    (r".*_pct", Meaning("percent", _NONE)),
    (r".*_bp", Meaning("basis_points", _NONE)),
    (r".*_s", Meaning("seconds", _EXTREMES)),
    (r"n_trades", Meaning("count", _ADDITIVE)),
    (r"(load_)?batch_id", Meaning("ordinal", _NEWEST)),
    (r"(.*_)?revision|(.*_)?rank|.*_(number|step)", Meaning("ordinal", _NONE)),
)
_NUMERIC: Final = re.compile(r"integer|bigint|double|decimal\(\d+,\d+\)")


def is_number(type_: str) -> bool:
    """Whether a logical type is a number's."""
    return _NUMERIC.fullmatch(type_) is not None


def of_number(name: str) -> Meaning | None:
    """Return what a number's name says; None where no rule knows it."""
    return next((meaning for rule, meaning in _NUMBERS if re.fullmatch(rule, name)), None)


def of_moment() -> Meaning:
    """Return what every date and timestamp allows."""
    return Meaning(None, _EXTREMES)


def axis(name: str, type_: str) -> Axis:
    """Return what a key column's name and type say; a property is chosen where nothing else is."""
    if re.fullmatch(r"(symbol|instrument_id)(_[ab])?", name):
        return "symbols"
    return "time" if type_ in ("date", "timestamp") else "one_of"
