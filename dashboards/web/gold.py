"""All that the page asks of gold: queries, and what they return.

A screen is read under one pin (`market`), so that all of its numbers are of one build. The SQL is
what DuckDB, PostgreSQL and Snowflake have in common; `panels.py` declares its columns.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from dashboards.web.exchange import ExchangeClock
from dashboards.web.ranges import INTRADAY, MAX_BARS, RANGES, Choice, Series, choose

Row = dict[str, Any]


class Build(Protocol):
    """One published build: `dbt_stocks.reader.PinnedBuild` is one."""

    def query(self, sql: str, parameters: list[object] = ...) -> list[Row]: ...

    def build_id(self) -> str: ...


class Gold(Protocol):
    """Where gold is read, whatever its engine: `dbt_stocks.reader.GoldReader` is one."""

    def pinned(self) -> AbstractContextManager[Any]: ...


@dataclass(frozen=True)
class Kpi:
    """The latest price of an instrument, and what it is compared with; times are naive UTC."""

    instrument_id: str
    symbol: str
    name: str | None
    sector: str | None
    source: str
    currency: str
    price_kind: str
    current_price: Decimal
    previous_close_price: Decimal | None
    change_price: Decimal | None
    change_pct: float | None
    day_open_price: Decimal | None
    day_high_price: Decimal | None
    day_low_price: Decimal | None
    volume_shares: int | None
    volume_ratio: float | None
    high_52w_price: Decimal | None
    low_52w_price: Decimal | None
    position_52w: float | None
    is_final: bool
    simulated: bool
    session_date: date | None
    sessions_behind: int | None
    """Sessions that had opened since that of the price, at the build's now."""
    price_at: datetime


@dataclass(frozen=True)
class Candle:
    """A candle in shares of today, times naive UTC; `lines`: what is drawn besides, by column."""

    source: str
    currency: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    n_bars: int
    n_bars_expected: int
    is_final: bool
    session_date: date
    start_at: datetime
    end_at: datetime
    lines: Mapping[str, float | None]


@dataclass(frozen=True)
class Candles:
    """A range of candles, oldest first: all real or all simulated."""

    interval: str
    simulated: bool
    bars: tuple[Candle, ...]
    is_cut: bool
    """Whether older ones of the range are left out."""

    @property
    def is_intraday(self) -> bool:
        """Whether a candle has a time of the day, and not only a date."""
        return self.interval in INTRADAY


@dataclass(frozen=True)
class Overview:
    """The market's last session: rows by column, as the queries below name them."""

    tiles: list[Row]
    breadth: list[Row]
    movers: list[Row]
    volatility: list[Row]
    anomalies: list[Row]


@dataclass(frozen=True)
class Market:
    """One screen, of one build."""

    build_id: str
    instruments: tuple[Kpi, ...]
    shown: Kpi | None
    """None: no instrument of that symbol."""
    candles: Candles | None
    overview: Overview


_PRICES_ADJUSTED: Final = ("sma_20", "sma_50", "sma_200", "bollinger_upper", "bollinger_lower")
# Differences of prices are prices, too.
_DAILY_LINES: Final = (*_PRICES_ADJUSTED, "rsi_14", "macd_line", "macd_signal", "macd_histogram")
_INTRADAY_LINES: Final = ("ma_15m", "ma_1h")

KPIS: Final = """
select
    kpi.instrument_id, kpi.symbol, names.name, names.sector, kpi.source, kpi.currency,
    kpi.price_kind, kpi.current_price, kpi.previous_close_price, kpi.change_price, kpi.change_pct,
    kpi.day_open_price, kpi.day_high_price, kpi.day_low_price, kpi.volume_shares, kpi.volume_ratio,
    kpi.high_52w_price, kpi.low_52w_price, kpi.position_52w, kpi.is_final, kpi.simulated,
    kpi.session_date, kpi.sessions_behind, kpi.price_at
from gold.gold_kpi as kpi
left join gold.dim_instrument as names
    on
        kpi.instrument_id = names.instrument_id
        and coalesce(kpi.session_date, cast(kpi.price_at as date)) >= names.valid_from
        and (
            names.valid_to is null
            or coalesce(kpi.session_date, cast(kpi.price_at as date)) <= names.valid_to
        )
order by kpi.symbol, names.exchange_mic
"""

