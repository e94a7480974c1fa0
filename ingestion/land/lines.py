"""The bronze line: one Kafka record as one line of JSON, its value byte for byte.

``{"offset":1,"timestamp":1700000000000,"key":"AAPL","headers":[["schema","bar.v1"]],"value":{…}}``

A value that is one valid JSON document on one line is copied as it is; anything else becomes
``value_b64``. Nothing is parsed and dumped again: the document is only checked. ``"headers":null``
stands for headers that the Kafka client cannot hand over: the name of one is not UTF-8.
"""

import re
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import methodcaller
from typing import Any, Final, Protocol

import msgspec

from ingestion.errors import ChainError

MAX_VALUE_BYTES: Final = 2**20
MAX_DEPTH: Final = 512
# A level needs an opening and a closing byte: a document as short as this cannot be too deep.
_SHALLOW_BYTES: Final = 2 * MAX_DEPTH
# Keys and headers repeat from record to record; hostile ones must not fill the memory (20 MB).
_CACHED_HEADER_SETS: Final = 8
_CACHED_HEADS: Final = 4096
_CACHED_HEAD_BYTES: Final = 512

Headers = tuple[tuple[str, bytes | None], ...]

_UNREADABLE: Final = object()
# Not `message.headers()`: a specialised call of CPython 3.11 lets its SystemError through.
_ask_headers: Final = methodcaller("headers")
_check = msgspec.json.Decoder(msgspec.Raw).decode
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")
_START: Final = re.compile(rb'\{"offset":(\d+),"timestamp":(-?\d+),')


