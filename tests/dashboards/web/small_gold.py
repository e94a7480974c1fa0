"""A small published gold, made of the contract's own tables: minutes, days, splits, both changes.

AAA and BBB are real, SIM is simulated alone. Prices are exact decimals, so that what the page shows
can be compared as text.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dashboards import contract
from dbt_stocks.files import CURRENT
from ingestion import calendar
from ingestion.calendar import Session

# Two sessions after New York's clocks went forward.
LAST = date(2013, 3, 12)
FIRST_DAY, FIRST_MINUTE = date(2006, 1, 3), date(2013, 2, 8)
SPLIT = date(2012, 6, 1)
SYMBOLS = {"AAA": (50.0, False), "BBB": (20.0, False), "SIM": (0.75, True)}
SECTORS = {"AAA": "Information Technology", "BBB": "Energy", "SIM": "Energy"}

Row = dict[str, Any]


def publish(folder: Path, build_id: str) -> Path:
    """Publish a first build as dbt_stocks does: a file of its own, then the link."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gold-{build_id}.duckdb"
    with duckdb.connect(path) as db:
        _create(db)
        _fill(db, build_id)
    link(path)
    return path


def publish_again(before: Path, build_id: str, last_price: str) -> Path:
    """Publish a build that differs from one before in AAA's latest price."""
    path = before.with_name(f"gold-{build_id}.duckdb")
    shutil.copyfile(before, path)
    with duckdb.connect(path) as db:
        db.execute("update ops.builds set build_id = ?", [build_id])
        db.execute(
            "update gold.gold_kpi set current_price = cast(? as decimal(18, 6)),"
            " change_price = cast(? as decimal(18, 6)) - previous_close_price where symbol = 'AAA'",
            [last_price, last_price],
        )
    link(path)
    return path


def link(path: Path) -> None:
    """Have a file be the published one."""
    new = path.with_name(f"{CURRENT}.new")
    new.symlink_to(path.name)
    new.replace(path.with_name(CURRENT))


def _create(db: duckdb.DuckDBPyConnection) -> None:
    db.execute("create schema gold; create schema ops")
    for table in contract.load().tables.values():
        columns = ", ".join(f'"{c.name}" {c.type_in("duckdb")}' for c in table.columns.values())
        db.execute(f"create table gold.{table.name} ({columns})")
    db.execute(
        "create table ops.builds (build_id varchar, status varchar, reason varchar,"
        " as_of timestamp, started_at timestamp, finished_at timestamp, note varchar)"
    )


def _fill(db: duckdb.DuckDBPyConnection, build_id: str) -> None:
    sessions = calendar.get().sessions(FIRST_DAY, LAST)
    close_at = _naive(sessions[-1].close_at)
    db.execute(
        "insert into ops.builds by name select ? as build_id, 'published' as status, ? as as_of,"
        " ? as started_at, ? as finished_at",
        [build_id, close_at, close_at, close_at],
    )
    for symbol, (base, simulated) in SYMBOLS.items():
        _insert(db, "dim_instrument", [_instrument(symbol)])
        _insert(db, "fct_adjustment_factor", _factors(symbol, simulated))
        days = [_day(symbol, base, simulated, one, n) for n, one in enumerate(sessions)]
        _insert(db, "gold_candlestick", days)
        _insert(db, "gold_technical_indicators", [_indicators(day) for day in days])
        _insert(db, "gold_candlestick", _weeks(days))
        recent = [one for one in sessions if one.session_date >= FIRST_MINUTE]
        for minutes in (1, 5, 15, 60, 240):
            found = list(_intraday(symbol, base, simulated, recent, minutes))
            _insert(db, "gold_candlestick", found)
            if minutes == 5:
                _insert(db, "gold_intraday_window_metrics", [_window(one) for one in found])
        _insert(db, "gold_kpi", [_kpi(symbol, days)])
        _insert(db, "gold_treechart", [_tile(symbol, days[-1])])
    _insert(db, "gold_market_breadth", [_breadth(name) for name in ("all", "Energy")])
    _insert(db, "gold_movers", _movers())
    _insert(db, "gold_volatility_rank", _ranks())
    _insert(db, "gold_anomalies", [_anomaly(close_at)])
    _insert(db, "gold_freshness", [
        {"source": "recorded", "feed": "daily_bars", "status": "ok", "simulated": False,
         "session_date": LAST, "last_event_at": close_at, "lag_sessions": 0, "lag_open_s": 0},
    ])  # fmt: skip


