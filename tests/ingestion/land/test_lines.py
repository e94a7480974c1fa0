from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.errors import ChainError
from ingestion.land import lines
from tests.ingestion.land.world import FakeMessage

MIB = 2**20

DOCUMENTS = {
    "object": b'{"a":1}',
    "null": b"null",
    "white space around": b' {"a":1}\t',
    "carriage return": b'{"a":1}\r',
    "line separator": '"\u2028\u2029\u0085"'.encode(),
    "escaped nul": b'"\\u0000"',
    "surrogate pair": b'"\\ud83d\\ude00"',
    "duplicate keys": b'{"a":1,"a":2}',
    "integer of 5,000 digits": b"9" * 5000,
    "2^64": b"18446744073709551616",
    "1e999": b"1e999",
    "512 levels": b"[" * 512 + b"]" * 512,
    "brackets inside a string": b'"' + b"[{" * 1000 + b'"',
    "path": b'{"symbol":"../../etc/passwd"}',
    "injection": b'{"symbol":"\'; DROP TABLE x;--"}',
    "formula": b'{"symbol":"=HYPERLINK(1)"}',
    "1 MiB": b'"' + b"x" * (MIB - 2) + b'"',
}
NOT_DOCUMENTS = {
    "empty": b"",
    "blank": b" ",
    "NaN": b'{"p":NaN}',
    "Infinity": b"Infinity",
    "513 levels": b"[" * 513 + b"]" * 513,
    "100,000 levels": b"[" * 100_000,
    "513 levels of objects": b'{"a":' * 513 + b"1" + b"}" * 513,
    "lone high surrogate": b'"\\ud800"',
    "lone low surrogate": b'"\\udc00"',
    "invalid UTF-8": b'"\xff"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "encoded surrogate": b'"\xed\xa0\x80"',
    "byte order mark": b"\xef\xbb\xbf{}",
    "raw NUL": b'"\x00"',
    "two documents": b'{"a":1}{"b":2}',
    "two documents, spaced": b"1 2",
    "newline inside": b'{\n"a":1}',
    "newline at the end": b'{"a":1}\n',
    "only newline": b"\n",
    "unfinished": b'{"a":',
    "would close the line": b'1,"offset":7',
    "would open another line": b'1}\n{"offset":7',
    "more than 1 MiB": b'"' + b"x" * MIB + b'"',
    "schema registry framing": b"\x00\x00\x00\x00\x07" + b"{}",
    "zstd bomb's frame": b"\x28\xb5\x2f\xfd\x04\x00",
}
VALUES = [*DOCUMENTS.items(), *NOT_DOCUMENTS.items(), ("tombstone", None)]


def round_trip(messages: Sequence[FakeMessage]) -> list[lines.Record]:
    return [lines.parse(line) for line in lines.split(lines.encode(messages).blob)]


