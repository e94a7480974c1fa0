"""Gold of two worlds is the same but for how it came about, or is told to differ."""

from pathlib import Path

import duckdb
import pytest

from drill.airflow.marts import differences


def published(path: Path, *statements: str) -> Path:
    """A published file: a mart, and the table that tells of its build."""
    name = path.stem
    with duckdb.connect(path) as db:
        db.execute(f"""
            create schema gold;
            create table gold.gold_kpi as
            select '{name}' as build_id, {len(name)} as load_batch_id, now() as last_updated, *
            from (values ('AAPL', 430.47, 0.1e0 + 0.2e0), ('IBM', 202.91, null))
                as t (symbol, close_price, change);
            create table gold.gold_dq_scorecard as select '{name}' as run_id;
        """)
        for statement in statements:
            db.execute(statement)
    return path


def compared(tmp_path: Path, *statements: str) -> list[str]:
    one = published(tmp_path / "one.duckdb")
    return differences(one, published(tmp_path / "other.duckdb", *statements))


def test_builds_batches_and_times_are_no_difference(tmp_path: Path) -> None:
    assert compared(tmp_path) == []


def test_sums_in_another_order_are_none(tmp_path: Path) -> None:
    assert compared(tmp_path, "update gold.gold_kpi set change = 0.3e0 where symbol = 'AAPL'") == []


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "update gold.gold_kpi set close_price = 430.48 where symbol = 'AAPL'",
            "gold_kpi: 1 values, such as close_price Decimal('430.47'), Decimal('430.48')",
        ),
        (
            "update gold.gold_kpi set change = 0.300001e0 where symbol = 'AAPL'",
            "gold_kpi: 1 values, such as change 0.30000000000000004, 0.300001",
        ),
        (
            "update gold.gold_kpi set change = 0e0 where symbol = 'IBM'",
            "gold_kpi: 1 values, such as change None, 0.0",
        ),
        ("delete from gold.gold_kpi where symbol = 'IBM'", "gold_kpi: 2 rows, 1 in the other"),
        ("insert into gold.gold_kpi from gold.gold_kpi", "gold_kpi: 2 rows, 4 in the other"),
        ("alter table gold.gold_kpi rename symbol to ticker", "gold_kpi: other columns"),
        ("drop table gold.gold_kpi", "gold_kpi is in one of them only"),
        ("create table gold.more as select 1 as one", "more is in one of them only"),
    ],
)
def test_whatever_else_differs_is_told(tmp_path: Path, statement: str, told: str) -> None:
    [line] = compared(tmp_path, statement)

    assert line.startswith(told)