def _insert(db: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Row]) -> None:
    # By Arrow: row by row it takes minutes.
    db.register("made", pa.Table.from_pylist(list(rows)))
    db.execute(f"insert into gold.{table} by name select * from made")
    db.unregister("made")


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _wave(symbol: str, position: float) -> float:
    """Return a swing of a tenth about 1, another for each symbol."""
    phase = sum(map(ord, symbol))
    return 1 + 0.07 * math.sin(position / 9 + phase) + 0.03 * math.sin(position / 1.7)


def _prices(symbol: str, base: float, position: float, step: float) -> Row:
    first, last = (base * _wave(symbol, position + part * step) for part in (0, 1))
    return {
        "open_price": round(first, 4),
        "high_price": round(max(first, last) * 1.004, 4),
        "low_price": round(min(first, last) * 0.996, 4),
        "close_price": round(last, 4),
    }


def _candle(symbol: str, simulated: bool, prices: Row, **others: object) -> Row:
    common = {
        "instrument_id": symbol.lower(), "symbol": symbol, "currency": "USD", **prices,
        "source": "simulator" if simulated else "recorded", "simulated": simulated,
        "is_complete": True, "n_bars": 1, "n_bars_expected": 1,
    }  # fmt: skip
    return common | others


def _day(symbol: str, base: float, simulated: bool, session: Session, n: int) -> Row:
    # As traded: before the split a share cost twice as much.
    traded = base * (2 if symbol == "AAA" and session.session_date < SPLIT else 1)
    return _candle(
        symbol, simulated, _prices(symbol, traded, float(n), 1.0),
        made_of="daily_bars", candle_interval="1d", volume_shares=1_000_000 + 1_000 * (n % 97),
        is_final=True, session_date=session.session_date,
        bar_start_at=_naive(session.open_at), bar_end_at=_naive(session.close_at),
    )  # fmt: skip


def _weeks(days: Sequence[Row]) -> list[Row]:
    weeks: dict[date, list[Row]] = {}
    for day in days:
        monday = day["session_date"] - timedelta(days=day["session_date"].weekday())
        weeks.setdefault(monday, []).append(day)
    return [
        week[-1]
        | {
            "candle_interval": "1w",
            "open_price": week[0]["open_price"],
            "high_price": max(day["high_price"] for day in week),
            "low_price": min(day["low_price"] for day in week),
            "volume_shares": sum(day["volume_shares"] for day in week),
            "bar_start_at": week[0]["bar_start_at"],
        }
        for week in weeks.values()
    ]


def _intraday(
    symbol: str, base: float, simulated: bool, sessions: Sequence[Session], minutes: int
) -> Iterator[Row]:
    name = f"{minutes}m" if minutes < 60 else f"{minutes // 60}h"
    for number, session in enumerate(sessions):
        for start in range(0, session.n_minutes, minutes):
            end = min(start + minutes, session.n_minutes)
            position = 40.0 * number + start / 10
            is_last = session is sessions[-1] and end == session.n_minutes
            yield _candle(
                symbol, simulated, _prices(symbol, base, position, minutes / 10),
                made_of="trades", candle_interval=name, volume_shares=700 * minutes + start,
                is_final=not is_last, session_date=session.session_date,
                bar_start_at=_naive(session.open_at) + timedelta(minutes=start),
                bar_end_at=_naive(session.open_at) + timedelta(minutes=end),
            )  # fmt: skip


def _indicators(day: Row) -> Row:
    close = day["close_price"]
    names = ("sma_20", "sma_50", "sma_200", "bollinger_middle")
    return {
        "instrument_id": day["instrument_id"], "symbol": day["symbol"],
        "simulated": day["simulated"], "session_date": day["session_date"],
        "close_price": close, **dict.fromkeys(names, round(close * 0.99, 4)),
        "bollinger_upper": close * 1.05, "bollinger_lower": close * 0.95, "rsi_14": 55.5,
        "macd_line": 0.5, "macd_signal": 0.75, "macd_histogram": -0.25,
    }  # fmt: skip


