"""Which bronze lines may go to an engine at all, and what is kept of those that may not."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from ingestion.load.model import LineFile

# What bronze promises of a value is at most 512 levels; the line puts it two levels down. DuckDB's
# cast to VARIANT does not fail on 50,000 levels, it takes the process down.
MAX_DEPTH = 514

_OFFSET = re.compile(rb'^\{"offset":([0-9]{1,18})[,}]')
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NOT_BRACKETS = re.compile(rb"[^\[\]{}]")


@dataclass(frozen=True)
class Refused:
    """A line that cannot be a row of the raw table; ``reason`` says what was found."""

    topic: str
    generation: str
    partition: int
    file: str
    line_number: int
    line: bytes
    reason: str

    TYPES: ClassVar[dict[str, pa.DataType]] = {
        "topic": pa.string(),
        "generation": pa.string(),
        "partition": pa.int32(),
        "offset": pa.int64(),
        "line_number": pa.int64(),
        "reason": pa.string(),
        "raw": pa.string(),
        "raw_encoding": pa.string(),
        "file": pa.string(),
    }

    def row(self) -> dict[str, str | int | None]:
        """Return the reject as a row; bytes that are no UTF-8 text are kept as base64."""
        found = _OFFSET.match(self.line)
        text = _text(self.line)
        return {
            "topic": self.topic,
            "generation": self.generation,
            "partition": self.partition,
            "offset": int(found[1]) if found else None,
            "line_number": self.line_number,
            "reason": self.reason,
            "raw": base64.b64encode(self.line).decode() if text is None else text,
            "raw_encoding": "base64" if text is None else "utf-8",
            "file": self.file,
        }


def prepare(files: Sequence[LineFile]) -> tuple[pa.Table, list[Refused]]:
    """Split lines into a table for the engine and those that it must not be given.

    The table has the columns topic, generation, partition, file, line_number (from 1), line.
    """
    rows: list[tuple[str, str, int, str, int, str]] = []
    refused: list[Refused] = []
    for file in files:
        place = (file.topic, file.generation, file.partition, file.listed.file)
        for number, line in enumerate(file.lines, start=1):
            reason = _objection(line)
            if reason:
                refused.append(Refused(*place, number, line, reason))
            else:
                rows.append((*place, number, line.decode()))
    columns = zip(*rows, strict=True) if rows else [()] * len(_TYPES)
    return pa.table(dict(zip(_TYPES, columns, strict=True)), schema=pa.schema(_TYPES)), refused


_TYPES: dict[str, pa.DataType] = {
    "topic": pa.string(),
    "generation": pa.string(),
    "partition": pa.int32(),
    "file": pa.string(),
    "line_number": pa.int64(),
    "line": pa.string(),
}


def depth(line: bytes) -> int:
    """Return how deep the line's brackets nest; a bracket inside a string does not count."""
    deepest = level = 0
    for bracket in _NOT_BRACKETS.sub(b"", _STRINGS.sub(b"", line)):
        level += 1 if bracket in b"[{" else -1
        deepest = max(deepest, level)
    return deepest


def _objection(line: bytes) -> str | None:
    if _text(line) is None:
        return "expected UTF-8"
    # Counting all brackets is cheap and bounds the depth from above; few lines need the scan.
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH and depth(line) > MAX_DEPTH:
        return f"expected at most {MAX_DEPTH} levels, found {depth(line)}"
    return None


def _text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None