class Message(Protocol):
    """What is used of a Kafka message."""

    def offset(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> Any: ...  # noqa: ANN401 - the client's stubs say str | bytes; it is bytes
    def value(self) -> Any: ...  # noqa: ANN401
    def headers(self) -> Any: ...  # noqa: ANN401


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record, read back from its line; ``timestamp`` in milliseconds.

    ``headers`` are None where the client could not hand them over.
    """

    offset: int
    timestamp: int
    key: bytes | None
    headers: Headers | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of one partition, joined; offsets ascend and may have holes.

    ``first`` and ``last`` are offsets of records; timestamps are in milliseconds.
    """

    blob: bytes
    first: int
    last: int
    count: int
    min_timestamp: int
    max_timestamp: int

    def since(self, offset: int) -> "Chunk | None":
        """Return the part whose offsets are at least ``offset``; None when nothing is left."""
        if offset <= self.first:
            return self
        if offset > self.last:
            return None
        return _chunk_of([line for line in split(self.blob) if _numbers(line)[0] >= offset])


def encode(messages: Sequence[Message]) -> Chunk:
    """Return the lines of messages of one partition, in the order given; at least one."""
    offsets = [m.offset() or 0 for m in messages]
    stamps = [m.timestamp()[1] for m in messages]
    values = [m.value() for m in messages]
    heads = list(_heads(messages))
    blob = _join_documents(offsets, stamps, heads, values)
    if blob is None:
        blob = b"".join(map(_line, offsets, stamps, heads, values))
    return Chunk(blob, offsets[0], offsets[-1], len(offsets), min(stamps), max(stamps))


def is_document(value: bytes) -> bool:
    """Tell whether every engine after us can load ``value`` as one JSON document on one line."""
    if b"\n" in value or len(value) > MAX_VALUE_BYTES:
        return False
    return _all_json([value]) and _is_utf8(value)


def split(blob: bytes) -> list[bytes]:
    r"""Split joined lines at ``\n`` only (``\r`` is data); each keeps its newline."""
    return [line + b"\n" for line in blob.split(b"\n")[:-1]]


def parse(line: bytes) -> Record:
    """Read a line back: key, headers and value as they were in Kafka, byte for byte.

    Raises:
        ChainError: the line is not one that `encode` wrote.
    """
    try:
        fields = msgspec.json.decode(line, type=_Fields)
        key = _bytes(fields.key, fields.key_b64)
        headers = _headers_of(fields)
    except (msgspec.DecodeError, ValueError) as error:
        raise ChainError(f"expected a bronze line, found {line[:80]!r}: {error}") from error
    value = _bytes(None, fields.value_b64)
    if fields.value is not msgspec.UNSET:
        value = _verbatim(line, key, headers)
    return Record(fields.offset, fields.timestamp, key, headers, value)


class _Fields(msgspec.Struct, forbid_unknown_fields=True):
    offset: int
    timestamp: int
    headers: list[tuple[str, str | dict[str, str] | None]] | None
    key: str | None = None
    key_b64: str | None = None
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    value_b64: str | None = None


def _join_documents(
    offsets: list[int], stamps: list[int], heads: list[bytes], values: list[Any]
) -> bytes | None:
    """Join the lines when every value is a document, checked over all at once; else None."""
    if not _all_json(values):
        return None
    fields = zip(offsets, stamps, heads, values, strict=True)
    blob = b"".join([b'{"offset":%d,"timestamp":%d,%b,"value":%b}\n' % line for line in fields])
    return blob if blob.count(b"\n") == len(values) and _is_utf8(blob) else None


def _line(offset: int, stamp: int, head: bytes, value: bytes | None) -> bytes:
    start = b'{"offset":%d,"timestamp":%d,%b' % (offset, stamp, head)
    if value is None:
        return start + b"}\n"
    if is_document(value):
        return b'%b,"value":%b}\n' % (start, value)
    return b'%b,"value_b64":"%b"}\n' % (start, b64encode(value))


def _all_json(values: Sequence[Any]) -> bool:
    try:
        deque(map(_check, values), maxlen=0)  # the loop runs in C; a tombstone is a TypeError
    except (msgspec.DecodeError, RecursionError, TypeError):
        return False
    longest = max(map(len, values))
    if longest <= _SHALLOW_BYTES:
        return True
    return longest <= MAX_VALUE_BYTES and all(map(_is_shallow, values))


def _is_shallow(value: bytes) -> bool:
    if value.count(b"[") + value.count(b"{") <= MAX_DEPTH:
        return True
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", value)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return False
    return True


def _is_utf8(data: bytes) -> bool:
    if data.isascii():  # needs no copy, decoding does
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _heads(messages: Sequence[Message]) -> Iterator[bytes]:
    """Yield each line's key and headers; neighbours mostly have the same headers."""
    keys = iter([m.key() for m in messages])
    for headers, run in groupby(_all_headers(messages)):
        known = _heads_with(None if headers is _UNREADABLE else tuple(headers or ()))
        for _ in run:
            yield known[next(keys)]


def _all_headers(messages: Sequence[Message]) -> list[Any]:
    """Return each message's headers; `_UNREADABLE` where a name is not UTF-8.

    Any client of the topic can send such a name. Ours then raises SystemError, and a second call
    would hand out a list with a null pointer in it: each message is asked once.
    """
    found: list[Any] = []
    rest = iter(messages)
    while True:
        try:
            found.extend(map(_ask_headers, rest))
        except SystemError:
            found.append(_UNREADABLE)
        else:
            return found


class _Heads(dict[bytes | None, bytes]):
    """The part of a line between timestamp and value, by key, for one set of headers."""

    def __init__(self, headers: Headers | None) -> None:
        super().__init__()
        self._headers = headers

    def __missing__(self, key: bytes | None) -> bytes:
        head = _build_head(key, self._headers)
        if len(self) >= _CACHED_HEADS:
            self.clear()
        if len(head) <= _CACHED_HEAD_BYTES:
            self[key] = head
        return head


@lru_cache(_CACHED_HEADER_SETS)
def _heads_with(headers: Headers | None) -> _Heads:
    return _Heads(headers)


def _build_head(key: bytes | None, headers: Headers | None) -> bytes:
    pairs = None if headers is None else [(name, _header_text(value)) for name, value in headers]
    return b'%b,"headers":%b' % (_key_member(key), msgspec.json.encode(pairs))


def _key_member(key: bytes | None) -> bytes:
    if key is None:
        return b'"key":null'
    if _is_utf8(key):
        return b'"key":' + msgspec.json.encode(key.decode())
    return b'"key_b64":"%b"' % b64encode(key)


def _header_text(value: bytes | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    return value.decode() if _is_utf8(value) else {"b64": b64encode(value).decode()}


def _headers_of(fields: "_Fields") -> Headers | None:
    if fields.headers is None:
        return None
    return tuple((name, _header_bytes(value)) for name, value in fields.headers)


def _header_bytes(value: str | dict[str, str] | None) -> bytes | None:
    if isinstance(value, dict):
        return b64decode(value["b64"], validate=True)
    return None if value is None else value.encode()


def _bytes(text: str | None, base64: str | None) -> bytes | None:
    if base64 is not None:
        return b64decode(base64, validate=True)
    return None if text is None else text.encode()


def _verbatim(line: bytes, key: bytes | None, headers: Headers | None) -> bytes:
    """Cut the value out by position: a JSON parser would drop the white space around it."""
    head = _build_head(key, headers)
    start = b'{"offset":%d,"timestamp":%d,%b,"value":' % (*_numbers(line), head)
    body = line.removesuffix(b"\n")
    if not (body.startswith(start) and body.endswith(b"}")):
        raise ChainError(f"expected a bronze line in the written field order, found {line[:80]!r}")
    return body[len(start) : -1]


def _numbers(line: bytes) -> tuple[int, int]:
    match = _START.match(line)
    if match is None:
        raise ChainError(f"expected a bronze line, found {line[:80]!r}")
    return int(match[1]), int(match[2])


def _chunk_of(lines: list[bytes]) -> Chunk:
    numbers = [_numbers(line) for line in lines]
    stamps = [stamp for _, stamp in numbers]
    first, last = numbers[0][0], numbers[-1][0]
    return Chunk(b"".join(lines), first, last, len(lines), min(stamps), max(stamps))
