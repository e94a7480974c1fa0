"""The lines of a producers' ledger, and what is none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from audit.errors import UnreadableError

FORMAT = 1
_SHOWN = 60

Natural = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class Open(Struct, tag_field="op", tag="open"):
    """First line of a run's file."""

    version: int
    run_id: str


class Intend(Struct, tag_field="op", tag="intend"):
    """Written before the record was handed to the client."""

    id: str
    topic: str
    sha256: str


class Acked(Struct, tag_field="op", tag="acked"):
    """Kafka confirmed the record."""

    id: str
    topic: str
    partition: Natural
    offset: Natural


class Failed(Struct, tag_field="op", tag="failed"):
    """The record was certainly not written."""

    id: str


class Unknown(Struct, tag_field="op", tag="unknown"):
    """The record may have been written."""

    id: str


Line = Open | Intend | Acked | Failed | Unknown
DECODER: "msgspec.json.Decoder[Line]" = msgspec.json.Decoder(Line)


def decode(path: Path, before: int, block: bytes) -> Sequence[Line]:
    """Return the lines of a block, of which ``before`` came earlier in the file.

    Raises:
        UnreadableError: one is none of a ledger's; the text has its number.
    """
    try:
        lines = DECODER.decode_lines(block)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        lines = []
    if len(lines) != block.count(b"\n") or not _is_sound(lines, is_start=before == 0):
        lines = [
            _checked(path, before + number, text)
            for number, text in enumerate(block[:-1].split(b"\n"), start=1)
        ]
    return lines


def _is_sound(lines: Sequence[Line], is_start: bool) -> bool:
    opened = [line for line in lines if type(line) is Open]
    sums = (line.sha256 for line in lines if type(line) is Intend)
    return (
        len(opened) == is_start
        and all(line is lines[0] and line.version == FORMAT for line in opened)
        and all(_is_sha256(text) for text in sums)
    )


def _checked(path: Path, number: int, text: bytes) -> Line:
    """Return one line, or say what is wrong with it."""
    shown = repr(text[:_SHOWN])
    try:
        line = DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _malformed(path, number, f"a ledger line, found {shown}: {error}") from error
    if (type(line) is Open) != (number == 1):
        expected = '{"op":"open",…}' if number == 1 else "no second open"
        raise _malformed(path, number, f"{expected}, found {shown}")
    if type(line) is Open and line.version != FORMAT:
        raise _malformed(path, number, f"version {FORMAT}, found {line.version}")
    if type(line) is Intend and not _is_sha256(line.sha256):
        raise _malformed(path, number, f"64 hex digits in sha256, found {line.sha256[:_SHOWN]!r}")
    return line


def _malformed(path: Path, number: int, text: str) -> UnreadableError:
    return UnreadableError(f"{path}, line {number}: expected {text}")


def _is_sha256(text: str) -> bool:
    try:
        return len(text) == 64 and len(bytes.fromhex(text)) == 32
    except ValueError:
        return False
