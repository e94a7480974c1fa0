"""What was loaded against what Snowflake has: equal, and every planted fault with its file."""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table.snapshots import Operation, Snapshot, Summary

from ingestion.load import lake
from ingestion.load.bronze import line_file
from ingestion.load.model import LineFile, Listed
from ingestion.load.run import load_lake
from ingestion.pins import Pins
from ingestion.verify.model import Verified
from ingestion.verify.run import TARGETS, Storage, read_rows, verify
from ingestion.verify.tables import Tables
from tests.emulator.process import Emulator
from tests.ingestion.load.account import (
    BARS,
    LEDGER,
    QUOTES,
    REJECTS,
    Account,
    Buckets,
    new_account,
)
from tests.ingestion.load.lake import bars, bars_table
from tests.ingestion.load.objects import key, line
from tests.ingestion.load.test_snowflake_warehouse import MEANT

TABLES = (QUOTES, REJECTS, BARS, LEDGER)


@dataclass
class World:
    """A loaded account and what it was loaded from."""

    account: Account
    buckets: Buckets
    catalog: Catalog

    @property
    def storage(self) -> Storage:
        local = pyarrow.fs.LocalFileSystem()
        return Storage(self._list, self._read, self.catalog, functools.partial(read_rows, local))

    def _list(self, topic: str) -> list[Listed]:
        objects = sorted(self.buckets.objects.items())
        return [Listed(k, len(body)) for k, (_, body) in objects if k.startswith(f"{topic}/")]

    def _read(self, listed: list[Listed]) -> list[LineFile]:
        return [line_file(found, *self.buckets.objects[found.file]) for found in listed]

    def load(self) -> None:
        local = functools.partial(lake.open_file, pyarrow.fs.LocalFileSystem())
        source = replace(self.buckets.source("internal"), open_file=local)
        with self.account.open(source) as warehouse:
            known = warehouse.ledger(QUOTES).files
            new = [found for found in self._list("stock-quotes") if found.file not in known]
            warehouse.load_lines(QUOTES, new)
            pins = Pins(Path(self.account.emulator.log).parent / "pins", self.account.database)
            load_lake(warehouse, self.catalog, pins, lambda _: None)

    def verify(self, target: str, sample: int = 3) -> Verified:
        with self.account.connect() as session:
            return verify(target, Tables(session), self.storage, sample, lambda _: None)

    def files(self) -> list[str]:
        """The lake's: that of two rows, then that of one."""
        return [
            file
            for (file,) in self.account.query(
                f"select file from {LEDGER} where target = '{BARS}' and file not like '#%' "
                "order by row_count desc"
            )
        ]


def filled(account: Account, buckets: Buckets, folder: Path) -> World:
    """Load four objects, one with a refused line, one a gap, and two files of bars."""
    (folder / "lake").mkdir()
    catalog = load_catalog(
        "lake", type="sql", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/lake"
    )
    made = World(account, buckets, catalog)
    buckets.put(0, [line(0), line(1)])
    buckets.put(2, [line(2 + n, value) for n, value in enumerate(MEANT.values())] + [b"no json"])
    buckets.put(9, [])
    buckets.put(0, [b'{"offset":0,"value":"\xff"}', line(1)], partition=1)
    table = bars_table(catalog)
    for symbols in (("AAPL", "IBM"), ("GOOG",)):
        table.append(bars(*symbols))
        made.load()
    return made


