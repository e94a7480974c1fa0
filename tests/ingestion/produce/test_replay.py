"""What is read back from bronze and how it is put in one order; the store is a dictionary."""

import json
import time
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ingestion.contracts.topics import QUOTES
from ingestion.errors import LoadError, SourceError
from ingestion.land import lines, objects
from ingestion.land.lines import Record
from ingestion.land.protocol import Kind, Partition
from ingestion.load.bronze import line_file
from ingestion.load.model import LineFile, Listed
from ingestion.produce.bronze import Archive, Range
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.replay import Replay
from ingestion.settings import StoreSettings
from tests.ingestion.produce.conftest import Command, MockKafka

LIFE, OTHER_LIFE = "a" * 32, "b" * 32
HEADERS = (("schema", b"quote.v1"), ("odd", None), ("bytes", b"\xff"))


class Landed:
    """A Kafka message, as landing reads it."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def offset(self) -> int:
        return self._record.offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self._record.timestamp

    def key(self) -> bytes | None:
        return self._record.key

    def value(self) -> bytes | None:
        return self._record.value

    def headers(self) -> Any:
        if self._record.headers is None:
            raise SystemError("not UTF-8")
        return list(self._record.headers)


class Objects:
    """Bronze objects as landing builds them, read as the loader reads them."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[dict[str, str], bytes]] = {}
        self.read_keys: list[str] = []

    def land(self, partition: int, *records: Record, life: str = LIFE) -> None:
        chunk = lines.encode([Landed(record) for record in records])
        start, next_ = records[0].offset, records[-1].offset + 1
        body, head = objects.build(start, next_, Kind.DATA, [chunk])
        key = objects.key(Partition(QUOTES, partition), life, start)
        self.held[key] = objects.metadata(head), body

    def beyond(self, topic: str, last_keys: Any) -> list[Listed]:
        return [Listed(key, len(body)) for key, (_, body) in sorted(self.held.items())]

    def read(self, listed: list[Listed]) -> list[LineFile]:
        self.read_keys += [one.file for one in listed]
        return [line_file(one, *self.held[one.file]) for one in listed]


@pytest.fixture
def bronze(monkeypatch: pytest.MonkeyPatch) -> Objects:
    held = Objects()
    monkeypatch.setattr("ingestion.load.bronze.Bronze", lambda client, bucket: held)
    monkeypatch.setattr("ingestion.load.bronze.store_client", lambda settings: None)
    return held


def record(offset: int, at: int, key: bytes | None = b"IBM", value: bytes | None = b"") -> Record:
    return Record(offset, at, key, HEADERS, b"%d" % at if value == b"" else value)


def replayed(wanted: Range, *symbols: str) -> list[Outgoing]:
    replay = Replay(Archive(StoreSettings()), wanted, frozenset(symbols))
    return [made for _, made in replay.timed()]


def test_key_headers_and_value_come_back_byte_for_byte(bronze: Objects) -> None:
    given = b' {"event_id": "e1",\t"data": {"c": 1.50}}\r'
    bronze.land(0, record(0, 1, value=given), record(1, 2, None, b"\xff\x00"))

    first, second = replayed(Range(QUOTES))

    assert first == Outgoing(QUOTES, b"IBM", given, [*HEADERS], event_id="e1")
    assert second == Outgoing(QUOTES, None, b"\xff\x00", [*HEADERS])


def test_partitions_are_merged_by_time_and_each_keeps_its_order(bronze: Objects) -> None:
    bronze.land(0, record(0, 10), record(1, 40))
    bronze.land(0, record(2, 30), record(3, 50))  # Kafka's timestamps are the producers' own
    bronze.land(1, record(0, 20), record(1, 45))

    assert [int(made.value) for made in replayed(Range(QUOTES))] == [10, 20, 40, 30, 45, 50]


@pytest.mark.parametrize(
    ("bounds", "expected", "n_read"),
    [
        ({"first": 2}, [30, 50], 2),
        ({"last": 1}, [10, 20, 40, 45], 2),
        ({"first": 1, "last": 2}, [40, 30, 45], 3),
        ({"partitions": frozenset({1})}, [20, 45], 1),
        ({"since": datetime.fromtimestamp(0.03, UTC)}, [40, 30, 45, 50], 3),
        ({"until": datetime.fromtimestamp(0.03, UTC)}, [10, 20], 3),
    ],
)
def test_a_range_is_read_and_little_else(
    bronze: Objects, bounds: dict[str, Any], expected: list[int], n_read: int
) -> None:
    bronze.land(0, record(0, 10), record(1, 40))
    bronze.land(0, record(2, 30), record(3, 50))
    bronze.land(1, record(0, 20), record(1, 45))

    found = [int(made.value) for made in replayed(Range(QUOTES, **bounds))]

    assert found == expected
    assert len(bronze.read_keys) == n_read


