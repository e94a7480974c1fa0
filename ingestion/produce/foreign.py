"""JSON lines that others wrote, through the contract check: what passes is sent byte for byte."""

from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from select import select
from typing import Any

import msgspec

from ingestion.clock import Clock
from ingestion.contracts import envelope
from ingestion.contracts.topics import TOPIC_OF_SCHEMA
from ingestion.errors import ContractError, SourceError
from ingestion.produce import outgoing
from ingestion.produce.dead_letters import MAX_VALUE_BYTES
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Stop
from ingestion.sources.source import Refused

_CHUNK_BYTES = 2**16
# How soon a stop is noticed while nothing comes.
_LOOK_S = 0.05


def read(
    path: Path, source: str, run_id: str, clock: Clock, stop: Stop | None = None
) -> Iterator[Outgoing]:
    r"""Read a file of JSON lines, split at ``\n`` only; an empty line is refused like any other.

    Args:
        path: the file.
        source: who is named as the giver of what is refused; a message names its own source.
        run_id: of the letters; a message carries its own.
        clock: when a line was refused.
        stop: where it is requested, what was read so far is given, to the end of its last line.

    Raises:
        SourceError: the file cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            for line in _lines(file, stop or Stop()):
                yield _judged(line, source, run_id, clock)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error


def _lines(file: FileIO, stop: Stop) -> Iterator[bytes]:
    """Split a file at its line ends; after a stop read no further than the line that was begun."""
    begun: list[bytes] = []
    for chunk in _chunks(file, stop):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        for other in others:
            yield b"".join(begun)
            begun = [other]
    if any(begun):
        yield b"".join([*begun, file.readline()]).removesuffix(b"\n")


def _chunks(file: FileIO, stop: Stop) -> Iterator[bytes]:
    """Read what there is, and never be at it when it comes after a stop: it would be lost."""
    while not stop.requested:
        ready, _, _ = select([file], [], [], _LOOK_S)
        if ready and not stop.requested:
            chunk = file.read(_CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


def _judged(body: bytes, source: str, run_id: str, clock: Clock) -> Outgoing:
    if len(body) > MAX_VALUE_BYTES:
        detail = f"expected at most {MAX_VALUE_BYTES} bytes, found {len(body)}"
        return outgoing.of_refused(Refused(body, "", "too_large", detail), source, run_id, clock)
    try:
        return outgoing.of_message(envelope.decode(body), body)
    except ContractError as error:
        refused = Refused(body, _meant_topic(body), "contract", str(error))
        return outgoing.of_refused(refused, source, run_id, clock)


def _meant_topic(body: bytes) -> str:
    """Return the topic of the schema that a broken message claims, empty where none can be told."""
    try:
        claimed: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    schema = claimed.get("schema") if isinstance(claimed, dict) else None
    return TOPIC_OF_SCHEMA.get(schema, "") if isinstance(schema, str) else ""
