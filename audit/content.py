"""What a record is, byte for byte, whichever side it is read from: the ``--deep`` comparison."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

Header = tuple[str, bytes | None]
_ABSENT = (0xFFFFFFFF).to_bytes(4, "big")
_WHITESPACE = b" \t\r\n"


class Line(msgspec.Struct):
    """A bronze line; an absent ``value`` and ``value_b64`` is a tombstone."""

    offset: int
    timestamp: int
    key: str | None = None
    key_b64: str | None = None
    headers: list[tuple[str, Any]] = []
    value: msgspec.Raw = msgspec.Raw()
    value_b64: str | None = None


_decoder = msgspec.json.Decoder(Line)


def digest(
    timestamp: int, key: bytes | None, headers: Iterable[Header], value: bytes | None
) -> int:
    """Return 64 bits over all that a record carries; lengths keep neighbours apart."""
    state = hashlib.blake2b(timestamp.to_bytes(8, "big", signed=True), digest_size=8)
    _feed(state, key)
    _feed(state, value)
    for name, content in headers:
        _feed(state, name.encode())
        _feed(state, content)
    return int.from_bytes(state.digest(), "big")


def line_digest(text: bytes) -> tuple[int, int]:
    """Return a bronze line's offset and the digest of the record that it claims to be.

    Raises:
        msgspec.MsgspecError: it is not a bronze line.
    """
    line = _decoder.decode(text)
    key = line.key.encode() if line.key is not None else _unpack(line.key_b64)
    headers = [(name, _header(content)) for name, content in line.headers]
    return line.offset, digest(line.timestamp, key, headers, _value(text, line))


def line_value(text: bytes) -> bytes | None:
    """Return the value of the record that a bronze line holds, byte for byte.

    Raises:
        msgspec.MsgspecError: it is not a bronze line.
    """
    return _value(text, _decoder.decode(text))


def _feed(state: Any, part: bytes | None) -> None:  # noqa: ANN401 - hashlib's object has no public type
    state.update(_ABSENT if part is None else len(part).to_bytes(4, "big") + part)


def _unpack(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)


def _header(content: Any) -> bytes | None:  # noqa: ANN401 - str, {"b64": str} or None
    if isinstance(content, dict):
        return _unpack(content["b64"])
    return None if content is None else str(content).encode()


def _value(text: bytes, line: Line) -> bytes | None:
    if line.value_b64 is not None:
        return _unpack(line.value_b64)
    document = bytes(line.value)
    return _with_whitespace(text, document) if document else None


def _with_whitespace(text: bytes, document: bytes) -> bytes:
    """Return the value with the whitespace around it, which the decoder leaves out.

    The value is the line's last member: what lies between its colon and the closing brace.
    """
    body = text.rstrip(_WHITESPACE)[:-1]
    start = len(body.rstrip(_WHITESPACE)) - len(document)
    while start and body[start - 1] in _WHITESPACE:
        start -= 1
    return body[start:]


def split_lines(block: bytes) -> Sequence[bytes]:
    """Return the lines of a block that ends with a newline; nothing else ends a line."""
    return block[:-1].split(b"\n") if block else []
