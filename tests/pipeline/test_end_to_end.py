"""The whole job on real parts: a broker, a store, Spark, dbt; then once more, then with damage."""

import gzip
import hashlib
import importlib.util
import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
import zstandard
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry, generate_latest
from pyiceberg.catalog.sql import SqlCatalog

from infra.local import scratch
from infra.local import store as local_store
from infra.local.services import ServiceName
from infra.prometheus.exporter.scrape import Exporter
from infra.prometheus.exporter.sources import sources
from ingestion.clock import SystemClock
from ingestion.produce.metrics import ProducerCollector
from ingestion.produce.summary import Summary
from ingestion.settings import (
    ROOT,
    KafkaSettings,
    LakeSettings,
    StoreSettings,
    WarehouseSettings,
)
from pipeline import counts, job
from pipeline.stages import Runner
from spark_jobs.stream_metrics import Followed
from tests.conftest import RunningStack, StackFactory, in_force
from tests.pipeline import hostile
from tests.spark_jobs.test_stream_metrics import progress

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SYMBOLS = ("AAPL", "IBM")
SESSIONS = 60


@dataclass
class World:
    """A stack with a supervised lander, and the job's stages run against it."""

    stack: RunningStack
    runner: Runner
    metrics_port: int

    def run(self) -> dict[str, dict[str, Any]]:
        symbols = [word for symbol in SYMBOLS for word in ("--symbol", symbol)]
        stages = [
            job.produce_bars(*symbols, "--last-sessions", str(SESSIONS)),
            job.produce_trades("--symbol", "IBM", "--last-sessions", "1"),
            *job.after_produce(),
        ]
        return {stage.name: self.runner.run(stage).report for stage in stages}

    def audit(self) -> tuple[int, dict[str, Any], str]:
        done = self.stack.run("audit")
        verdict = self.stack.state_dir / "audit" / "verdict.json"
        return done.returncode, json.loads(verdict.read_text()), done.stdout

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(WarehouseSettings.load().file(), read_only=True) as db:
            return db.execute(sql).fetchall()


