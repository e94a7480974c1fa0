import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from benchmarks.dbt import compare, data, project
from ingestion.errors import TapehouseError

DAYS = """
    select
        'AAA' as symbol, day::date as session_date, 10.0 as open, 12.0 as high, 9.0 as low,
        11.0 as close, 11.0 as adjusted_close, 500 as volume,
        case when day = date '2013-01-03' then 0.5 else 0 end as dividend_amount,
        case when day = date '2013-01-04' then 2.0 else 1.0 end as split_coefficient,
        'recorded' as source
    from (values (date '2012-12-31'), (date '2013-01-02'), (date '2013-01-03'),
        (date '2013-01-04'), (date '2013-01-05')) as days (day)
"""
LOG = """\
05:01:02.1 [info ] [Thread-1 (]: 1 of 9 START sql table model silver.silver_splits .. [RUN]
05:01:02.2 [info ] [Thread-1 (]: 1 of 9 OK created sql table model silver.bars ... [OK in 1.25s]
05:01:03.2 [info ] [Thread-2 (]: 2 of 9 PASS unique_mart__b .. [\x1b[32mPASS\x1b[0m in 0.31s]
05:01:03.4 [info ] [Thread-2 (]: 3 of 9 OK loaded seed file reference.s ... [INSERT 72 in 0.40s]
"""


def test_days_go_through_the_load_and_its_ledger(tmp_path: Path) -> None:
    before, last = data.write(DAYS, tmp_path / "lake")
    warehouse = tmp_path / "warehouse.duckdb"
    for commit in (before, last):
        data.load(warehouse, commit)

    assert (before.bars, last.bars) == (3, 1), "the fifth day is a Saturday"
    with duckdb.connect(warehouse, read_only=True) as db:
        bars = db.execute(
            "select batch_id, count(*), count(distinct event_id), max(as_of) from common.bars_raw "
            "group by batch_id order by batch_id"
        ).fetchall()
        actions = db.execute(
            "select type, ratio, amount, ex_date::varchar from common.corporate_actions_raw "
            "order by ex_date"
        ).fetchall()
        [(rows,)] = db.execute("select sum(rows) from ops.load_ledger").fetchall()
        nulls = db.execute(
            "select count(*) from common.bars_raw where kafka_timestamp is null or topic is null"
        ).fetchall()
    assert [(count, events) for _, count, events, _ in bars] == [(3, 3), (1, 1)]
    assert str(bars[1][3]) == "2013-01-04 21:15:00"
    assert [(kind, float(ratio or amount), day) for kind, ratio, amount, day in actions] == [
        ("dividend", 0.5, "2013-01-03"), ("split", 2.0, "2013-01-04")
    ]  # fmt: skip
    assert (rows, nulls) == (4 + 2 + 4, [(0,)])


def test_the_copy_has_the_instruments_that_are_asked_for(tmp_path: Path) -> None:
    made = project.copy(tmp_path, ["BBB", "AAA"])

    lines = (made.dbt / "seeds" / "instruments.csv").read_text().splitlines()
    header = lines[0].split(",")
    rows = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    assert [(row["symbol"], row["instrument_id"]) for row in rows] == [
        ("AAA", "aaa"), ("BBB", "bbb")
    ]  # fmt: skip
    assert {row["valid_from"] for row in rows} == {"1999-01-01"}
    done = subprocess.run(
        [sys.executable, "-c", "import dbt_stocks, ingestion; print(dbt_stocks.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).parent == made.dbt


def test_dbt_s_log_says_what_each_node_took(tmp_path: Path) -> None:
    log = tmp_path / "dbt.log"
    log.write_text(LOG)

    assert project._nodes(log) == {
        "bars": 1.25,
        "unique_mart__b": 0.31,
        "s": 0.4,
    }


@pytest.mark.parametrize(("changed", "worst"), [("close_price", 0.0), ("close_price + 1e-6", 2e-8)])
def test_a_value_that_differs_is_found(tmp_path: Path, changed: str, worst: float) -> None:
    gold, theirs = tmp_path / "marts.duckdb", tmp_path / "theirs.parquet"
    _marts(gold)
    _write(theirs, f"select symbol, session_date, {changed} as close_price")

    found = compare.columns(gold, theirs)

    assert [one.column for one in found] == ["close_price"] * 2
    assert {one.values for one in found} == {2}
    assert max(one.worst for one in found) == pytest.approx(worst, rel=1e-3)


def test_rows_that_one_side_lacks_are_no_comparison(tmp_path: Path) -> None:
    gold, theirs = tmp_path / "marts.duckdb", tmp_path / "theirs.parquet"
    _marts(gold)
    _write(theirs, "select symbol, session_date + 1 as session_date, close_price")

    with pytest.raises(TapehouseError, match="gold_daily_metrics: expected the same rows"):
        compare.columns(gold, theirs)


_ROWS = "(values ('AAA', date '2013-01-03', 100.0::double), ('AAA', date '2013-01-04', 50.0))"


def _marts(gold: Path) -> None:
    with duckdb.connect(gold) as db:
        db.execute("create schema gold")
        for mart in ("gold_daily_metrics", "gold_technical_indicators"):
            db.execute(
                f"create table gold.{mart} as from {_ROWS} as t (symbol, session_date, close_price)"
            )


def _write(path: Path, select: str) -> None:
    with duckdb.connect() as db:
        db.execute(
            f"copy ({select} from {_ROWS} as t (symbol, session_date, close_price)) to '{path}'"
        )