def test_only_the_wanted_symbols_are_sent(bronze: Objects) -> None:
    bronze.land(0, record(0, 1, b"IBM"), record(1, 2, b"AAPL"), record(2, 3, None))

    assert [made.key for made in replayed(Range(QUOTES), "AAPL")] == [b"AAPL"]


def test_one_life_of_a_topic_is_replayed(bronze: Objects) -> None:
    bronze.land(0, record(0, 1))
    bronze.land(0, record(0, 2), life=OTHER_LIFE)

    with pytest.raises(SourceError, match=f"found 2: choose by --generation {LIFE}, {OTHER_LIFE}"):
        replayed(Range(QUOTES))
    assert [made.value for made in replayed(Range(QUOTES, generation="bb"))] == [b"2"]


def test_what_no_producer_of_ours_sends_is_counted_and_left_out(bronze: Objects) -> None:
    odd = Record(1, 2, b"IBM", None, b"x")
    bronze.land(0, record(0, 1, value=None), odd, record(2, 10**15), record(3, 4))
    replay = Replay(Archive(StoreSettings()), Range(QUOTES), frozenset())

    assert [made.value for _, made in replay.timed()] == [b"1000000000000000", b"4"]
    assert replay.facts()["left_out"] == {"tombstones": 1, "unreadable headers": 1}
    assert replay.facts()["by_partition"] == {"0": 2}


def test_nothing_selected_is_an_error(bronze: Objects) -> None:
    with pytest.raises(SourceError, match="found 0"):
        replayed(Range(QUOTES))
    bronze.land(0, record(0, 1))
    with pytest.raises(SourceError, match="holds no such record"):
        replayed(Range(QUOTES, first=7))
    with pytest.raises(SourceError, match="expected one of"):
        replayed(Range("elsewhere"))


def test_an_object_that_was_altered_is_an_error(bronze: Objects) -> None:
    bronze.land(0, record(0, 1))
    ((key, (metadata, body)),) = bronze.held.items()
    bronze.held[key] = metadata, body[:-1]

    with pytest.raises(LoadError, match="expected sha256"):
        replayed(Range(QUOTES))


def test_the_command_replays_bronze(
    bronze: Objects, ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "none"))
    bronze.land(0, record(0, 1_000), record(1, 2_000), record(2, 9_000))
    began_ms = time.time() * 1_000

    found = ingestion(
        "produce", "recorded", "--bronze", QUOTES, "--until", "1970-01-01T00:00:05Z",
        "--speed", "1", environment=mock_environment,
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
    first, second = sorted(kafka.read(QUOTES, 2), key=lambda m: m.value() or b"")
    assert (first.value(), second.value()) == (b"1000", b"2000")
    assert (first.key(), first.headers()) == (b"IBM", [*HEADERS])
    assert second.timestamp()[1] - began_ms >= 900


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--since", "2026-01-01"), "expected --bronze"),
        (("--bronze", QUOTES, "--last-sessions", "1"), "--bronze: expected none of --start"),
        (("--max-wait", "1"), "expected --speed"),
    ],
)
def test_options_of_the_other_kind_are_refused(
    ingestion: Command, mock_environment: dict[str, str], arguments: tuple[str, ...], named: str
) -> None:
    found = ingestion("produce", "recorded", *arguments, environment=mock_environment)

    assert found.returncode == 1
    assert named in found.stderr


def test_bars_go_in_the_order_of_time_when_they_have_a_pace(
    ingestion: Command, kafka: MockKafka, mock_environment: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "none"))
    began_ms = time.time() * 1_000

    found = ingestion(
        "produce", "recorded", "--last-sessions", "2", "--speed", "86400", "--ledger",
        str(tmp_path), "--run-id", "r", environment=mock_environment,
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
    sent = kafka.read("stock-market-batch", 10)
    dates = {m.value(): b'"session_date":"2013-03-01"' in (m.value() or b"") for m in sent}
    intended = [
        line["sha256"]
        for line in map(json.loads, (tmp_path / "r.jsonl").read_text().splitlines())
        if line["op"] == "intend"
    ]
    is_later = {sha256(value or b"").hexdigest(): later for value, later in dates.items()}
    assert [is_later[digest] for digest in intended] == [False] * 5 + [True] * 5
    later = [m.timestamp()[1] for m in sent if dates[m.value()]]
    assert min(later) - began_ms >= 900, "a day a second"
