"""Published marts beside another implementation's values, column by column."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from ingestion.errors import TapehouseError

TOLERANCE: Final = 1e-9
# What a difference is related to where the values themselves cross zero: SQL over both relations.
_SCALES: Final = {
    "price_return_1d": "1",
    "return_1d": "1",
    "return_1d_log": "1",
    "gap_return": "1",
    "macd_line": "ours.close_price",
    "macd_signal": "ours.close_price",
    "macd_histogram": "ours.close_price",
    "obv_shares": "max(abs(ours.obv_shares)) over (partition by symbol order by session_date)",
}
_MARTS: Final = ("gold_daily_metrics", "gold_technical_indicators")


@dataclass(frozen=True)
class Compared:
    """A column's values, rows where only one side has one, and the worst relative difference."""

    column: str
    values: int
    nulls: int
    worst: float


def columns(gold: Path, theirs: Path) -> list[Compared]:
    """Compare every column that both have, row by row, key (symbol, session_date).

    Raises:
        TapehouseError: rows are missing on one side.
    """
    with duckdb.connect() as db:
        db.execute(f"attach '{gold}' as published (read_only)")
        db.execute(f"create view theirs as from read_parquet('{theirs}')")
        return [found for mart in _MARTS for found in _of_mart(db, mart)]


def _of_mart(db: duckdb.DuckDBPyConnection, mart: str) -> list[Compared]:
    db.execute(f"create or replace view ours as from published.gold.{mart}")
    [(ours, theirs, both)] = db.execute(
        "select (select count(*) from ours), (select count(*) from theirs), "
        "(select count(*) from ours inner join theirs using (symbol, session_date))"
    ).fetchall()
    if not ours == theirs == both:
        raise TapehouseError(f"{mart}: expected the same rows, found {ours}, {theirs}, {both}")
    kinds = "column_type in ('DOUBLE', 'BIGINT', 'INTEGER') or column_type like 'DECIMAL%'"
    shared = db.execute(
        f"select column_name from (describe ours) where {kinds} intersect "  # noqa: S608
        f"select column_name from (describe theirs) where {kinds}"
    ).fetchall()
    return [_compared(db, name) for (name,) in shared]


def _compared(db: duckdb.DuckDBPyConnection, name: str) -> Compared:
    scale = _SCALES.get(name, "0")
    [(values, nulls, worst)] = db.execute(
        f"""
        select
            count(a),
            count(*) filter ((a is null) <> (b is null)),
            coalesce(max(abs(a - b) / nullif(greatest(abs(a), abs(b), scale), 0)), 0)
        from (
            select ours.{name}::double as a, theirs.{name}::double as b, ({scale})::double as scale
            from ours inner join theirs using (symbol, session_date)
        )
        """  # noqa: S608
    ).fetchall()
    return Compared(name, values, nulls, worst)