def _window(candle: Row) -> Row:
    names = ("instrument_id", "symbol", "source", "made_of", "simulated", "session_date")
    return {name: candle[name] for name in names} | {
        "window_size": "5m", "window_start_at": candle["bar_start_at"],
        "window_end_at": candle["bar_end_at"], "ma_15m": candle["close_price"], "ma_1h": None,
    }  # fmt: skip


def _instrument(symbol: str) -> Row:
    return {
        "instrument_id": symbol.lower(), "symbol": symbol, "name": f"{symbol} Incorporated",
        "exchange_mic": "XNYS", "sector": SECTORS[symbol], "valid_from": date(1990, 1, 1),
        "valid_to": None,
    }  # fmt: skip


def _factors(symbol: str, simulated: bool) -> list[Row]:
    """Return AAA's split, two for one, and nothing of the others."""
    steps = [(FIRST_DAY, None, 1.0)]
    if symbol == "AAA":
        steps = [(FIRST_DAY, SPLIT - timedelta(days=1), 0.5), (SPLIT, None, 1.0)]
    return [
        {"instrument_id": symbol.lower(), "convention": convention, "simulated": simulated,
         "split_factor": factor, "valid_from": start, "valid_to": end}
        for start, end, factor in steps
        for convention in ("crsp", "alphavantage")
    ]  # fmt: skip


def _kpi(symbol: str, days: Sequence[Row]) -> Row:
    day, before = days[-1], days[-2]
    current = day["close_price"]
    change = round(current - before["close_price"], 4)
    return {
        "instrument_id": day["instrument_id"], "symbol": symbol, "source": day["source"],
        "currency": "USD", "price_kind": "bar", "current_price": current,
        "previous_close_price": before["close_price"], "change_price": change,
        "change_pct": 100 * change / before["close_price"],
        "day_open_price": day["open_price"], "day_high_price": day["high_price"],
        "day_low_price": day["low_price"], "volume_shares": day["volume_shares"],
        "volume_ratio": 1.25, "high_52w_price": 60.0, "low_52w_price": 10.0,
        "position_52w": 0.5, "is_final": True, "simulated": day["simulated"],
        "session_date": LAST, "price_at": day["bar_end_at"],
    }  # fmt: skip


def _tile(symbol: str, day: Row) -> Row:
    return {
        "instrument_id": day["instrument_id"], "symbol": symbol, "name": f"{symbol} Incorporated",
        "sector": SECTORS[symbol], "currency": "USD", "size_dollar_volume": 5e7,
        "return_1d": 0.0123 if symbol == "AAA" else -0.02, "simulated": day["simulated"],
        "session_date": LAST,
    }  # fmt: skip


def _breadth(universe: str) -> Row:
    return {
        "universe": universe, "simulated": False, "session_date": LAST, "n_instruments": 2,
        "advancers": 1, "decliners": 1, "unchanged": 0, "above_sma_50_share": 0.5,
        "above_sma_200_share": None, "new_highs": 1, "new_lows": 0, "up_volume_shares": 1000,
        "down_volume_shares": 2000,
    }  # fmt: skip


def _movers() -> list[Row]:
    return [
        {"symbol": symbol, "direction": direction, "rank": 1, "close_price": 51.23,
         "return_1d": change, "dollar_volume": 5e7, "volume_ratio": 1.25, "currency": "USD",
         "simulated": False, "session_date": LAST}
        for symbol, direction, change in (("AAA", "up", 0.0123), ("BBB", "down", -0.02))
    ]  # fmt: skip


def _ranks() -> list[Row]:
    return [
        {"symbol": symbol, "regime": regime, "volatility_20d": level, "percentile": 1.0,
         "volatility_rank": rank, "n_ranked": 2, "simulated": False, "session_date": LAST}
        for rank, (symbol, regime, level) in enumerate(
            [("BBB", "extreme", 0.61), ("AAA", "calm", 0.12)], start=1
        )
    ]  # fmt: skip


def _anomaly(at: datetime) -> Row:
    return {
        "symbol": "BBB", "rule": "window_volume", "subject": "x", "detail": "<b>loud</b>",
        "value": 12.5, "value_unit": "robust z-score", "threshold": 8.0, "source": "recorded",
        "simulated": False, "session_date": LAST, "event_at": at,
    }  # fmt: skip
