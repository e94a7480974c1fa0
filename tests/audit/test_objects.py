import hashlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from audit.content import Header, digest, line_digest
from audit.model import Partition
from audit.objects import Bronze, examine

PLACE = Partition("t", "0" * 32, 0)


def lines(*offsets: int) -> bytes:
    return b"".join(b'{"offset":%d,"timestamp":%d,"key":null}\n' % (n, 100 + n) for n in offsets)


def facts(body: bytes, offsets: tuple[int, ...], end: int) -> dict[str, str]:
    found = {
        "next": str(end),
        "count": str(len(offsets)),
        "sha256": hashlib.sha256(body).hexdigest(),
        "kind": "data",
    }
    if offsets:
        found |= {
            "min-timestamp": str(100 + offsets[0]),
            "max-timestamp": str(100 + offsets[-1]),
        }
    return found


def examined(text: bytes, offsets: tuple[int, ...], start: int, end: int, **changes: str) -> Bronze:
    body = zstandard.ZstdCompressor(level=1).compress(text)
    metadata = facts(body, offsets, end) | changes
    chunks = [body[at : at + 7] for at in range(0, len(body), 7)]
    return examine("k", PLACE, start, metadata, chunks)


def test_an_object_that_is_what_it_says_has_no_problem() -> None:
    found = examined(lines(4, 6, 7), (4, 6, 7), 4, 9)
    assert (found.problems, found.runs, found.next) == ([], [(4, 5), (6, 8)], 9)


def test_an_object_of_markers_alone_is_whole() -> None:
    found = examined(b"", (), 4, 9)
    assert (found.problems, found.runs) == ([], [])


@pytest.mark.parametrize(
    ("text", "offsets", "changes", "problem"),
    [
        (lines(4, 5), (4, 5), {"sha256": "0" * 64}, "metadata says sha256"),
        (lines(4, 5), (4, 5), {"count": "3"}, "metadata says count 3, the body has 2"),
        (lines(4, 5), (4, 5), {"min-timestamp": "1"}, "metadata says min-timestamp 1"),
        (lines(4, 5), (4, 5), {"kind": "other"}, "expected kind data or gap"),
        (lines(4, 5), (4, 5), {"kind": "gap"}, "a gap object holds 2 records"),
        (lines(4, 5), (4, 5), {"next": "x"}, "metadata has no number for next"),
        (lines(4, 4), (4, 4), {}, "offsets do not increase at 4"),
        (lines(5, 4), (4, 5), {}, "offsets do not increase at 4"),
        (lines(3), (3,), {}, "offset 3 lies outside [4, 9)"),
        (lines(9), (9,), {}, "offset 9 lies outside [4, 9)"),
        (lines(4)[:-1], (4,), {}, "the last line is not ended"),
        (lines(4) + b"\n", (4,), {}, "the body cannot be read"),
        (b"{}\n", (4,), {}, "the body cannot be read"),
    ],
)
def test_what_is_wrong_with_an_object_is_said(
    text: bytes, offsets: tuple[int, ...], changes: dict[str, str], problem: str
) -> None:
    found = examined(text, offsets, 4, 9, **changes)
    assert [one for one in found.problems if one.startswith(problem)], found.problems


@given(st.data())
def test_no_flipped_byte_goes_unseen(data: st.DataObject) -> None:
    body = bytearray(zstandard.ZstdCompressor(level=1).compress(lines(*range(40))))
    metadata = facts(bytes(body), tuple(range(40)), 40)
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    assert examine("k", PLACE, 0, metadata, [bytes(body)]).problems


Record = tuple[int, bytes | None, list[Header], bytes | None]
texts = st.text(st.characters(codec="utf-8"), max_size=8)


@given(
    st.tuples(
        st.integers(0, 2**40),
        st.none() | st.binary(max_size=6),
        st.lists(st.tuples(texts, st.none() | st.binary(max_size=6)), max_size=3),
        st.none() | st.binary(max_size=6),
    ),
    st.data(),
)
def test_a_record_that_differs_in_any_part_has_another_digest(
    record: Record, data: st.DataObject
) -> None:
    timestamp, key, headers, value = record
    others = [
        (timestamp + 1, key, headers, value),
        (timestamp, (key or b"") + b"x", headers, value),
        (timestamp, key, [*headers, ("more", None)], value),
        (timestamp, key, headers, (value or b"") + b"x"),
    ]
    assert digest(*record) != digest(*data.draw(st.sampled_from(others)))


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'"key":"A","headers":[["s","v"]],"value":{"a":1}', (b"A", [("s", b"v")], b'{"a":1}')),
        (b'"key":null,"headers":[],"value": {"a" : 1}\t', (None, [], b' {"a" : 1}\t')),
        (b'"key":null,"headers":[],"value":null', (None, [], b"null")),
        (b'"key":null,"headers":[]', (None, [], None)),
        (b'"key_b64":"/w==","headers":[["s",{"b64":"/w=="}]],"value_b64":""',
         (b"\xff", [("s", b"\xff")], b"")),
        (b'"key":"","headers":[["s",null]],"value_b64":"Cg=="', (b"", [("s", None)], b"\n")),
    ],
)  # fmt: skip
def test_a_line_has_the_digest_of_the_record_that_it_holds(
    line: bytes, record: tuple[bytes | None, list[Header], bytes | None]
) -> None:
    key, headers, value = record
    text = b'{"offset":7,"timestamp":5,' + line + b"}"
    assert line_digest(text) == (7, digest(5, key, headers, value))
