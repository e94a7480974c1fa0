"""Audit the auditor: each violation is planted, seen, named, and gone when it is undone."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import zstandard

from audit.model import Check, Verdict
from audit.report import render
from tests.audit.world import (
    BATCH,
    DEAD_LETTERS,
    QUARANTINED,
    QUOTES,
    REALTIME,
    REJECT,
    World,
    event_id,
    ledger_id,
)

pytestmark = pytest.mark.integration

Line = dict[str, Any]
FIFTH = event_id(0, 5)
Plant = Callable[[World], AbstractContextManager[None]]


def violated(verdict: Verdict, name: str) -> list[Check]:
    return [c for c in verdict.checks if c.status == "violated" and c.name == name]


def examples(verdict: Verdict, name: str) -> list[int | str]:
    return list(chain.from_iterable(check.examples for check in violated(verdict, name)))


@contextmanager
def object_deleted(world: World) -> Iterator[None]:
    with world.instead(world.key(BATCH, 0, 4)):
        yield


@contextmanager
def last_object_deleted(world: World) -> Iterator[None]:
    with world.instead(world.key(DEAD_LETTERS, 0, 0)):
        yield


@contextmanager
def object_hidden_by_a_delete_marker(world: World) -> Iterator[None]:
    key = world.key(REALTIME, 0, 0)
    marker = world.s3.delete_object(Bucket="bronze", Key=key)["VersionId"]
    yield
    world.s3.delete_object(Bucket="bronze", Key=key, VersionId=marker)


@contextmanager
def object_overwritten_with_the_same(world: World) -> Iterator[None]:
    original = world.get(world.key(QUOTES, 2, 4))
    world.put(original)
    yield
    world.erase(original.key)
    world.put(original)


@contextmanager
def object_overwritten_by_the_landing_identity(world: World) -> Iterator[None]:
    """The identity may put: only the versions show that it did so without the fence."""
    original = world.get(world.key(BATCH, 1, 4))
    world.client("lander").put_object(
        Bucket="bronze", Key=original.key, Body=b"", Metadata=original.metadata
    )
    yield
    world.erase(original.key)
    world.put(original)


@contextmanager
def object_truncated(world: World) -> Iterator[None]:
    original = world.get(world.key(BATCH, 0, 4))
    with world.instead(original.key, replace(original, body=original.body[:-9])):
        yield


@contextmanager
def byte_flipped(world: World) -> Iterator[None]:
    original = world.get(world.key(BATCH, 0, 4))
    body = bytearray(original.body)
    body[len(body) // 2] ^= 1
    with world.instead(original.key, replace(original, body=bytes(body))):
        yield


@contextmanager
def record_dropped_inside(world: World) -> Iterator[None]:
    """Metadata that agrees with the body: only Kafka knows that 5 was there."""
    changed = world.object(BATCH, 0, 4, 8, [4, 6, 7])
    with world.instead(changed.key, changed):
        yield


@contextmanager
def offset_skipped(world: World) -> Iterator[None]:
    with world.instead(world.key(BATCH, 0, 8), world.object(BATCH, 0, 9, 10, [9])):
        yield


@contextmanager
def offset_landed_twice(world: World) -> Iterator[None]:
    extra = world.object(BATCH, 0, 7, 8, [7])
    world.put(extra)
    yield
    world.erase(extra.key)


@contextmanager
def bronze_ahead_of_kafka(world: World) -> Iterator[None]:
    extra = world.object(BATCH, 0, 10, 11, [10])
    world.put(extra)
    yield
    world.erase(extra.key)


@contextmanager
def foreign_key(world: World) -> Iterator[None]:
    extra = replace(world.object(BATCH, 2, 0, 1, [0]), key=f"{BATCH}/part-0.json")
    world.put(extra)
    yield
    world.erase(extra.key)


@contextmanager
def false_gap(world: World) -> Iterator[None]:
    empty = world.stored(world.key(BATCH, 0, 4), b"", 8, [])
    gap = replace(empty, metadata=empty.metadata | {"kind": "gap"})
    with world.instead(gap.key, gap):
        yield


@contextmanager
def lake_row_removed(world: World) -> Iterator[None]:
    with world.lake("silver.bars") as table:
        table.delete("partition = 0 and offset = 5")
        yield


@contextmanager
def lake_file_doubled(world: World) -> Iterator[None]:
    with world.lake("silver.corporate_actions") as table:
        (task,) = table.scan().plan_files()
        with (
            table.transaction() as transaction,
            transaction.update_snapshot().fast_append() as append,
        ):
            append.append_data_file(task.file)
        yield


@contextmanager
def lake_position_behind(world: World) -> Iterator[None]:
    with world.lake("silver.rejects") as table:
        rows = table.scan().to_arrow().slice(0, 0)
        table.append(rows, snapshot_properties={"tapehouse.positions": world.positions(less=1)})
        yield


@contextmanager
def lake_position_ahead(world: World) -> Iterator[None]:
    with world.lake("silver.rejects") as table:
        rows = table.scan().to_arrow().slice(0, 0)
        table.append(rows, snapshot_properties={"tapehouse.positions": world.positions(less=-1)})
        yield


@contextmanager
def value_altered_in_bronze(world: World) -> Iterator[None]:
    """Metadata that agrees with the body: only its producer knows what 5 was."""
    key = world.key(BATCH, 0, 4)
    lines = zstandard.ZstdDecompressor().decompress(world.get(key).body)
    altered = lines.replace(b'"n": 5', b'"n": 9')
    with world.instead(key, world.stored(key, altered, 8, [4, 5, 6, 7])):
        yield


@contextmanager
def original_removed_from_the_lake(world: World) -> Iterator[None]:
    """Its copy, which was rejected as one, is not it."""
    with world.lake("silver.bars") as table:
        table.delete("partition = 1 and offset = 4")
        yield


def ledger(change: Callable[[Line], list[Line]]) -> Plant:
    return lambda world: world.ledger(change)


def without(*ops: str) -> Plant:
    """Return the plant that takes these lines of one id out of the ledger."""
    return ledger(lambda line: [] if line["op"] in ops and line.get("id") == FIFTH else [line])


def with_another_intent(line: Line) -> list[Line]:
    is_it = line["op"] == "intend" and line["id"] == FIFTH
    return [World.intent(FIFTH, BATCH, b"other") if is_it else line]


def as_failed(line: Line) -> list[Line]:
    is_it = line["op"] == "acked" and line["id"] == FIFTH
    return [{"op": "failed", "id": FIFTH, "reason": "refused"} if is_it else line]


def with_an_ack_that_kafka_lost(line: Line) -> list[Line]:
    if line["op"] != "open":
        return [line]
    place = {"topic": BATCH, "partition": 0, "offset": 10}
    return [line, World.intent("lost", BATCH, b"lost"), {"op": "acked", "id": "lost", **place}]


def sql(statement: str) -> Plant:
    return lambda world: world.sql(statement)


@contextmanager
def published_file_differs(world: World) -> Iterator[None]:
    with world.published() as connection:
        connection.execute("update gold.daily_stock_metrics set daily_close = 1")
    yield
    world.publish()


@contextmanager
def commit_ahead(world: World) -> Iterator[None]:
    world.commit(BATCH, 0, 11)
    yield
    world.commit(BATCH, 0, 8)  # others have bronze end there


def key(topic: str, partition: int, start: int) -> Callable[[World], str]:
    return lambda world: world.key(topic, partition, start)


Named = int | str | Callable[[World], str]

MART_KEYS: dict[str, list[Named]] = {
    "gold_daily_metrics": ["apple 2013-03-01"],
    "gold_drawdown": ["apple 2013-03-01"],
    "gold_treechart": ["apple 2013-03-01"],
    "gold_candlestick": [
        "apple 15m 2013-03-01 14:30:00",
        "apple 1d 2013-03-01",
        "apple 1h 2013-03-01 14:30:00",
        "apple 1m 2013-03-01 14:37:00",
        "apple 1w 2013-02-25",
        "apple 4h 2013-03-01 14:30:00",
        "apple 5m 2013-03-01 14:35:00",
    ],
    "gold_kpi": ["apple"],
    "dim_instrument": ["apple@1980"],
    "dim_session": ["XNYS 2013-03-01"],
}

TRADE_BAR = "AAPL recorded 1m regular 2013-03-01 2013-03-01T21:00:00Z"

PLANTS: list[tuple[str, Plant, dict[str, list[Named]]]] = [
    (
        "object deleted",
        object_deleted,
        {
            "bronze.chain": [4, 5, 6, 7],
            "bronze.records": [4, 5, 6, 7],
            "bronze.vanished": [key(BATCH, 0, 4)],
        },
    ),
    ("last object deleted", last_object_deleted, {"bronze.records": [0, 1]}),
    (
        "delete marker",
        object_hidden_by_a_delete_marker,
        {"bronze.deleted": [key(REALTIME, 0, 0)], "bronze.records": [0, 1, 2, 3]},
    ),
    (
        "object overwritten with the same",
        object_overwritten_with_the_same,
        {"bronze.versions": [key(QUOTES, 2, 4)]},
    ),
    (
        "object overwritten by the landing identity",
        object_overwritten_by_the_landing_identity,
        {"bronze.versions": [key(BATCH, 1, 4)], "bronze.records": [4, 5]},
    ),
    ("object truncated", object_truncated, {"bronze.objects": [key(BATCH, 0, 4)]}),
    ("byte flipped", byte_flipped, {"bronze.objects": [key(BATCH, 0, 4)]}),
    (
        "record dropped inside an object",
        record_dropped_inside,
        {"bronze.records": [5], "bronze.changed": [key(BATCH, 0, 4)]},
    ),
    ("offset skipped", offset_skipped, {"bronze.chain": [8], "bronze.records": [8]}),
    ("offset landed twice", offset_landed_twice, {"bronze.chain": [7], "bronze.records": [7]}),
    ("bronze ahead of Kafka", bronze_ahead_of_kafka, {"bronze.end": [10], "bronze.records": [10]}),
    ("gap that is none", false_gap, {"bronze.gaps": [4, 5, 6, 7]}),
    ("foreign key", foreign_key, {"bronze.keys": [f"{BATCH}/part-0.json"]}),
    ("commit ahead of bronze", commit_ahead, {"kafka.committed": [10]}),
    ("lake row removed", lake_row_removed, {"lake.records": [5], "warehouse.records": [5]}),
    (
        "lake file doubled",
        lake_file_doubled,
        {"lake.records": [3], "lake.event_id": [event_id(0, 3)]},
    ),
    ("lake position behind", lake_position_behind, {"lake.positions": [5]}),
    ("lake position ahead", lake_position_ahead, {"lake.ahead": [10, 6, 8, 6]}),
    ("record lost after it was acked", record_dropped_inside, {"ledger.acked": [5]}),
    ("acked object deleted", object_deleted, {"ledger.acked": [4, 5, 6, 7]}),
    ("value altered in bronze", value_altered_in_bronze, {"ledger.acked": [5]}),
    (
        "value other than was meant",
        ledger(with_another_intent),
        {"ledger.acked": [5, 5], "ledger.alien": [5, 5]},
    ),
    (
        "record that Kafka lost after it was acked",
        ledger(with_an_ack_that_kafka_lost),
        {"ledger.acked": [10]},
    ),
    ("ledger id dropped", without("intend", "acked"), {"ledger.alien": [5, 5]}),
    ("intent dropped", without("intend"), {"ledger.intended": [FIFTH]}),
    ("record written that had failed", ledger(as_failed), {"ledger.failed": [FIFTH]}),
    (
        "record landed twice that was sent once",
        offset_landed_twice,
        {"ledger.once": [ledger_id(BATCH, *REJECT)]},
    ),
    ("acked row removed from the lake", lake_row_removed, {"ledger.once": [FIFTH]}),
    (
        "original removed from the lake",
        original_removed_from_the_lake,
        {"ledger.once": [event_id(1, 4)]},
    ),
    ("acked row twice in the lake", lake_file_doubled, {"ledger.once": [event_id(0, 3)]}),
    (
        "warehouse row removed",
        sql('delete from common.bars_raw where partition = 0 and "offset" = 5'),
        {"warehouse.records": [5], "warehouse.ledger": ["s3://lake/silver.bars"]},
    ),
    (
        "quote row removed",
        sql("delete from common.bronze_stock_quotes_raw where cast(v['offset'] as int) = 3"),
        {"warehouse.quotes": [3], "warehouse.ledger": [key(QUOTES, 2, 0)]},
    ),
    (
        "warehouse row doubled",
        sql("insert into common.corporate_actions_raw from common.corporate_actions_raw"),
        {"warehouse.records": [3]},
    ),
    (
        "metric row removed",
        sql("delete from common.daily_stock_metrics_raw where revision = 1"),
        {"warehouse.metrics": ["AAPL recorded 2013-03-01 1: 1 in the lake, 0 loaded"]},
    ),
    (
        "silver row removed",
        sql('delete from silver.silver_bars where partition = 1 and "offset" = 2'),
        {"silver.bars": [2]},
    ),
    (
        "quote in silver and in quarantine",
        sql("insert into silver.silver_quotes from quarantine.quarantine_quotes"),
        {"silver.quotes": [QUARANTINED]},
    ),
    (
        "reject missing from quarantine",
        sql("delete from quarantine.quarantine_rejects where topic like '%batch'"),
        {"silver.rejects": [REJECT[1]]},
    ),
    (
        "gold row removed",
        sql("delete from gold.daily_stock_metrics"),
        {"gold.daily": ["AAPL 2013-03-01"], "gold.published": ["gold.daily_stock_metrics"]},
    ),
    (
        "last silver row removed",
        sql('delete from silver.silver_bars where partition = 1 and "offset" = 4'),
        {"silver.bars": [4]},
    ),
    (
        "last silver quote removed",
        sql('delete from silver.silver_quotes where "offset" = 5'),
        {"silver.quotes": [5]},
    ),
    (
        "last quote row removed",
        sql("delete from common.bronze_stock_quotes_raw where cast(v['offset'] as int) = 7"),
        {"warehouse.quotes": [7], "warehouse.ledger": [key(QUOTES, 2, 4)]},
    ),
    (
        "all daily bars removed",
        sql("delete from silver.silver_daily_bars"),
        {"silver.daily_bars": ["apple 2013-03-01"]},
    ),
    (
        "daily bar doubled",
        sql("insert into silver.silver_daily_bars from silver.silver_daily_bars"),
        {"silver.daily_bars": ["apple 2013-03-01"]},
    ),
    (
        "daily action removed",
        sql("delete from silver.silver_daily_actions"),
        {"silver.daily_actions": ["apple 2013-03-01"]},
    ),
    (
        "window removed from gold",
        sql("delete from gold.realtime_stock_analytics"),
        {"gold.windows": ["AAPL 2013-03-01 21:00:00"]},
    ),
    (
        "bar of trades loaded twice",
        sql("insert into common.trade_bars_raw from common.trade_bars_raw where revision = 2"),
        {"warehouse.metrics": [f"{TRADE_BAR} 2: 1 in the lake, 2 loaded"]},
    ),
    (
        "anomaly not loaded",
        sql("delete from common.anomalies_raw where subject = 'stands'"),
        {
            "warehouse.metrics": [
                "AAPL recorded 2013-03-01 trade_price stands 1: 1 in the lake, 0 loaded"
            ]
        },
    ),
    (
        "bar of trades removed from silver",
        sql("delete from silver.silver_trade_bars"),
        {"silver.trade_bars": ["AAPL recorded 2013-03-01 1m regular 2013-03-01 21:00:00"]},
    ),
    (
        "withdrawn anomaly shown",
        sql("update gold.gold_anomalies set subject = 'gone'"),
        {
            "gold.anomalies": [
                "AAPL recorded 2013-03-01 trade_price gone",
                "AAPL recorded 2013-03-01 trade_price stands",
            ]
        },
    ),
    *(
        (
            f"row removed from {mart}",
            sql(f"delete from gold.{mart}"),
            {"gold.marts": keys, "gold.published": [f"gold.{mart}"]},
        )
        for mart, keys in MART_KEYS.items()
    ),
    (
        "gold row without its bar",
        sql("update gold.gold_treechart set session_date = '2013-03-04'"),
        {"gold.marts": ["apple 2013-03-01", "apple 2013-03-04"]},
    ),
    (
        "session removed from the seeds",
        sql("delete from reference.sessions"),
        {
            "gold.marts": ["apple", "XNYS 2013-03-01"],
            "gold.windows": ["AAPL 2013-03-01 21:00:00"],
        },
    ),
    (
        "published file differs",
        published_file_differs,
        {"gold.published": ["gold.daily_stock_metrics"]},
    ),
]


def stages_of(checks: Iterable[str]) -> set[str]:
    """Return the stages that judge these checks; who is ahead of bronze is judged with it."""
    return {check.split(".")[0].replace("kafka", "bronze") for check in checks}


@pytest.mark.parametrize(
    ("plant", "expected"),
    [(plant, expected) for _, plant, expected in PLANTS],
    ids=[name for name, _, _ in PLANTS],
)
def test_a_planted_violation_is_named_and_gone_when_undone(
    world: World, plant: Plant, expected: dict[str, list[Named]]
) -> None:
    stages = stages_of(expected)
    with plant(world):
        verdict = world.audit(stages=stages, is_complete=True)
    assert verdict.verdict == "violated", render(verdict)
    for check, named in expected.items():
        wanted = [item(world) if callable(item) else item for item in named]
        assert examples(verdict, check) == wanted, render(verdict)
    after = world.audit(stages=stages)
    assert after.verdict == "ok", render(after)


def test_an_overwrite_leaves_the_first_version(world: World) -> None:
    key = world.key(BATCH, 1, 4)
    original = world.get(key)
    with object_overwritten_by_the_landing_identity(world):
        versions = world.s3.list_object_versions(Bucket="bronze", Prefix=key)["Versions"]
        oldest = min(versions, key=lambda version: version["LastModified"])
        kept = world.s3.get_object(Bucket="bronze", Key=key, VersionId=oldest["VersionId"])
        assert len(versions) == 2
        assert kept["Body"].read() == original.body


def test_other_bytes_under_the_same_offset_are_found_by_a_deep_audit(world: World) -> None:
    original = world.get(world.key(REALTIME, 0, 4))
    lines = zstandard.ZstdDecompressor().decompress(original.body)
    altered = lines.replace(b'"n": 6', b'"n": 9')
    assert altered != lines
    with world.instead(original.key, world.stored(original.key, altered, 8, [4, 5, 6, 7])):
        verdict = world.audit(deep=True)
    assert examples(verdict, "bronze.bytes") == [6]
    assert world.audit(deep=True).verdict == "ok"
