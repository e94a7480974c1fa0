"""Events and actions in a line each, for the trace of a failing seed."""

from dataclasses import fields
from typing import Any, Final

from ingestion.land.lines import Chunk
from ingestion.land.protocol import Head, Partition

_LONGEST_GENERATION: Final = 4


def line(what: Any) -> str:  # noqa: ANN401 - any event or action of the protocol
    """Return an event's or action's name and fields, without the payloads."""
    words = [_word(field.name, getattr(what, field.name)) for field in fields(what)]
    return " ".join([type(what).__name__, *filter(None, words)])


def _word(name: str, value: Any) -> str:  # noqa: ANN401
    match value:
        case Partition():
            return str(value)
        case Chunk():
            return _range(value)
        case Head():
            return f"[{value.start}, {value.next}) {value.kind}"
        case tuple() if name == "partitions":
            return ", ".join(map(str, value))
        case tuple():
            return " ".join(map(_range, value))
        case None if name != "head":
            return ""
        case 0 if name == "attempt":
            return ""
    text = str(value)[-_LONGEST_GENERATION:] if name == "generation" else str(value)
    return f"{name}={text}"


def _range(chunk: Chunk) -> str:
    return f"{chunk.first}..{chunk.last} ({chunk.count})"
