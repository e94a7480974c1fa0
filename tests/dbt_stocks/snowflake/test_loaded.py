"""From lake files through the load's own writer to the mart, on the emulator."""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingestion.settings import ROOT
from tests.dbt_stocks.raw import XNYS, RawWarehouse, at, bar
from tests.emulator import process
from tests.emulator.process import DATABASE, Emulator
from tests.ingestion.load.account import Account, Buckets, bootstrap

SYMBOLS = ("AAPL", "AMZN", "AVGO", "IBM", "INTC", "JPM", "MSFT", "NVDA", "TSLA", "V")
TARGETS = ("common.bars_raw", "common.daily_stock_metrics_raw")
_OWN = "file, snapshot_id, loaded_at, batch_id"
_BUILD_S = 400
Key = tuple[str, date]


def the_year() -> Iterator[dict[str, Any]]:
    """Ten symbols' daily bars of 2012: prices to a millionth, no day far from the one before."""
    drawn = random.Random(2012)
    days = [date(2012, 1, 1) + timedelta(days=n) for n in range(366)]
    for symbol in SYMBOLS:
        price = Decimal(drawn.randint(20_000_000, 600_000_000)).scaleb(-6)
        for day in (day for day in days if XNYS.session(day)):
            opened = price
            price = (price * Decimal(drawn.randint(985, 1016)) / 1000).quantize(Decimal("1e-6"))
            prices = (opened, max(opened, price) + 1, min(opened, price) - 1, price)
            yield bar(symbol, day, tuple(map(str, prices)), drawn.randint(1, 10**9))


def a_year_in_three_batches(raw: RawWarehouse) -> dict[Key, tuple[Any, ...]]:
    """Fill raw tables as a lake would and return what each symbol's days are in the end."""
    found = list(the_year())
    corrected = [
        bar(
            row["symbol"],
            row["session_date"],
            tuple(str(row[name]) for name in ("open", "high", "low", "close")),
            row["volume"] + 1,
            as_of=at(2013, 1, 2),
        )
        for row in found[::97]
    ]
    for batch, rows in enumerate((found[:1000], found[1000:], corrected), start=1):
        raw.batch, raw.offsets = batch, {"stock-market-batch": batch * 10_000}
        raw.bars(rows)
    final = {(row["symbol"], row["session_date"]): row for row in (*found, *corrected)}
    return {
        key: (row["open"], row["high"], row["low"], row["close"], row["volume"])
        for key, row in final.items()
    }


def lake_file(raw: RawWarehouse, target: str, batch: int) -> pa.Table:
    """Return a batch's rows as the lake has them: times of UTC, and no columns of the load's."""
    with duckdb.connect(raw.path, read_only=True) as db:
        rows = db.sql(
            f"select * exclude ({_OWN}) from {target} where batch_id = {batch}"
        ).to_arrow_table()
    fields = [
        field.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(field.type) else field
        for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))


def build(emulator: Emulator, target: Path) -> None:
    found = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "--no-use-colors", "build",
         "--select", "+daily_stock_metrics", "--exclude-resource-type", "test", "unit_test",
         "--target-path", str(target), "--log-path", str(target)],
        cwd=ROOT / "dbt_stocks",
        env=os.environ | emulator.environment | {"TAPEHOUSE_BUILD_ID": "loaded"},
        capture_output=True,
        text=True,
        timeout=_BUILD_S,
        check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.long
def test_a_year_of_ten_symbols_is_the_mart_s_after_three_overlapping_loads(tmp_path: Path) -> None:
    raw = RawWarehouse(tmp_path / "raw.duckdb").create()
    source = a_year_in_three_batches(raw)
    assert len(source) == 2_500

    with process.running(tmp_path / "emulator") as emulator, emulator.connect() as looking:
        account = Account(emulator, DATABASE, looking)
        for statement in bootstrap(DATABASE):
            account.query(statement)
        buckets = Buckets(emulator.buckets)
        files = {
            target: [
                buckets.add(f"{target}/{batch}.parquet", lake_file(raw, target, batch), batch)
                for batch in (1, 2, 3)
            ]
            for target in TARGETS
        }
        with account.open(buckets.source("internal")) as warehouse:
            for last in (1, 2, 3):
                for target in TARGETS:
                    warehouse.load_rows(target, files[target][:last], last)
        build(emulator, tmp_path / "dbt")

        rows = account.query(
            "select symbol, date, daily_open, daily_high, daily_low, daily_close, daily_volume "
            "from gold_candidate.daily_stock_metrics"
        )

    assert len(rows) == len(source)
    assert {(symbol, day): tuple(values) for symbol, day, *values in rows} == source