SERIES: Final = """
select
    candle_interval, simulated, min(bar_start_at) as first_start_at,
    min(bar_end_at) as first_end_at, max(bar_start_at) as last_start_at,
    max(bar_end_at) as last_end_at,
    max(session_date) as last_session, count(*) as n_bars
from gold.gold_candlestick
where instrument_id = ?
group by candle_interval, simulated
"""

# Splits are the same in both conventions of adjustment.
_CANDLES: Final = """
    candles.source, candles.currency, candles.open_price, candles.high_price, candles.low_price,
    candles.close_price, candles.volume_shares, candles.n_bars, candles.n_bars_expected,
    candles.is_final, candles.session_date, candles.bar_start_at, candles.bar_end_at,
    coalesce(factors.split_factor, 1) as split_factor
from gold.gold_candlestick as candles
left join gold.fct_adjustment_factor as factors
    on
        candles.instrument_id = factors.instrument_id
        and candles.simulated = factors.simulated
        and factors.convention = 'crsp'
        and candles.session_date >= factors.valid_from
        and (factors.valid_to is null or candles.session_date <= factors.valid_to)
"""
_OF_RANGE: Final = """
where
    candles.instrument_id = ?
    and candles.candle_interval = ?
    and candles.simulated = ?
    and candles.bar_start_at >= ?
order by candles.bar_start_at desc
limit ?
"""

DAILY_CANDLES: Final = f"""
select
    {", ".join(f"daily.{name}" for name in _DAILY_LINES)},
{_CANDLES}
left join gold.gold_technical_indicators as daily
    on
        candles.instrument_id = daily.instrument_id
        and candles.simulated = daily.simulated
        and candles.session_date = daily.session_date
{_OF_RANGE}
"""

# A trailing mean belongs to the candle with whose end its window ends.
INTRADAY_CANDLES: Final = f"""
select
    {", ".join(f"windows.{name}" for name in _INTRADAY_LINES)},
{_CANDLES}
left join gold.gold_intraday_window_metrics as windows
    on
        candles.instrument_id = windows.instrument_id
        and candles.simulated = windows.simulated
        and candles.source = windows.source
        and candles.made_of = windows.made_of
        and candles.bar_end_at = windows.window_end_at
        and windows.window_size
        = case when candles.candle_interval in ('15m', '1h') then candles.candle_interval else '5m'
        end
{_OF_RANGE}
"""


def _of_last_session(table: str, columns: str, order: str, condition: str = "true") -> str:
    """Return a query of a table's last session: the real one, the simulated one without any."""
    return f"""
with kind as (
    select simulated, max(session_date) as session_date
    from gold.{table}
    group by simulated
    order by simulated
    limit 1
)
select {columns}
from gold.{table} as rows_of
inner join kind
    on rows_of.session_date = kind.session_date and rows_of.simulated = kind.simulated
where {condition}
order by {order}
"""  # noqa: S608 - of constants of this module


TILES: Final = _of_last_session(
    "gold_treechart",
    "rows_of.symbol, rows_of.name, rows_of.sector, rows_of.currency, rows_of.size_dollar_volume,"
    " rows_of.return_1d, rows_of.simulated, rows_of.session_date",
    "rows_of.sector, rows_of.size_dollar_volume desc, rows_of.symbol",
)
BREADTH: Final = _of_last_session(
    "gold_market_breadth",
    "rows_of.universe, rows_of.n_instruments, rows_of.advancers, rows_of.decliners,"
    " rows_of.unchanged, rows_of.above_sma_50_share, rows_of.above_sma_200_share,"
    " rows_of.new_highs, rows_of.new_lows, rows_of.up_volume_shares, rows_of.down_volume_shares,"
    " rows_of.simulated, rows_of.session_date",
    "case when rows_of.universe = 'all' then 0 else 1 end, rows_of.universe",
)
MOVERS: Final = _of_last_session(
    "gold_movers",
    "rows_of.symbol, rows_of.direction, rows_of.rank, rows_of.close_price, rows_of.return_1d,"
    " rows_of.dollar_volume, rows_of.volume_ratio, rows_of.currency, rows_of.simulated,"
    " rows_of.session_date",
    "rows_of.return_1d desc, rows_of.symbol",
)
VOLATILITY: Final = _of_last_session(
    "gold_volatility_rank",
    "rows_of.symbol, rows_of.regime, rows_of.volatility_20d, rows_of.percentile,"
    " rows_of.volatility_rank, rows_of.n_ranked, rows_of.simulated, rows_of.session_date",
    "rows_of.volatility_rank, rows_of.symbol",
    "rows_of.volatility_rank <= 20",
)
ANOMALIES: Final = """
select
    symbol, rule, subject, detail, value, value_unit, threshold, source, simulated, session_date,
    event_at
from gold.gold_anomalies
order by simulated, event_at desc, symbol, rule, subject
limit 50
"""

