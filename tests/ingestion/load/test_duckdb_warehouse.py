"""One transaction per batch: rows, rejects and ledger entries together, or nothing."""

import base64
import functools
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from ingestion.clock import SystemClock
from ingestion.errors import LoadError
from ingestion.load.duckdb_warehouse import DuckDBWarehouse, open_warehouse
from ingestion.load.lines import MAX_DEPTH, depth
from ingestion.load.model import Added, LineFile, Listed, Loaded, TableFile
from tests.ingestion.load.objects import GENERATION, key, line, made

QUOTES = "common.bronze_stock_quotes_raw"
REJECTS = "common.bronze_stock_quotes_rejects"
BARS = "common.bars_raw"


class Store:
    """What the warehouse reads from: objects and lake files by name."""

    def __init__(self) -> None:
        self.objects: dict[str, LineFile] = {}
        self.tables: dict[str, pa.Table] = {}

    def put(self, start: int, lines: list[bytes]) -> Listed:
        found = made(start, lines)
        self.objects[found.listed.file] = found
        return found.listed

    def table(self, name: str, rows: list[dict[str, Any]]) -> Added:
        self.tables[name] = pa.Table.from_pylist(rows)
        return Added(name, 1, 10, len(rows))

    def read_lines(self, listed: list[Listed]) -> list[LineFile]:
        return [self.objects[found.file] for found in listed]

    def read_rows(self, added: Added) -> TableFile:
        return TableFile(added, self.tables[added.file])


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse" / "stocks_mds.duckdb"


@pytest.fixture
def warehouse(path: Path, store: Store) -> Iterator[DuckDBWarehouse]:
    with open_warehouse(path, store.read_lines, store.read_rows, SystemClock()) as opened:
        yield opened


def query(warehouse: DuckDBWarehouse, sql: str) -> list[tuple[Any, ...]]:
    return warehouse._db.execute(sql).fetchall()


def test_lines_become_variant_rows_with_their_place(
    warehouse: DuckDBWarehouse, store: Store
) -> None:
    listed = store.put(7, [line(7, {"data": {"c": 1.5}}), line(8)])

    assert warehouse.load_lines(QUOTES, [listed]) == Loaded(1, 2, 0)

    rows = query(
        warehouse,
        "select v['offset']::bigint, v['value']['data']['c']::double, topic, generation, "
        f"partition, file, batch_id from {QUOTES} order by 1",
    )
    assert rows[0] == (7, 1.5, "stock-quotes", GENERATION, 0, key(7), 1)
    assert rows[1][0] == 8
    ledger = query(warehouse, "select target, file, rows, bytes from ops.load_ledger")
    assert ledger == [(QUOTES, key(7), 2, listed.size)]
    assert warehouse.last_keys(QUOTES) == {key(7).rpartition("/")[0] + "/": key(7)}