@pytest.fixture(scope="module")
def loaded(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    for account in new_account(emulator):
        here = filled(account, Buckets(emulator.buckets), tmp_path_factory.mktemp("loaded"))
        for table in TABLES:
            account.query(f"create table {table}_kept as select * from {table}")
        yield here


@pytest.fixture
def here(loaded: World) -> World:
    """What was loaded, as it was loaded: a new database for each test takes ten times as long."""
    for table in TABLES:
        loaded.account.query(f"delete from {table}")
        loaded.account.query(f"insert into {table} select * from {table}_kept")
    buckets = Buckets(loaded.buckets.root, dict(loaded.buckets.objects))
    return World(loaded.account, buckets, loaded.catalog)


@pytest.fixture
def fresh(account: Account, buckets: Buckets, tmp_path: Path) -> World:
    """One of its own for a test that changes the lake."""
    return filled(account, buckets, tmp_path)


def told(found: Verified) -> list[tuple[str, str]]:
    return [(one.file, one.what) for one in found.differences]


def test_what_was_loaded_is_equal_to_its_origin(here: World) -> None:
    quotes, rows = here.verify(QUOTES), here.verify(BARS)

    assert quotes.differences == rows.differences == []
    assert (quotes.files, quotes.rows, quotes.rejected) == (4, 2 + len(MEANT) + 1 + 2, 2)
    assert (rows.files, rows.rows) == (2, 3)
    assert len(rows.samples) == 3 and len(quotes.samples) == 3
    assert all(text.startswith("stock-quotes/g=") for text in quotes.samples)
    [sample] = [text for text in rows.samples if "AAPL" in text]
    assert '"open":34.099998474121094,' in sample and '"close":null' in sample


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {QUOTES, BARS}))
def test_a_target_without_anything_is_equal(here: World, target: str) -> None:
    found = here.verify(target)

    assert (found.differences, found.files, found.rows) == ([], 0, 0)


def test_what_is_not_loaded_yet_is_counted_and_no_difference(fresh: World) -> None:
    fresh.buckets.put(10, [line(10)])
    fresh.buckets.put(0, [line(0)], partition=2)
    fresh.catalog.load_table("silver.bars").append(bars("MSFT"))

    quotes, rows = fresh.verify(QUOTES), fresh.verify(BARS)

    assert quotes.differences == rows.differences == []
    assert (quotes.pending, rows.pending) == (2, 1)
    fresh.load()
    assert (fresh.verify(QUOTES).pending, fresh.verify(BARS).pending) == (0, 0)


