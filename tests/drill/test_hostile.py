"""Hostile records on real parts: each is landed byte for byte and stops nothing."""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pytest
import zstandard
from confluent_kafka import KafkaError, Producer

from drill import hostile
from ingestion.clock import SystemClock
from ingestion.land import lines
from ingestion.land.store import connect
from ingestion.load.bronze import Bronze, store_client
from ingestion.load.duckdb_warehouse import open_warehouse
from ingestion.load.run import load_quotes
from ingestion.settings import KafkaSettings, StoreSettings
from spark_jobs.model import MODEL
from spark_jobs.transforms.objects import Decoder
from tests.conftest import RunningStack, StackFactory, in_force
from tests.support import in_kafka

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
TOPICS = (hostile.BATCH, hostile.QUOTES, hostile.TRADES)

# Topic, partition, offset; and what is there: timestamp, key, headers, value.
Place = tuple[str, int, int]
Content = tuple[int, bytes | None, list[tuple[str, bytes | None]], bytes | None]


@dataclass
class World:
    """A stack into which every hostile record was sent, and landed."""

    stack: RunningStack
    names: dict[Place, str]
    in_kafka: dict[Place, Content]
    bronze: dict[Place, bytes]


@pytest.fixture(scope="module")
def world(stack_factory: StackFactory) -> Iterator[World]:
    running = stack_factory.make("hostile", ("kafka", "store"))
    with pytest.MonkeyPatch.context() as patch:
        in_force(running, patch)
        names = send([*hostile.records()])
        landed = running.run("ingestion", "land", "--once")
        assert landed.returncode == 0, landed.stderr[-2_000:]
        yield World(running, names, by_assign(), stored_lines())
    running.stack.down()


def send(records: Sequence[hostile.Hostile]) -> dict[Place, str]:
    """Send with a plain client; a broker that takes one of them is what the test is about."""
    config = {"compression.type": "zstd", "message.max.bytes": 100_000_000, "log_level": 0}
    producer = Producer(KafkaSettings.load().client("producer") | config)
    found: dict[Place, str] = {}
    refused: dict[str, str] = {}

    def answer(name: str, error: KafkaError | None, message: Any) -> None:
        if error:
            refused[name] = error.str()
        else:
            found[
                str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
            ] = name

    for record in records:
        time = {} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}
        producer.produce(
            record.topic,
            record.value,
            record.key,
            headers=list(record.headers),
            on_delivery=lambda error, message, name=record.name: answer(name, error, message),
            **time,
        )
    assert producer.flush(60) == 0
    assert refused == {}
    return found


def by_assign() -> dict[Place, Content]:
    """Everything in Kafka, without a group."""
    return {
        (m.topic(), m.partition(), m.offset()): (
            m.timestamp()[1], m.key(), m.headers() or [], m.value(),
        )
        for m in in_kafka(TOPICS)
    }  # fmt: skip


def stored_lines() -> dict[Place, bytes]:
    """Every line of bronze by the place that its object's key and its own offset name."""
    settings = StoreSettings.load()
    client = connect(settings, "auditor")
    found: dict[Place, bytes] = {}
    for entry in client.list_objects_v2(Bucket=settings.bronze_bucket)["Contents"]:
        topic, _, partition, _ = entry["Key"].split("/")
        body = client.get_object(Bucket=settings.bronze_bucket, Key=entry["Key"])["Body"].read()
        for line in zstandard.ZstdDecompressor().decompressobj().decompress(body).split(b"\n")[:-1]:
            place = topic, int(partition.removeprefix("p=")), head_of(line)["offset"]
            assert place not in found
            found[place] = line
    return found


def head_of(line: bytes) -> dict[str, Any]:
    """What comes before the value; a quote in a key or a header is escaped, so this finds it."""
    head, value, _ = line.partition(b',"value":')
    found: dict[str, Any] = json.loads(head + b"}" if value else line)
    return found