HOSTILE = {
    "lone surrogate": rb'{"offset":1,"value":{"a":"\ud800"}}',
    "not json": b'{"offset":1,"value":',
    "not utf-8": b'{"offset":1,"value":"\xff\xfe"}',
    "too deep": b'{"offset":1,"value":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    "null": b"null",
    "empty": b"",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_line_that_the_engine_refuses_does_not_take_its_file_along(
    warehouse: DuckDBWarehouse, store: Store, name: str
) -> None:
    hostile = HOSTILE[name]
    listed = store.put(0, [line(0), hostile, line(2)])

    assert warehouse.load_lines(QUOTES, [listed]) == Loaded(1, 2, 1)

    number, reason, raw, encoding, offset = query(
        warehouse, f'select line_number, reason, raw, raw_encoding, "offset" from {REJECTS}'
    )[0]
    kept = base64.b64decode(raw) if encoding == "base64" else raw.encode()
    assert kept == hostile
    assert number == 2 and reason
    assert offset == (1 if hostile.startswith(b'{"offset":1') else None)


def test_brackets_in_strings_are_not_depth() -> None:
    assert depth(b'{"a":"' + b"[" * 1000 + b'\\"]"}') == 1
    assert depth(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) == MAX_DEPTH


def test_a_difference_rolls_the_whole_batch_back(warehouse: DuckDBWarehouse, store: Store) -> None:
    good = store.table("s3://lake/a.parquet", [{"symbol": "AAPL"}])
    short = store.table("s3://lake/b.parquet", [{"symbol": "IBM"}])
    claimed = Added(short.file, short.snapshot_id, short.size, 2)

    with pytest.raises(LoadError, match=r"b\.parquet: expected 2 rows, found 1"):
        warehouse.load_rows(BARS, [good, claimed], 1)

    assert query(warehouse, f"select count(*) from {BARS}") == [(0,)]
    assert query(warehouse, "select count(*) from ops.load_ledger") == [(0,)]
    assert warehouse.load_rows(BARS, [good, short], 1) == Loaded(2, 2, 0)


@pytest.mark.parametrize("step", ["_insert_rejects", "_insert_ledger", "_compare"])
def test_a_kill_between_two_steps_leaves_nothing_of_the_batch(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    listed = store.put(0, [line(0), line(1)])
    opening = functools.partial(
        open_warehouse, path, store.read_lines, store.read_rows, SystemClock()
    )
    with opening() as first, monkeypatch.context() as patch:
        patch.setattr(DuckDBWarehouse, step, killed)
        with pytest.raises(KeyboardInterrupt):
            first.load_lines(QUOTES, [listed])

    with opening() as second:
        assert second.ledger(QUOTES).files == frozenset()
        second.load_lines(QUOTES, [listed])
        assert query(second, f"select count(*) from {QUOTES}") == [(2,)]


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_column_that_the_lake_gains_is_added(warehouse: DuckDBWarehouse, store: Store) -> None:
    warehouse.load_rows(BARS, [store.table("a", [{"symbol": "AAPL"}])], 1)
    wider = store.table("b", [{"symbol": "IBM", "n_trades": 7}])

    warehouse.load_rows(BARS, [wider], 2)

    rows = query(warehouse, f"select symbol, n_trades from {BARS} order by symbol")
    assert rows == [("AAPL", None), ("IBM", 7)]


def test_a_decimal_that_would_be_rounded_is_refused(
    warehouse: DuckDBWarehouse, store: Store
) -> None:
    finer = store.table("a", [{"open": Decimal("1.0000000000000000001")}])

    with pytest.raises(
        LoadError, match=r"expected open as DECIMAL\(38,18\), found DECIMAL\(20,19\)"
    ):
        warehouse.load_rows(BARS, [finer], 1)


def test_a_snapshot_without_files_is_remembered(warehouse: DuckDBWarehouse) -> None:
    assert warehouse.load_rows(BARS, [], 42) == Loaded(0, 0, 0)

    assert warehouse.ledger(BARS).snapshots == {42}


def test_batches_are_numbered_by_the_ledger_and_not_by_a_clock(path: Path, store: Store) -> None:
    class Backwards:
        def __init__(self) -> None:
            self.years = iter((2030, 2020))

        def now(self) -> datetime:
            return datetime(next(self.years), 1, 1, tzinfo=UTC)

        def monotonic(self) -> float:
            return 0.0

        def sleep(self, seconds: float) -> None:
            raise AssertionError(seconds)

    with open_warehouse(path, store.read_lines, store.read_rows, Backwards()) as warehouse:
        warehouse.load_lines(QUOTES, [store.put(0, [line(0)])])
        warehouse.load_lines(QUOTES, [store.put(1, [line(1)])])

        rows = query(warehouse, "select batch_id, year(loaded_at) from ops.load_ledger order by 1")
    assert rows == [(1, 2030), (2, 2020)]


def test_a_file_of_another_kind_is_one_readable_line(path: Path, store: Store) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 5000)

    with (
        pytest.raises(LoadError, match="stocks_mds") as caught,
        open_warehouse(path, store.read_lines, store.read_rows, SystemClock()),
    ):
        pass

    assert "\n" not in str(caught.value)
    assert isinstance(caught.value.__cause__, duckdb.Error)