# By the panel that declares their columns.
QUERIES: Final[dict[str, str]] = {
    "KPI strip": KPIS,
    "Ranges": SERIES,
    "Candles by the day": DAILY_CANDLES,
    "Candles of the day": INTRADAY_CANDLES,
    "Treemap": TILES,
    "Breadth": BREADTH,
    "Movers": MOVERS,
    "Volatility": VOLATILITY,
    "Anomalies": ANOMALIES,
}


def market(gold: Gold, symbol: str | None, wanted: str, exchange: ExchangeClock) -> Market:
    """Return one screen; without a symbol, that of the first instrument.

    Raises:
        BuildError: nothing has been published.
    """
    with gold.pinned() as build:
        instruments = kpis(build)
        shown = _named(instruments, symbol)
        return Market(
            build.build_id(),
            instruments,
            shown,
            candles(build, shown.instrument_id, wanted, exchange) if shown else None,
            overview(build),
        )


def kpis(build: Build) -> tuple[Kpi, ...]:
    """Return every instrument that has a price, by symbol."""
    found: dict[str, Kpi] = {}
    for row in build.query(KPIS):
        # An instrument that is listed at two exchanges has a name at each.
        found.setdefault(row["instrument_id"], Kpi(**row))
    return tuple(found.values())


def candles(
    build: Build, instrument_id: str, wanted: str, exchange: ExchangeClock
) -> Candles | None:
    """Return an instrument's candles of a range, at most MAX_BARS; None where it has none."""
    there = [
        Series(row.pop("candle_interval"), **row) for row in build.query(SERIES, [instrument_id])
    ]
    choice = choose(RANGES[wanted], there, exchange)
    return None if choice is None else _candles(build, instrument_id, choice)


def overview(build: Build) -> Overview:
    """Return what the last session was like, for all instruments."""
    return Overview(*map(build.query, (TILES, BREADTH, MOVERS, VOLATILITY, ANOMALIES)))


def _named(instruments: tuple[Kpi, ...], symbol: str | None) -> Kpi | None:
    if symbol is None:
        return instruments[0] if instruments else None
    return next((one for one in instruments if one.symbol == symbol), None)


def _candles(build: Build, instrument_id: str, choice: Choice) -> Candles:
    series = choice.series
    is_intraday = series.interval in INTRADAY
    start_at = choice.start_at or series.first_start_at
    rows = build.query(
        INTRADAY_CANDLES if is_intraday else DAILY_CANDLES,
        [instrument_id, series.interval, series.simulated, start_at, MAX_BARS + 1],
    )
    lines = _INTRADAY_LINES if is_intraday else _DAILY_LINES
    bars = tuple(_candle(row, lines) for row in reversed(rows[:MAX_BARS]))
    return Candles(series.interval, series.simulated, bars, len(rows) > MAX_BARS)


def _candle(row: Row, lines: tuple[str, ...]) -> Candle:
    factor = float(row["split_factor"])

    def line(name: str) -> float | None:
        value = row[name]
        if value is None or name == "rsi_14":  # an oscillator has no basis
            return None if value is None else float(value)
        return float(value) * factor

    scaled = {
        name: float(row[f"{name}_price"]) * factor for name in ("open", "high", "low", "close")
    }
    return Candle(
        source=row["source"],
        currency=row["currency"],
        **scaled,
        volume=row["volume_shares"] / factor,
        n_bars=row["n_bars"],
        n_bars_expected=row["n_bars_expected"],
        is_final=row["is_final"],
        session_date=row["session_date"],
        start_at=row["bar_start_at"],
        end_at=row["bar_end_at"],
        lines={name: line(name) for name in lines},
    )