@pytest.mark.parametrize(("value"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_is_copied_as_it_is(value: bytes) -> None:
    [line] = lines.split(lines.encode([FakeMessage(7, value)]).blob)
    assert line.endswith(b'"value":' + value + b"}\n")
    assert lines.is_document(value)


@pytest.mark.parametrize("value", NOT_DOCUMENTS.values(), ids=NOT_DOCUMENTS)
def test_what_is_no_document_becomes_base64(value: bytes) -> None:
    [line] = lines.split(lines.encode([FakeMessage(7, value)]).blob)
    fields = msgspec.json.decode(line)
    assert "value_b64" in fields
    assert "value" not in fields
    assert not lines.is_document(value)


def test_a_tombstone_has_no_value_and_a_null_has_one() -> None:
    tombstone, null = lines.split(
        lines.encode([FakeMessage(1, None), FakeMessage(2, b"null")]).blob
    )
    assert set(msgspec.json.decode(tombstone)) == {"offset", "timestamp", "key", "headers"}
    assert msgspec.json.decode(null)["value"] is None


@pytest.mark.parametrize(("name", "value"), VALUES, ids=[name for name, _ in VALUES])
@pytest.mark.parametrize("key", [None, b"", b"AAPL", b"\xff\x00", b'"}\n{', "\u202eAAPL".encode()])
def test_every_record_survives_byte_for_byte(name: str, value: bytes | None, key: bytes) -> None:
    pairs = (("h", b"v"), ("h", b"\xfe"), ("", None), ('q"\n', b""), ("run", b"x" * 5000))
    message = FakeMessage(9, value, key, pairs, stamp=-1)
    assert round_trip([message]) == [lines.Record(9, -1, key, pairs, value)]


def test_hostile_records_do_not_change_their_neighbours() -> None:
    values = [value for _, value in VALUES]
    messages = [FakeMessage(2 * i, value) for i, value in enumerate(values)]
    assert [record.value for record in round_trip(messages)] == values


binary = st.binary(max_size=40)


def test_keys_and_headers_go_with_their_own_records() -> None:
    sets = [(("run", b"1"),), (), (("run", b"2"),), (("run", b"1"), ("run", b"1"))]
    messages = [
        FakeMessage(i, b"1", key, sets[(i // run) % len(sets)])
        for run in (1, 3)
        for i, key in enumerate([b"A", b"B", None, b"A", b"", b"B"] * 4, start=24 * run)
    ]
    assert [(r.key, r.headers) for r in round_trip(messages)] == [
        (m.name, m.pairs) for m in messages
    ]


def test_more_keys_and_header_sets_than_are_remembered_are_written_all_the_same() -> None:
    messages = [
        FakeMessage(i, b"1", b"key %d" % i, (("id", b"%d" % (i % 20)),)) for i in range(10_000)
    ]
    assert [(r.key, r.headers) for r in round_trip(messages)] == [
        (m.name, m.pairs) for m in messages
    ]


documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
).map(lambda value: msgspec.json.encode(value))
values = st.none() | binary | documents
headers = st.lists(st.tuples(st.text(max_size=5), st.none() | binary), max_size=3).map(tuple)


@given(st.lists(st.tuples(values, st.none() | binary, headers), min_size=1, max_size=6))
def test_round_trip_of_anything(
    records: list[tuple[bytes | None, bytes | None, lines.Headers]],
) -> None:
    messages = [FakeMessage(i, v, k, h) for i, (v, k, h) in enumerate(records)]
    found = round_trip(messages)
    assert [(r.value, r.key, r.headers) for r in found] == records
    assert [r.offset for r in found] == list(range(len(records)))


@given(st.lists(values, min_size=1, max_size=5))
def test_checking_at_once_equals_checking_one_by_one(batch: list[bytes | None]) -> None:
    together = lines.encode([FakeMessage(i, v) for i, v in enumerate(batch)]).blob
    apart = b"".join(lines.encode([FakeMessage(i, v)]).blob for i, v in enumerate(batch))
    assert together == apart


def test_a_line_is_exactly_as_the_contract_says() -> None:
    pairs = (("schema", b"quote.v1"), ("raw", b"\xff"))
    message = FakeMessage(123, b'{"a": 1}', b"AAPL", pairs, stamp=1700000000000)
    assert lines.encode([message]).blob == (
        b'{"offset":123,"timestamp":1700000000000,"key":"AAPL",'
        b'"headers":[["schema","quote.v1"],["raw",{"b64":"/w=="}]],"value":{"a": 1}}\n'
    )


def test_a_chunk_knows_its_interval_and_its_times() -> None:
    messages = [FakeMessage(4, stamp=30), FakeMessage(7, stamp=10), FakeMessage(9, stamp=20)]
    chunk = lines.encode(messages)
    assert (chunk.first, chunk.last, chunk.count) == (4, 9, 3)
    assert (chunk.min_timestamp, chunk.max_timestamp) == (10, 30)


def test_a_chunk_is_cut_at_an_offset() -> None:
    messages = [
        FakeMessage(4, stamp=30),
        FakeMessage(7, b'"\r\xe2\x80\xa8"', stamp=10),
        FakeMessage(9),
    ]
    chunk = lines.encode(messages)
    assert chunk.since(4) is chunk
    assert chunk.since(5) == lines.encode(messages[1:])
    assert chunk.since(10) is None


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"nonsense", b'{"timestamp":1,"offset":1,"headers":[],"value":1}\n']
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(ChainError):
        lines.parse(line)
