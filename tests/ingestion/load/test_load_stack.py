"""The command against the real store: what is listed, loaded once, and refused."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pytest
from pyiceberg.catalog import Catalog, load_catalog

from audit.listing import Store as AuditedStore
from audit.listing import Version
from audit.settings import Settings as AuditSettings
from ingestion.contracts.topics import QUOTES
from ingestion.land.objects import parse_key
from ingestion.land.protocol import Partition
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import LakeSettings, StoreRole, StoreSettings, WarehouseSettings
from spark_jobs.bronze import S3Bronze
from tests.conftest import RunningStack, StackFactory, in_force
from tests.emulator.process import Emulator
from tests.ingestion.load.account import bootstrap
from tests.ingestion.load.lake import bars, bars_table
from tests.ingestion.load.objects import GENERATION, key, line, stored

pytestmark = pytest.mark.integration
N_OBJECTS = 1_030
DATABASE = "FROM_A_STORE"


@pytest.fixture(scope="module")
def loaded(stack_factory: StackFactory) -> Iterator[RunningStack]:
    """A store of its own with more quote objects than one listing page, and a lake of one table."""
    running = stack_factory.make("load", ("store",))
    with pytest.MonkeyPatch.context() as patch:
        in_force(running, patch)
        client = store_client("lander")
        for start in range(N_OBJECTS):
            put(client, start, [line(start)], partition=3)
        running.state_dir.joinpath("lake").mkdir(parents=True, exist_ok=True)
        bars_table(writable_catalog()).append(bars("AAPL", "IBM"))
        yield running


def writable_catalog() -> Catalog:
    store = StoreSettings.load()
    access, secret = store.keys("lake")
    return load_catalog(
        "lake",
        type="sql",
        uri=LakeSettings.load().uri(),
        warehouse=f"s3://{store.lake_bucket}/warehouse",
        **{
            "s3.endpoint": store.url(),
            "s3.region": store.region,
            "s3.access-key-id": access,
            "s3.secret-access-key": secret,
        },
    )


PLACE = f"stock-quotes/{GENERATION}/3"


def store_client(role: StoreRole) -> Any:
    settings = StoreSettings.load()
    access, secret = settings.keys(role)
    return boto3.client(
        "s3",
        endpoint_url=settings.url(),
        region_name=settings.region,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
    )


def put(client: Any, start: int, lines: list[bytes], partition: int) -> None:
    metadata, body = stored(lines, start)
    client.put_object(
        Bucket=StoreSettings.load().bronze_bucket,
        Key=key(start, partition),
        Body=body,
        Metadata=metadata,
        IfNoneMatch="*",
    )


def query(sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(WarehouseSettings.load().file(), read_only=True) as db:
        return db.execute(sql).fetchall()


def load(stack: RunningStack, report: Path) -> dict[str, Any]:
    found = stack.run("ingestion", "load", "--report", str(report))
    assert found.returncode == 0, found.stdout + found.stderr
    counts: dict[str, Any] = json.loads(report.read_text())
    return counts


def fingerprint() -> list[tuple[object, ...]]:
    return query(
        "select count(*), sum(hash(v::json::varchar, file, batch_id)) from "
        "common.bronze_stock_quotes_raw union all "
        "select count(*), sum(hash(b)) from common.bars_raw b union all "
        "select count(*), sum(hash(l)) from ops.load_ledger l"
    )


def test_more_objects_than_a_page_are_all_loaded_once(loaded: RunningStack, tmp_path: Path) -> None:
    first = load(loaded, tmp_path / "first.json")

    assert first["targets"]["common.bronze_stock_quotes_raw"]["rows"] == N_OBJECTS
    assert first["targets"]["common.bronze_stock_quotes_raw"]["ends"] == {PLACE: N_OBJECTS}
    assert first["targets"]["common.bars_raw"]["rows"] == 2
    offsets = query(
        "select count(distinct v['offset']::bigint), max(batch_id) from "
        "common.bronze_stock_quotes_raw where partition = 3"
    )
    assert offsets == [(N_OBJECTS, 2)], "lists of at most 1,000 files"
    before = fingerprint()

    again = load(loaded, tmp_path / "again.json")

    assert (again["files"], again["rows"]) == (0, 0)
    assert again["targets"]["common.bronze_stock_quotes_raw"]["ends"] == {}
    assert fingerprint() == before

    put(store_client("lander"), N_OBJECTS, [line(N_OBJECTS), line(N_OBJECTS + 1)], partition=3)
    more = load(loaded, tmp_path / "more.json")
    assert (more["files"], more["rows"]) == (1, 2)
    assert more["targets"]["common.bronze_stock_quotes_raw"]["ends"] == {PLACE: N_OBJECTS + 2}


def of_the_lander(settings: StoreSettings) -> Iterator[int]:
    lander = BronzeStore(connect(settings, "lander"), settings.bronze_bucket)
    last = lander.last(Partition(QUOTES, 3), GENERATION)
    yield from () if last is None else range(last + 1)


def of_the_lake(settings: StoreSettings) -> Iterator[int]:
    folder = key(0, 3).rpartition("/")[0] + "/"
    keys = S3Bronze.connect(settings).keys(folder, folder)
    return (parse_key(name)[2] for name in keys)


def of_the_audit(_: StoreSettings) -> Iterator[int]:
    found = AuditedStore(AuditSettings.load()).versions()
    return (start for place, start in map(parsed, found) if place.number == 3)


def of_the_audit_without_versions(_: StoreSettings) -> Iterator[int]:
    found = AuditedStore(AuditSettings.load()).objects()
    return (start for place, start in map(parsed, found) if place.number == 3)


def parsed(version: Version) -> tuple[Partition, int]:
    partition, _, start = parse_key(version.key)
    return partition, start


@pytest.mark.parametrize(
    "listing", [of_the_lander, of_the_lake, of_the_audit, of_the_audit_without_versions]
)
def test_every_reader_of_bronze_lists_more_objects_than_a_page(
    loaded: RunningStack, listing: Callable[[StoreSettings], Iterator[int]]
) -> None:
    found = Counter(listing(StoreSettings.load()))

    assert [found[start] for start in range(N_OBJECTS)] == [1] * N_OBJECTS


def test_an_object_whose_metadata_lies_stops_the_load_and_keeps_nothing(
    loaded: RunningStack, tmp_path: Path
) -> None:
    load(loaded, tmp_path / "before.json")
    client = store_client("lander")
    metadata, body = stored([line(0)])
    client.put_object(
        Bucket=StoreSettings.load().bronze_bucket,
        Key=key(0, 2),
        Body=body,
        Metadata=metadata | {"count": "2"},
    )
    rows = fingerprint()

    failed = loaded.run("ingestion", "load")

    assert failed.returncode == 1
    assert f"{key(0, 2)}: expected 2 lines, found 1" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert fingerprint() == rows
    # The store is versioned: the root identity corrects the object for the tests that follow.
    store_client("root").put_object(
        Bucket=StoreSettings.load().bronze_bucket, Key=key(0, 2), Body=body, Metadata=metadata
    )
    load(loaded, tmp_path / "after.json")


def test_a_store_that_is_away_is_one_readable_line(
    loaded: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORE_ENDPOINT", "http://127.0.0.1:9")

    failed = loaded.run("ingestion", "load")

    assert failed.returncode == 1
    assert "the store does not answer" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_the_same_store_and_lake_are_loaded_into_snowflake(
    loaded: RunningStack, tmp_path: Path, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in emulator.environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("SNOWFLAKE_DATABASE", DATABASE)
    load(loaded, tmp_path / "duckdb.json")
    report = tmp_path / "snowflake.json"
    into_snowflake = ("load", "--warehouse", "snowflake", "--report", str(report))

    with emulator.connect(DATABASE) as looking, looking.cursor() as cursor:
        for statement in bootstrap(DATABASE):
            cursor.execute(statement)
        first = loaded.run("ingestion", *into_snowflake)
        assert (first.returncode, first.stderr) == (0, ""), first.stderr
        again = loaded.run("ingestion", *into_snowflake)
        assert again.returncode == 0, again.stderr

        assert json.loads(report.read_text())["rows"] == 0
        for table in (
            "common.bronze_stock_quotes_raw",
            "common.bars_raw",
            "ops.load_ledger",
        ):
            count = f"select count(*), count(distinct file) from {table}"
            assert cursor.execute(count).fetchall() == query(count), table
    names = {path.stem.partition("_")[0] for path in LakeSettings.load().pins().glob("*.json")}
    assert names == {"duckdb", "snowflake"}


def test_a_missing_key_for_snowflake_is_one_readable_line(loaded: RunningStack) -> None:
    failed = loaded.run("ingestion", "load", "--warehouse", "snowflake")

    assert failed.returncode == 1
    assert "SNOWFLAKE_" in failed.stderr and "is not set" in failed.stderr
    assert failed.stderr.count("\n") == 1
