"""Objects to rows: what is read thousands at a time is what is read line by line."""

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard

from ingestion.contracts import envelope
from ingestion.contracts.topics import BATCH, REALTIME, TOPIC_OF_SCHEMA
from spark_jobs.model import MODEL
from spark_jobs.positions import Chain
from spark_jobs.transforms import layout, objects
from spark_jobs.transforms.decode import Judge
from spark_jobs.transforms.objects import Decoder, Place
from spark_jobs.transforms.shapes import shapes
from tests.spark_jobs.folder_bronze import GENERATION, line, value_line
from tests.spark_jobs.messages import action, bar, trade
from tests.spark_jobs.test_decode import CASES

JUDGE = Judge(MODEL)
SCHEMA = layout.schema(MODEL)
SAMPLES = [
    trade(),
    trade(1, conditions=["@", "odd lot"], exchange=None, ref=bar()["event_id"], action="cancel"),
    trade(2, price="-0.5", size="0"),
    bar(),
    bar(open=None, high=None, low=None, close=None, volume=None, adj_close=None),
    action(),
    action(ratio=None, amount="0.333333333333333333"),
]


def path(topic: str, start: int = 0) -> str:
    return f"s3a://bronze/{topic}/g={GENERATION}/p=00003/{start:020d}.jsonl.zst"


def batch(topic: str, blob: bytes, start: int = 0) -> pa.RecordBatch:
    content = zstandard.ZstdCompressor().compress(blob)
    return pa.record_batch([[path(topic, start)], [content]], names=["path", "content"])


def decoded(topic: str, lines: list[bytes]) -> list[dict[str, Any]]:
    blob = b"".join(item + b"\n" for item in lines)
    return [row for out in Decoder(MODEL, MODEL)([batch(topic, blob)]) for row in out.to_pylist()]


def one_by_one(topic: str, body: bytes) -> dict[str, Any]:
    """What the judge says of a line, in the columns of a batch."""
    row = JUDGE.row(body, topic)
    arrays = [pa.array([row.get(field.name)], field.type) for field in SCHEMA]
    found = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA).to_pylist()[0]
    place = {"topic": topic, "generation": GENERATION, "partition": 3, "object_start": 0}
    return found | place


def canonical(value: dict[str, Any]) -> bytes:
    return envelope.encode(envelope.decode(json.dumps(value).encode()))


SHAPES = {topic: shapes(MODEL, topic) for topic in (BATCH, REALTIME)}


def with_a_shape(topic: str, lines: list[bytes]) -> list[bytes]:
    found = pa.array([body + b"\n" for body in lines], pa.binary())
    matches = [shape.matches(found).to_pylist() for shape in SHAPES[topic]]
    return [body for body, *some in zip(lines, *matches, strict=True) if any(some)]


def mutants(body: bytes) -> list[bytes]:
    """The line with one byte changed, left out or doubled, in many places."""
    draw = random.Random(7)
    found = []
    for place in range(len(body)):
        other = draw.choice(b'0123456789"\\,:.{}[]aZ-\r\x00\x7f\xff ')
        before, after = body[:place], body[place + 1 :]
        middle = body[place : place + 1]
        found += [before + bytes([other]) + after, before + after, before + 2 * middle + after]
    return found


@pytest.mark.parametrize("value", SAMPLES, ids=lambda v: v["schema"])
def test_what_our_producers_write_has_a_shape_and_the_same_values(value: dict[str, Any]) -> None:
    topic, body = TOPIC_OF_SCHEMA[value["schema"]], value_line(5, canonical(value))
    assert with_a_shape(topic, [body])
    assert decoded(topic, [body]) == [one_by_one(topic, body)]


@pytest.mark.parametrize("value", SAMPLES, ids=lambda v: v["schema"])
def test_a_line_with_one_byte_changed_is_judged_as_it_is_alone(value: dict[str, Any]) -> None:
    topic = TOPIC_OF_SCHEMA[value["schema"]]
    lines = [m for m in mutants(value_line(5, canonical(value))) if b"\n" not in m]
    in_shape = with_a_shape(topic, lines)

    found = decoded(topic, in_shape)

    # Enough of both kinds: digits and letters of free fields may change, the rest may not.
    assert 20 < len(in_shape) < len(lines) / 2
    assert found == [one_by_one(topic, body) for body in in_shape]
    assert not [row for row in found if row["reason"]]


