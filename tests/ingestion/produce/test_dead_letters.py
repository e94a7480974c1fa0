import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drill import hostile
from ingestion.clock import SystemClock
from ingestion.errors import SourceError
from ingestion.produce import foreign
from ingestion.produce.dead_letters import MAX_VALUE_BYTES, letter
from ingestion.produce.outgoing import Outgoing, of_refused
from ingestion.sources.source import Refused
from tests.ingestion.contracts.samples import sample
from tests.ingestion.produce.conftest import MockKafka
from tests.ingestion.produce.test_kafka import deliverer, send_all

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def judged(tmp_path: Path, content: bytes) -> list[Outgoing]:
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(content)
    return list(foreign.read(path, "partner", "run-9", SystemClock()))


def test_a_letter_says_who_why_when_and_where_to() -> None:
    made = letter(Refused(b"\xff\x00{", "stock-quotes", "contract", "expected x"), "s", "r", AT)

    assert made.value == b"\xff\x00{"
    assert dict(made.headers) == {
        "source": b"s",
        "reason": b"contract",
        "detail": b"expected x",
        "failed_at": b"2026-01-02T03:04:05.000000Z",
        "run_id": b"r",
        "topic": b"stock-quotes",
    }


def test_a_letter_names_the_provider_behind_a_source_of_several() -> None:
    refused = Refused(b"x", "", "contract", "expected y", source="yahoo")

    made = of_refused(refused, "bars", "r", SystemClock())

    assert dict(made.headers)["source"] == b"yahoo"


def test_a_letter_has_what_reads_its_body_again_and_cannot_be_made_to_lie() -> None:
    context = (("symbol", "IBM"), ("source", "somebody else"))

    made = letter(Refused(b"", "", "contract", "", context=context), "s", "r", AT)

    headers = dict(made.headers)
    assert (headers["symbol"], headers["source"]) == (b"IBM", b"s")
    assert len(made.headers) == len(headers)


def test_a_detail_that_is_no_text_does_not_stop_the_letter() -> None:
    made = letter(Refused(b"x", "", "contract", "found \ud800" + "y" * 9_999), "s", "r", AT)

    detail = dict(made.headers)["detail"]
    assert detail.startswith(b"found \\ud800y")
    assert len(detail) < 600


def test_what_is_too_large_is_kept_in_part_with_its_hash(tmp_path: Path) -> None:
    body = b"x" * (MAX_VALUE_BYTES + 1)

    (record,) = judged(tmp_path, body)

    headers = dict(record.headers)
    assert headers["reason"] == b"too_large"
    assert headers["size"] == str(len(body)).encode()
    assert headers["sha256"] == hashlib.sha256(body).hexdigest().encode()
    assert body.startswith(record.value)
    assert 0 < len(record.value) < MAX_VALUE_BYTES


@pytest.mark.parametrize(
    ("schema", "topic"),
    [("quote.v1", "stock-quotes"), ("bar.v1", "stock-market-batch"),
     ("trade.v1", "stock-market-realtime")],
)  # fmt: skip
def test_what_passes_is_sent_byte_for_byte(tmp_path: Path, schema: str, topic: str) -> None:
    body = json.dumps(sample(schema) | {"not_ours": [1, 2]}, indent=None).encode() + b" \r"

    (record,) = judged(tmp_path, body + b"\n")

    assert (record.topic, record.key, record.value) == (topic, b"BRK.B", body)
    assert ("schema", schema.encode()) in record.headers
    assert ("run_id", b"run-1") in record.headers
    assert not record.refused


@pytest.mark.parametrize(
    ("body", "topic"),
    [
        (b"", b""),
        (b"not json", b""),
        (b"\xff", b""),
        (b"[1]", b""),
        (b'{"schema":["bar.v1"]}', b""),
        (b'{"schema":"bar.v1"}', b"stock-market-batch"),
        (b'{"schema":"bar.v9"}', b""),
        (json.dumps(sample("quote.v1") | {"symbol": "aapl"}).encode(), b"stock-quotes"),
        (b"[" * 50_000, b""),
    ],
)
def test_what_fails_is_a_letter_with_the_topic_that_it_claims(
    tmp_path: Path, body: bytes, topic: bytes
) -> None:
    (record,) = judged(tmp_path, body + b"\n")

    headers = dict(record.headers)
    assert (record.topic, record.key, record.value) == ("stock-market-dlq", None, body)
    assert (headers["source"], headers["topic"]) == (b"partner", topic)
    assert headers["reason"] == b"contract"
    assert headers["parser"] == b"message"
    assert record.refused


def test_lines_end_at_newlines_only(tmp_path: Path) -> None:
    found = judged(tmp_path, b"a\rb\n\xe2\x80\xa8c\n\nd")

    assert [record.value for record in found] == [b"a\rb", b"\xe2\x80\xa8c", b"", b"d"]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        list(foreign.read(tmp_path / "none", "s", "r", SystemClock()))


def test_every_hostile_line_is_sent_or_is_a_letter_with_its_bytes(
    kafka: MockKafka, tmp_path: Path
) -> None:
    given = [line for record in hostile.records() for line in (record.value or b"").split(b"\n")]

    made = judged(tmp_path, b"\n".join(given) + b"\n")
    ours = deliverer(kafka.servers)
    summary = send_all(ours, iter(made))

    ours.raise_undelivered()
    assert summary.delivered.total() == len(made) == len(given)
    for line, record in zip(given, made, strict=True):
        headers = dict(record.headers)
        whole = "sha256" not in headers
        assert record.value == line if whole else line.startswith(record.value)
        assert whole or headers["sha256"] == hashlib.sha256(line).hexdigest().encode()
    letters = [record for record in made if record.refused]
    assert 0 < len(letters) < len(made)
