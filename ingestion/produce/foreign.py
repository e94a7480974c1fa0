"""JSON lines that others wrote, through the contract check: what passes is sent byte for byte."""

from collections.abc import Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path
from select import select

from ingestion.clock import Clock
from ingestion.errors import SourceError
from ingestion.produce import outgoing
from ingestion.produce.dead_letters import MAX_VALUE_BYTES
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Stop
from ingestion.sources import message_line
from ingestion.sources.parsers import MESSAGE_LINE, PARSER_HEADER
from ingestion.sources.source import Refused

_CHUNK_BYTES = 2**16
# How soon a stop is noticed while nothing comes.
_LOOK_S = 0.05
# A line may name any source, also one whose own bodies are read otherwise.
_CONTEXT = ((PARSER_HEADER, MESSAGE_LINE),)


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
    found = message_line.judge(body)
    if isinstance(found, Refused):
        refused = replace(found, context=_CONTEXT)
        return outgoing.of_refused(refused, source, run_id, clock)
    return outgoing.of_message(*found)