def content(line: bytes) -> Content:
    """Read a line with nothing of ours."""
    head = head_of(line)
    _, is_document, rest = line.partition(b',"value":')
    value = rest[:-1] if is_document else unpacked(head.get("value_b64"))
    key = unpacked(head["key_b64"]) if "key_b64" in head else encoded(head["key"])
    headers = [
        (name, unpacked(text["b64"]) if isinstance(text, dict) else encoded(text))
        for name, text in head["headers"]
    ]
    return head["timestamp"], key, headers, value


def unpacked(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def test_every_hostile_record_is_in_kafka_as_it_was_made(world: World) -> None:
    made = {record.name: record for record in hostile.records()}

    assert sorted(world.names.values()) == sorted(made)
    assert set(world.names) == set(world.in_kafka)
    for place, (timestamp, key, headers, value) in world.in_kafka.items():
        record = made[world.names[place]]
        assert (key, headers, value) == (record.key, [*record.headers], record.value), record.name
        assert record.timestamp_ms in (None, timestamp)


def test_every_hostile_record_is_landed_once_and_byte_for_byte(world: World) -> None:
    assert set(world.bronze) == set(world.in_kafka)
    different = [
        world.names[place]
        for place, line in world.bronze.items()
        if content(line) != world.in_kafka[place]
    ]
    assert different == []


def test_every_hostile_line_survives_our_own_round_trip(world: World) -> None:
    different = []
    for place, line in world.bronze.items():
        found = lines.parse(line)
        if (found.timestamp, found.key, [*found.headers], found.value) != world.in_kafka[place]:
            different.append(world.names[place])
    assert different == []


def test_the_auditor_reads_every_hostile_record_and_finds_the_same_bytes(world: World) -> None:
    done = world.stack.run("audit", "--deep")

    verdict = json.loads((world.stack.state_dir / "audit" / "verdict.json").read_text())
    checks = [check for check in verdict["checks"] if check["name"].startswith("bronze.")]
    assert done.returncode in (0, 3), done.stderr[-2_000:]
    assert checks
    assert {check["status"] for check in checks} == {"ok"}, done.stdout[-2_000:]


def test_the_warehouse_takes_or_rejects_every_hostile_quote(world: World, tmp_path: Path) -> None:
    settings = StoreSettings.load()
    bronze = Bronze(store_client(settings), settings.bronze_bucket)

    def no_lake(*_: object) -> NoReturn:
        pytest.fail("quotes are not in the lake")

    with open_warehouse(tmp_path / "w.duckdb", bronze.read, no_lake, SystemClock()) as warehouse:
        loaded = load_quotes(warehouse, bronze).loaded

    quotes = sum(topic == hostile.QUOTES for topic, _, _ in world.in_kafka)
    assert loaded.rows + loaded.rejected == quotes


def test_the_lake_has_a_row_for_every_hostile_line(world: World) -> None:
    """What Spark runs on each object: a message or a reason. Quotes come as if among the bars."""
    objects: dict[tuple[str, int], list[bytes]] = {}
    given = []
    for (topic, partition, offset), line in world.bronze.items():
        known = hostile.BATCH if topic == hostile.QUOTES else topic
        # The quotes' partitions come beside the bars' own, not among them.
        number = partition + 100 * (topic == hostile.QUOTES)
        objects.setdefault((known, number), []).append(line)
        given.append((known, number, offset))
    compress = zstandard.ZstdCompressor().compress
    blobs = {
        f"/bronze/{topic}/g=ab/p={number:05d}/0.jsonl.zst": compress(b"\n".join(lines_of))
        for (topic, number), lines_of in objects.items()
    }
    batch = pa.RecordBatch.from_pydict({"path": [*blobs], "content": [*blobs.values()]})

    rows = pa.Table.from_batches(Decoder(MODEL, MODEL)([batch]))

    found = [(row["topic"], row["partition"], row["offset"]) for row in rows.to_pylist()]
    assert sorted(found) == sorted(given)
    reasons = rows.column("reason").to_pylist()
    assert {"invalid_json", "contract", "unknown_schema", "not_an_object"} <= {*reasons}
    assert None in reasons