@pytest.mark.parametrize("name", CASES)
def test_hostile_values_come_out_as_they_do_alone(name: str) -> None:
    for topic in (BATCH, REALTIME):
        body = line(5, b',"value":' + CASES[name])
        assert decoded(topic, [body]) == [one_by_one(topic, body)]


@pytest.mark.parametrize(
    "value",
    [
        trade(exchange="\u00e9"),
        trade(exchange='"'),
        trade(price="1234567890123"),
        trade(price="0.1234567"),
        bar("2012-02-29"),
        bar(volume="9" * 19),
    ],
)
def test_what_needs_a_closer_look_gets_it(value: dict[str, Any]) -> None:
    topic, body = TOPIC_OF_SCHEMA[value["schema"]], value_line(5, canonical(value))
    assert not with_a_shape(topic, [body])
    assert decoded(topic, [body]) == [one_by_one(topic, body)]


def test_every_line_of_a_large_object_is_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_CHUNK_BYTES", 5_000)
    good = [value_line(n, canonical(trade(n))) for n in range(200)]
    odd = [line(n, b"") if n % 7 else value_line(n, trade(n) | {"x": n}) for n in range(200, 240)]
    shuffled = [*good, *odd]
    random.Random(3).shuffle(shuffled)

    found = decoded(REALTIME, shuffled)

    assert Counter(row["offset"] for row in found) == Counter(range(240))
    assert {row["offset"]: row["seq"] for row in found if not row["reason"]} == {
        **{n: n for n in range(200)},
        **{n: n for n in range(200, 240) if n % 7 == 0},
    }


def test_a_last_line_without_newline_is_a_line() -> None:
    body = value_line(4, canonical(trade()))
    found = list(Decoder(MODEL, MODEL)([batch(REALTIME, body + b"\n" + body)]))
    assert [row["offset"] for out in found for row in out.to_pylist()] == [4, 4]


def test_an_object_that_zstd_cannot_read_is_named() -> None:
    broken = pa.record_batch([[path(BATCH, 7)], [b"no frame"]], names=["path", "content"])
    with pytest.raises(ValueError, match=r"p=00003/0{19}7\.jsonl\.zst: expected what zstd"):
        list(Decoder(MODEL, MODEL)([broken]))


def test_no_line_gives_no_row() -> None:
    assert list(Decoder(MODEL, MODEL)([batch(REALTIME, b"")])) == []


def test_wanted_lines_come_with_key_headers_and_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_CHUNK_BYTES", 3_000)
    lines = [value_line(n, canonical(trade(n)), key=f"K{n}") for n in range(50)]
    lines[7] = lines[7].replace(b'{"offset":7', b'{ "offset":7')
    lines += [b"{broken \xff", line(60, b',"value_b64":"AA=="').replace(b'"key"', b'"key_b64"')]
    lines.insert(20, lines[20])
    place = Place(Chain(REALTIME, GENERATION, 3), 0)
    numbers = [7, 20, 21, 50, 51, 52]
    blob = b"".join(item + b"\n" for item in lines)

    decoder = Decoder(MODEL, MODEL, {place: np.array(numbers)})
    rows = [row for out in decoder([batch(REALTIME, blob)]) for row in out.to_pylist()]

    assert Counter(row["raw"] for row in rows) == Counter(
        lines[number].decode(errors="replace") for number in numbers
    )
    assert {row["offset"]: (row["seq"], row["key"], row["reason"]) for row in rows} == {
        7: (7, "K7", None),
        20: (20, "K20", None),
        49: (49, "K49", None),
        None: (None, None, "invalid_json"),
        60: (None, "base64:AAPL", "invalid_json"),
    }
    assert {row["headers"] for row in rows} == {
        '[["schema","x"],["source","test"],["run_id","r1"]]',
        None,
    }