@pytest.fixture(scope="module")
def world(stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    [port] = scratch.choose_ports(1)
    services: tuple[ServiceName, ...] = ("kafka", "store", "lander")
    running = stack_factory.make("pipeline", services, LAND_METRICS_PORT=str(port))
    with pytest.MonkeyPatch.context() as patch:
        in_force(running, patch)
        runner = Runner(tmp_path_factory.mktemp("stages"), lambda *_: None, running.environment)
        yield World(running, runner, port)
        running.stack.down()


@pytest.fixture(scope="module")
def first(world: World) -> dict[str, dict[str, Any]]:
    producer = Producer(KafkaSettings.load().client("producer") | {"enable.idempotence": True})
    failures: list[object] = []
    for record in (*hostile.RECORDS, *(r for rs in hostile.QUARANTINED.values() for r in rs)):
        producer.produce(
            record.topic, record.value, b"IBM", on_delivery=lambda e, _: e and failures.append(e)
        )
    assert producer.flush(30) == 0
    assert not failures
    return world.run()


def recorded() -> pd.DataFrame:
    """The file itself, as text, by pandas alone."""
    spec = importlib.util.find_spec("bokeh_sampledata")
    assert spec is not None and spec.origin is not None
    with gzip.open(Path(spec.origin).parent / "_data" / "stocks.csv.gz", "rt") as file:
        frame = pd.read_csv(file, dtype=str)
    return frame[frame["Ticker"].isin(SYMBOLS)].groupby("Ticker").tail(SESSIONS)


def test_every_record_is_accounted_for(first: dict[str, dict[str, Any]]) -> None:
    assert first["reconcile"]["verdict"] == "ok"
    assert job.total(first["reconcile"], "gap") == 0


def test_gold_holds_the_recorded_bars_exactly(
    world: World, first: dict[str, dict[str, Any]]
) -> None:
    found = {
        (symbol, day.isoformat()): (*prices, volume)
        for symbol, day, *prices, volume in world.query(
            "select symbol, date, daily_open, daily_high, daily_low, daily_close, daily_volume "
            "from gold.daily_stock_metrics"
        )
    }
    expected = {
        (row.Ticker, row.Date): (
            *(Decimal(text) for text in (row.Open, row.High, row.Low, row.Close)),
            int(row.Volume),
        )
        for row in recorded().itertuples()
    }

    assert found == expected
    assert len(found) == len(SYMBOLS) * SESSIONS


def test_a_malformed_record_is_in_the_lakes_rejects_with_its_reason(
    world: World, first: dict[str, dict[str, Any]]
) -> None:
    found = dict(world.query("select raw, reason from common.rejects_raw where raw is not null"))

    assert sorted(found.values()) == sorted(record.reason for record in hostile.RECORDS)


@pytest.mark.parametrize("kind", hostile.QUARANTINED)
def test_an_impossible_record_is_in_quarantine_with_its_rule(
    world: World, first: dict[str, dict[str, Any]], kind: str
) -> None:
    rules = world.query(f"select rule from quarantine.quarantine_{kind}")

    assert len(rules) == len(hostile.QUARANTINED[kind])
    assert all(rule for (rule,) in rules)


def test_nothing_hostile_is_in_gold(world: World, first: dict[str, dict[str, Any]]) -> None:
    marts = [name for name in counts.read().gold if not name.startswith("dim_")]

    assert "daily_stock_metrics" in marts
    for mart in marts:
        query = f"select count(*) from gold.{mart} where source = '{hostile.SOURCE}'"
        assert world.query(query) == [(0,)], mart


def exported(text: str) -> set[str]:
    """The names of a scrape, counters with their ending."""
    found = re.findall(r"^# TYPE (tapehouse_\w+) \w+$", text, re.M)
    return set(found)


def test_what_is_shown_and_alerted_on_is_exported_and_the_other_way_round(
    world: World, first: dict[str, dict[str, Any]]
) -> None:
    """One real scrape of everything, against dashboard, rules and README."""
    registry = CollectorRegistry()
    registry.register(Exporter(sources(SystemClock()), SystemClock(), timeout_s=60))
    registry.register(ProducerCollector("simulator", Summary))
    followed = Followed()
    followed.take(progress(1, 1, maxOffsetsBehindLatest="0"))
    registry.register(followed)
    scrape = generate_latest(registry).decode()
    with urllib.request.urlopen(f"http://127.0.0.1:{world.metrics_port}", timeout=10) as answer:
        landers = answer.read().decode()

    assert re.findall(r"^tapehouse_scrape_source_up.* 0.0$", scrape, re.M) == []
    known = exported(scrape) | exported(landers)
    folder = ROOT / "infra" / "prometheus"
    used = {
        name
        for path in (folder / "grafana" / "tapehouse.json", *(folder / "rules").glob("*.yml"))
        for name in re.findall(r"\btapehouse_\w+", path.read_text())
    }
    told = set(re.findall(r"`(tapehouse_\w+)`", (folder / "README.md").read_text()))
    assert used - known == set(), "shown or alerted on, and never exported"
    assert known - used - told == set(), "exported, and neither shown nor documented"
    assert told - known == set(), "documented, and never exported"

    values = dict(re.findall(r"^(tapehouse_\S+) (\S+)$", scrape, re.M))

    def total(name: str, *parts: str) -> float:
        return sum(
            float(value)
            for key, value in values.items()
            if key.startswith(f"{name}{{") and all(part in key for part in parts)
        )

    assert total("tapehouse_kafka_log_end_offset") == total("tapehouse_bronze_end_offset") > 0
    assert total("tapehouse_warehouse_end_offset") == total(
        "tapehouse_bronze_end_offset", 'topic="stock-quotes"'
    )
    assert total("tapehouse_audit_gap_records") == 0
    newest = "tapehouse_newest_event_timestamp_seconds"
    hops = {
        stage: total(newest, f'stage="{stage}"', 'feed="bars"', 'symbol="AAPL"')
        for stage in ("kafka", "bronze", "warehouse", "gold")
    }
    assert len(set(hops.values())) == 1, hops
    assert hops["gold"] > 0


def test_sending_everything_again_changes_nothing_but_the_count_of_copies(
    world: World, first: dict[str, dict[str, Any]]
) -> None:
    before, rows = counts.read(), gold_rows(world)

    again = world.run()

    after = counts.read()
    sent = sum(report["delivered"] for name, report in again.items() if name.startswith("produce"))
    assert (after.silver, after.gold) == (before.silver, before.gold)
    assert gold_rows(world) == rows
    assert after.deduplicated - before.deduplicated == sent
    assert again["reconcile"]["verdict"] == "ok"


def gold_rows(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """What gold says, without which build says it."""
    return {
        mart: world.query(f"select * exclude (build_id) from gold.{mart} order by all")
        for mart in counts.read().gold
    }


def first_key(client: Any) -> str:
    listed = client.list_objects_v2(Bucket="bronze", Prefix="stock-market-batch/")["Contents"]
    return str(listed[0]["Key"])


def lake() -> SqlCatalog:
    """The catalog with the one identity that may change tables."""
    store = StoreSettings.load()
    access, secret = store.keys("lake")
    location = {"uri": LakeSettings.load().uri(), "s3.endpoint": store.url()}
    keys = {"s3.access-key-id": access, "s3.secret-access-key": secret}
    return SqlCatalog("lake", **location, **keys, **{"s3.region": store.region})


def test_a_deleted_bronze_object_turns_the_audit_red(
    world: World, first: dict[str, dict[str, Any]]
) -> None:
    client: Any = local_store.client(world.stack.layout, "root")
    key = first_key(client)
    marker = client.delete_object(Bucket="bronze", Key=key)["VersionId"]
    try:
        code, verdict, out = world.audit()
    finally:
        client.delete_object(Bucket="bronze", Key=key, VersionId=marker)

    assert (code, verdict["verdict"]) == (1, "violated")
    assert "stock-market-batch" in out
    assert world.audit()[0] == 0


def replace_object(client: Any, key: str, body: bytes, metadata: dict[str, str]) -> None:
    """Put an object in the place of all versions of the one that is there: no trace is left."""
    listed = client.list_object_versions(Bucket="bronze", Prefix=key)
    for version in [*listed["Versions"], *listed.get("DeleteMarkers", [])]:
        client.delete_object(Bucket="bronze", Key=key, VersionId=version["VersionId"])
    client.put_object(Bucket="bronze", Key=key, Body=body, Metadata=metadata)


def test_a_skipped_offset_turns_the_audit_red_and_is_named(
    world: World, first: dict[str, dict[str, Any]]
) -> None:
    """An object that agrees with its own metadata, one record short: Kafka alone knows better."""
    client: Any = local_store.client(world.stack.layout, "root")
    key = client.list_objects_v2(Bucket="bronze", Prefix="stock-market-batch/")["Contents"][0][
        "Key"
    ]
    whole = client.get_object(Bucket="bronze", Key=key)
    body = whole["Body"].read()
    lines = zstandard.decompress(body).splitlines(keepends=True)
    skipped = json.loads(lines.pop(len(lines) // 2))["offset"]
    short = zstandard.compress(b"".join(lines))
    metadata = whole["Metadata"] | {
        "count": str(len(lines)),
        "sha256": hashlib.sha256(short).hexdigest(),
    }
    replace_object(client, key, short, metadata)
    try:
        code, verdict, out = world.audit()
    finally:
        replace_object(client, key, body, whole["Metadata"])

    assert (code, verdict["verdict"]) == (1, "violated")
    assert str(skipped) in out
    assert world.audit()[0] == 0


def test_a_deleted_lake_row_turns_the_audit_red_and_is_named(
    world: World, first: dict[str, dict[str, Any]]
) -> None:
    table = lake().load_table("silver.trades")
    before = table.current_snapshot()
    assert before is not None
    row = table.scan(limit=1).to_arrow().to_pylist()[0]
    table.delete(f"event_id == '{row['event_id']}'")
    try:
        code, verdict, out = world.audit()
    finally:
        table.manage_snapshots().set_current_snapshot(snapshot_id=before.snapshot_id).commit()

    assert (code, verdict["verdict"]) == (1, "violated")
    assert f"{row['topic']}/{row['partition']}" in out
    assert str(row["offset"]) in out
    assert world.audit()[0] == 0


def test_a_deleted_warehouse_row_turns_the_audit_red_and_is_named(
    world: World, first: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    warehouse = WarehouseSettings.load().file()
    shutil.copy2(warehouse, tmp_path / "copy")
    with duckdb.connect(warehouse) as db:
        topic, partition, offset = db.execute(
            'select topic, partition, "offset" from common.bars_raw order by all limit 1'
        ).fetchall()[0]
        db.execute(
            'delete from common.bars_raw where topic = ? and partition = ? and "offset" = ?',
            [topic, partition, offset],
        )
    try:
        code, _, out = world.audit()
    finally:
        shutil.copy2(tmp_path / "copy", warehouse)

    assert code == 1
    assert f"{topic}/{partition}" in out
    assert str(offset) in out
    assert world.audit()[0] == 0
