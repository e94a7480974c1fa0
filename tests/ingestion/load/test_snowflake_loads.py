"""Whole loads, as the command makes them, into an emulated Snowflake."""

import functools
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pytest
from pyiceberg.catalog import Catalog, load_catalog

from ingestion.load import lake
from ingestion.load.model import Listed, Loaded
from ingestion.load.run import LAKE_TARGETS, load_lake, load_quotes
from ingestion.pins import Pins
from spark_jobs.schemas import COMPACTED, METRICS
from tests.ingestion.load.account import (
    BARS,
    LEDGER,
    REJECTS,
    Account,
    Buckets,
    Stage,
    documents,
)
from tests.ingestion.load.lake import bars, bars_table

DAILY = "common.daily_stock_metrics_raw"
both_stages = pytest.mark.parametrize("stage", ["internal", "external"])


class Listing:
    """Bronze as far as ``load_quotes`` asks for it."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def beyond(self, _: str, last_keys: Mapping[str, str]) -> list[Listed]:
        return [
            Listed(name, len(body))
            for name, (_, body) in sorted(self._buckets.objects.items())
            if name > last_keys.get(name.rpartition("/")[0] + "/", "")
        ]

    def ends(self, listed: list[Listed]) -> dict[str, int]:
        return {found.file: 0 for found in listed[-1:]}


def messages(start: int, n: int) -> list[dict[str, Any]]:
    """Return lines as the lander writes them, of a quote that moves."""
    return [
        {
            "offset": offset,
            "timestamp": 1793534400000 + offset,
            "key": "AAPL",
            "headers": [["schema", "quote.v1"], ["source", "finnhub"]],
            "value": {
                "schema": "quote.v1",
                "event_id": f"e{offset}",
                "data": {"c": 261.74 + offset / 1e6, "t": offset, "note": f'é "{offset}" \\'},
            },
        }
        for offset in range(start, start + n)
    ]


@pytest.mark.long
@both_stages
def test_2500_objects_in_three_loads_are_each_there_once(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    """Partitions grow between loads; the last load finds nothing."""
    sent: list[dict[str, Any]] = []
    offsets = dict.fromkeys(range(3), 0)
    hostile = 0
    listing = Listing(buckets)
    results = []
    for objects in (1_300, 900, 300, 0):
        for number in range(objects):
            partition = number % 3
            found = messages(offsets[partition], 2)
            lines = [json.dumps(message, ensure_ascii=False).encode() for message in found]
            sent += found
            if number % 100 == 7:
                lines.append(b'{"offset":%d,"value":' % (offsets[partition] + 2))
                hostile += 1
            buckets.put(offsets[partition], lines, partition)
            offsets[partition] += len(lines)
        with account.open(buckets.source(stage)) as warehouse:
            results.append(load_quotes(warehouse, listing).loaded)  # type: ignore[arg-type]

    assert [result.files for result in results] == [1_300, 900, 300, 0]
    assert account.query(f"select count(*), count(distinct batch_id) from {LEDGER}") == [(2500, 4)]
    assert account.query(f"select count(*) from {REJECTS}") == [(hostile,)]
    assert sum(result.rejected for result in results) == hostile
    assert sorted(map(canonical, documents(account))) == sorted(map(canonical, sent))
    assert account.query("list @common.incoming") == []


def canonical(message: dict[str, Any]) -> str:
    return json.dumps(message, sort_keys=True)


def the_year() -> pa.Table:
    """Ten symbols' daily metrics of a year's weekdays, prices to a millionth."""
    drawn = random.Random(9)
    days = [date(2025, 1, 1) + timedelta(days=n) for n in range(365)]
    at = datetime(2026, 1, 2, 22, 15, 0, 1, tzinfo=UTC)
    rows = []
    for symbol in (f"SYM{n}" for n in range(10)):
        price = Decimal(drawn.randint(10_000_000, 500_000_000)).scaleb(-6)
        for day in (day for day in days if day.weekday() < 5):
            opened, price = price, price + Decimal(drawn.randint(-900_000, 900_000)).scaleb(-6)
            rows.append(
                {
                    "symbol": symbol,
                    "source": "recorded",
                    "simulated": False,
                    "session_date": day,
                    "daily_open": opened,
                    "daily_high": max(opened, price) + Decimal("0.000001"),
                    "daily_low": min(opened, price) - Decimal("0.000001"),
                    "daily_close": price,
                    "daily_volume": drawn.randint(0, 2**53),
                    "daily_change": float(price / opened - 1) * 100,
                    "bar_event_id": f"{symbol}-{day}",
                    "as_of": at + timedelta(microseconds=drawn.randint(0, 10**9)),
                    "revision": 1,
                    "computed_at": at,
                }
            )
    price_type = pa.decimal128(18, 6)
    types = {name: price_type for name in rows[0] if name.startswith("daily_")}
    types |= {"daily_volume": pa.int64(), "daily_change": pa.float64(), "revision": pa.int32()}
    types |= {"as_of": pa.timestamp("us", "UTC"), "computed_at": pa.timestamp("us", "UTC")}
    types |= {"session_date": pa.date32(), "simulated": pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in rows[0]])
    return pa.Table.from_pylist(rows, schema=schema)


@both_stages
def test_a_year_of_ten_symbols_equals_its_source_after_three_overlapping_loads(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    source = the_year()
    cuts = [0, 700, 1_500, 2_000, source.num_rows]
    files = [
        buckets.add(f"metrics/{n}.parquet", source.slice(a, b - a), snapshot=n + 1)
        for n, (a, b) in enumerate(pairwise(cuts))
    ]

    with account.open(buckets.source(stage)) as warehouse:
        loaded = [
            warehouse.load_rows(DAILY, files[first:last], last)
            for first, last in ((0, 2), (1, 3), (0, 4))
        ]

    assert loaded == [Loaded(2, 1500), Loaded(1, 500), Loaded(1, source.num_rows - 2000)]
    columns = ", ".join(source.schema.names)
    found = account.query(f"select {columns} from {DAILY} order by symbol, session_date")
    expected = source.sort_by([("symbol", "ascending"), ("session_date", "ascending")])
    assert len(found) == 2_610
    assert found == [tuple(map(as_read, row.values())) for row in expected.to_pylist()]


def as_read(value: Any) -> Any:
    """The lake's times are of UTC; the warehouse's say no zone."""
    return value.replace(tzinfo=None) if isinstance(value, datetime) else value


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    warehouse = tmp_path / "lake"
    warehouse.mkdir()
    return load_catalog(
        "lake", type="sql", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{warehouse}"
    )


def test_the_lake_s_news_are_loaded_as_they_come(
    account: Account, catalog: Catalog, tmp_path: Path
) -> None:
    """Through the same walk as for DuckDB, from Iceberg's own metadata."""
    table = bars_table(catalog)
    local = functools.partial(lake.open_file, pyarrow.fs.LocalFileSystem())
    source = replace(Buckets(tmp_path).source("internal"), open_file=local)
    found = []
    for symbols in (("AAPL", "IBM"), ("GOOG",), ()):
        if symbols:
            table.append(bars(*symbols))
        with account.open(source) as warehouse:
            results = load_lake(warehouse, catalog, Pins(tmp_path / "pins", "s"), lambda _: None)
        found.append({r.target: r.loaded.rows for r in results if r.loaded.rows})

    assert found == [{BARS: 2}, {BARS: 1}, {}]
    rows = account.query(f"select symbol, event_at from {BARS} order by 1")
    assert [symbol for symbol, _ in rows] == ["AAPL", "GOOG", "IBM"]


def test_every_target_s_table_takes_its_lake_table_s_columns(
    account: Account, buckets: Buckets, tables: Mapping[str, pa.Schema]
) -> None:
    """The bootstrap's tables have what the jobs make, in type and scale."""
    with account.open(buckets.source("external")) as warehouse:
        for name, target in LAKE_TARGETS.items():
            empty = buckets.add(f"{name}.parquet", tables[name].empty_table())
            assert warehouse.load_rows(target, [empty], 1) == Loaded(1, 0)


@pytest.fixture(scope="module")
def tables() -> Iterator[dict[str, pa.Schema]]:
    kinds = {
        "string": pa.string(),
        "int": pa.int32(),
        "bigint": pa.int64(),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"),
    }

    def arrow(kind: str) -> pa.DataType:
        if kind.startswith("decimal"):
            precision, scale = kind.removeprefix("decimal(").removesuffix(")").split(",")
            return pa.decimal128(int(precision), int(scale))
        return kinds[kind]

    named = {f"{table.namespace}.{table.name}": table for table in (*COMPACTED, *METRICS)}
    yield {
        name: pa.schema([(column, arrow(kind)) for column, kind in named[name].columns.items()])
        for name in LAKE_TARGETS
    }