PLANTED_QUOTES: dict[str, tuple[list[str], str, str, str, str]] = {
    "a row is deleted": (
        [f"delete from {QUOTES} where v['offset']::bigint = 1 and \"PARTITION\" = 0"],
        key(0), "contents", r"^2 rows with hash [0-9a-f]{32}$", r"^1 rows with hash",
    ),
    "a row is doubled": (
        [f"insert into {QUOTES} select * from {QUOTES} where v['offset']::bigint = 0"],
        key(0), "contents", "^2 rows", "^3 rows",
    ),
    "a value is altered in its last digit": (
        [f"update {QUOTES} set v = parse_json(replace(to_json(v), '9007199254740993', "
         "'9007199254740992')) where v['offset']::bigint = 2"],
        key(2), "contents", f"^{len(MEANT) + 1} rows", f"^{len(MEANT) + 1} rows",
    ),
    "a number becomes a text": (
        [f"update {QUOTES} set v = parse_json(replace(to_json(v), '123456789012345678', "
         "'\"123456789012345678\"')) where v['offset']::bigint = 2"],
        key(2), "contents", f"^{len(MEANT) + 1} rows", f"^{len(MEANT) + 1} rows",
    ),
    "a row's place is another": (
        [f"update {QUOTES} set \"PARTITION\" = 1 where file = '{key(0)}' "
         "and v['offset']::bigint = 1"],
        key(0), "contents", "^2 rows", "^2 rows",
    ),
    "a refused line's bytes are others": (
        [f"update {REJECTS} set raw = 'no  json' where file = '{key(2)}'"],
        key(2), "contents", f"^{len(MEANT) + 1} rows", f"^{len(MEANT) + 1} rows",
    ),
    "a refused line is gone": (
        [f"delete from {REJECTS} where raw_encoding = 'base64'"],
        key(0, 1), "contents", "^2 rows", "^1 rows",
    ),
    "the ledger has another count": (
        [f"update {LEDGER} set row_count = 3 where file = '{key(0)}'"],
        key(0), "rows in the ledger", "^2$", "^3$",
    ),
    "the ledger has another size": (
        [f"update {LEDGER} set bytes = bytes + 1 where file = '{key(0)}'"],
        key(0), "bytes as when it was loaded", r"^\d+$", r"^\d+$",
    ),
    "the ledger has a file twice": (
        # The emulator keeps primary keys, Snowflake does not.
        [f"create or replace table {LEDGER} as select * from {LEDGER}_kept union all "
         f"select * from {LEDGER}_kept where file = '{key(0)}'"],
        key(0), "entries in the ledger", "^1$", "^2$",
    ),
    "the ledger lacks a file": (
        [f"delete from {LEDGER} where file = '{key(0)}'"],
        key(0), "entry in the ledger", "^one$", "^none, and 2 rows$",
    ),
    "the ledger lacks the last file of a partition": (
        [f"delete from {LEDGER} where file = '{key(0, 1)}'"],
        key(0, 1), "entry in the ledger", "^one$", "^none, and 2 rows$",
    ),
    "a file is missing from ledger and table": (
        [f"delete from {LEDGER} where file = '{key(0)}'",
         f"delete from {QUOTES} where file = '{key(0)}'"],
        key(0), "entry in the ledger", "^one, as later files have$", "^none$",
    ),
    "a gap has rows": (
        [f"update {QUOTES} set file = '{key(9)}' where v['offset']::bigint = 2"],
        key(9), "contents", "^0 rows", "^1 rows",
    ),
    "there are rows of a file that was never there": (
        [f"insert into {QUOTES} (v, topic, generation, \"PARTITION\", file, loaded_at, batch_id) "
         "select parse_json('{}'), 't', 'g', 0, 'elsewhere', '2026-01-01', 6"],
        "elsewhere", "entry in the ledger", "^one$", "^none, and 1 rows$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED_QUOTES)
def test_a_fault_planted_in_quotes_is_named_with_its_file(here: World, name: str) -> None:
    statements, file, what, expected, found = PLANTED_QUOTES[name]
    for statement in statements:
        here.account.query(statement)

    assert_tells(here.verify(QUOTES), file, what, expected, found)


PLANTED_BARS: dict[str, tuple[list[str], int, str, str, str]] = {
    "a row is deleted": (
        [f"delete from {BARS} where symbol = 'IBM'"], 0, "contents", "^2 rows", "^1 rows",
    ),
    "a row is doubled": (
        [f"insert into {BARS} select * from {BARS} where symbol = 'GOOG'"],
        1, "contents", "^1 rows", "^2 rows",
    ),
    "a price is altered in its last digit": (
        [f"update {BARS} set open = open + 0.000000000000000001 where symbol = 'IBM'"],
        0, "contents", "^2 rows", "^2 rows",
    ),
    "a moment is altered by a microsecond": (
        [f"update {BARS} set event_at = '2013-03-01 14:30:00.000001' where symbol = 'IBM'"],
        0, "contents", "^2 rows", "^2 rows",
    ),
    "a NULL becomes a nought": (
        [f"update {BARS} set close = 0 where symbol = 'IBM'"], 0, "contents", "^2 rows", "^2 rows",
    ),
    "a row's snapshot is another": (
        [f"update {BARS} set snapshot_id = 7 where symbol = 'IBM'"],
        0, "snapshot of its rows", "one of those in the ledger$", r"^7, \d+$|^\d+, 7$",
    ),
    "a later file's snapshot is another": (
        [f"update {BARS} set snapshot_id = 7 where symbol = 'GOOG'"],
        1, "snapshot of its rows", r"^(\d+) of the lake, \1 in the ledger$", "^7$",
    ),
    "the ledger has another count": (
        [f"update {LEDGER} set row_count = 3 where target = '{BARS}' and row_count = 2"],
        0, "rows in the ledger", "^2$", "^3$",
    ),
    "the ledger lacks a file": (
        [f"delete from {LEDGER} where target = '{BARS}' and row_count = 2"],
        0, "entry in the ledger", "^one$", "^none, and 2 rows$",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED_BARS)
def test_a_fault_planted_in_rows_is_named_with_its_file(here: World, name: str) -> None:
    statements, number, what, expected, found = PLANTED_BARS[name]
    file = here.files()[number]
    for statement in statements:
        here.account.query(statement)

    assert_tells(here.verify(BARS), file, what, expected, found)


def assert_tells(verified: Verified, file: str, what: str, expected: str, found: str) -> None:
    matching = [one for one in verified.differences if (one.file, one.what) == (file, what)]
    assert matching, told(verified)
    [one] = matching
    assert re.search(expected, one.expected) and re.search(found, one.found), one
    assert one.expected != one.found
    assert str(one).startswith(f"{verified.target}: {file}: {what}: expected ")


def test_rows_that_differ_are_shown_from_both_sides(here: World) -> None:
    here.account.query(f"update {BARS} set volume = 8 where symbol = 'IBM'")

    [one] = here.verify(BARS).differences

    missing, unexpected = one.rows
    assert missing.startswith("missing: {") and '"volume":7' in missing and "IBM" in missing
    assert unexpected.startswith("not expected: {") and '"volume":8' in unexpected
    assert here.verify(BARS, sample=0).differences[0].rows == ()
    assert len(here.verify(BARS, sample=1).differences[0].rows) == 1


def test_an_object_that_is_no_longer_in_bronze_is_named(here: World) -> None:
    del here.buckets.objects[key(0)]

    assert told(here.verify(QUOTES)) == [(key(0), "the file in the store")]


def test_an_object_that_was_exchanged_since_differs(here: World) -> None:
    """With metadata that fit, and as many lines."""
    here.buckets.put(0, [line(0), line(1, {"another": "value"})])

    assert (key(0), "contents") in told(here.verify(QUOTES))


def test_an_object_that_contradicts_its_checksum_is_named_and_the_others_compared(
    here: World,
) -> None:
    metadata, body = here.buckets.objects[key(0)]
    here.buckets.objects[key(0)] = metadata | {"sha256": "0" * 64}, body
    here.account.query(f'delete from {QUOTES} where "PARTITION" = 1')

    assert told(here.verify(QUOTES)) == [(key(0), "the file"), (key(0, 1), "contents")]


def test_a_data_file_that_is_gone_or_was_exchanged_is_named(fresh: World) -> None:
    first, second = (Path(file.removeprefix("file://")) for file in fresh.files())
    first.unlink()
    rows = pq.read_table(second)
    volume = rows.schema.get_field_index("volume")
    pq.write_table(rows.set_column(volume, rows.field(volume), pa.array([8])), second)

    gone, exchanged = sorted(
        fresh.verify(BARS).differences, key=lambda one: not one.file.endswith(first.name)
    )

    assert (gone.file, gone.what) == (f"file://{first}", "the file")
    assert gone.found.endswith("expected in the lake's bucket, found none")
    assert exchanged.file == f"file://{second}"
    # By its size where that has changed, else by its rows.
    assert "modified" in exchanged.found or exchanged.what == "contents"


class Compacted:
    """A catalog whose head is a compaction: the last files in place of all before."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def load_table(self, name: str) -> Any:
        table = self._catalog.load_table(name)
        if name == "silver.bars":
            head = table.current_snapshot()
            assert head is not None
            replaced = Snapshot(**dict(head) | {"summary": Summary(Operation.REPLACE)})
            table.current_snapshot = lambda: replaced  # type: ignore[method-assign]
        return table


@pytest.fixture
def compacted(fresh: World) -> World:
    """The lake's two files are one, and the load has seen that."""
    table = fresh.catalog.load_table("silver.bars")
    table.overwrite(table.scan().to_arrow())
    head = table.current_snapshot()
    assert head is not None
    fresh.account.query(
        f"insert into {LEDGER} select '{BARS}', '#{head.snapshot_id}', {head.snapshot_id}, "
        "0, 0, 9, '2026-01-01'::timestamp_ntz"
    )
    fresh.catalog = Compacted(fresh.catalog)  # type: ignore[assignment]
    return fresh


def test_rows_whose_files_were_compacted_are_compared_as_a_whole(compacted: World) -> None:
    found = compacted.verify(BARS)

    assert (found.differences, found.gone, found.files, found.rows) == ([], 2, 0, 3)


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (f"delete from {BARS} where symbol = 'GOOG'", "^2 rows"),
        (f"update {BARS} set volume = 8 where symbol = 'GOOG'", "^3 rows"),
    ],
)
def test_a_fault_in_compacted_rows_is_seen(compacted: World, plant: str, expected: str) -> None:
    compacted.account.query(plant)

    [one] = [one for one in compacted.verify(BARS).differences if not one.file]

    assert one.what == "contents of 2 files, rewritten since as 1"
    assert one.expected.startswith("3 rows") and re.search(expected, one.found)


def test_a_lake_that_lost_the_last_loaded_snapshot_is_a_difference(here: World) -> None:
    here.account.query(f"update {LEDGER} set snapshot_id = 5 where target = '{BARS}'")

    found = here.verify(BARS)

    assert found.differences and "found it expired" in found.differences[0].found
