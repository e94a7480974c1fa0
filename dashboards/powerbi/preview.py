"""The page's candles drawn without Power BI: what a test and a reader of the README see.

The page as a whole cannot be drawn here: cards, tree map and slicer are Power BI's own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import vl_convert

from dashboards.powerbi import candle
from ingestion.errors import SourceError

NO_GOLD: Final = Path("var/gold/current")

# The candles' place on the page, less its title.
WIDTH: Final = 760
HEIGHT: Final = 440
_VEGA_LITE: Final = "6.4"

# What the visual's query gives for one symbol, in the measures' words.
_CANDLES: Final = """
select
    epoch_ms(bar_start_at) as "BAR_START_AT",
    cast(open_price as double) as "Open",
    cast(high_price as double) as "High",
    cast(low_price as double) as "Low",
    cast(close_price as double) as "Close",
    volume_shares as "Candle volume",
    cast(not is_final as integer) as "Forming"
from gold.gold_candlestick
where symbol = ? and candle_interval = '1d' and not simulated
order by bar_start_at desc
"""


def read_candles(gold: Path, symbol: str) -> list[dict[str, Any]]:
    """Return the daily candles of a symbol from a published file of gold, newest first.

    Raises:
        SourceError: there is no such file, or it has none of them.
    """
    if not gold.exists():
        raise SourceError(f"expected a published file of gold, found none at {gold}")
    # By its own name: DuckDB calls a catalog as its file, and `gold` would be two things.
    with duckdb.connect(str(gold.resolve()), read_only=True) as connection:
        result = connection.execute(_CANDLES, [symbol])
        names = [column[0] for column in result.description or []]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    if not rows:
        raise SourceError(f"expected daily candles of {symbol} in {gold}, found none")
    return rows


def render_svg(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the candles as SVG."""
    spec = candle.standalone(rows, WIDTH, HEIGHT)
    return str(vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE))


def render_png(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the candles as a PNG, at twice the page's size."""
    spec = candle.standalone(rows, WIDTH, HEIGHT)
    path.write_bytes(vl_convert.vegalite_to_png(spec, vl_version=_VEGA_LITE, scale=2))
