"""Messages to Kafka's bytes and back, and what goes beside a value: key, headers, topic."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NoReturn

import msgspec

from ingestion.contracts.records import MESSAGE_TYPES, Message, schema_name
from ingestion.contracts.topics import TOPIC_OF_SCHEMA
from ingestion.errors import ContractError

# Bronze takes a value for a document up to this depth; engines after it crash on deeper ones.
MAX_DEPTH: Final = 512

# What a Kafka client takes; ours are always bytes.
Headers = list[tuple[str, str | bytes | None]]

_TOPICS: Final = {kind: TOPIC_OF_SCHEMA[schema_name(kind)] for kind in MESSAGE_TYPES}

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return the message as one line of UTF-8 JSON, ``schema`` first."""
    return _encoder.encode(message)


def decode(body: bytes, decoder: "msgspec.json.Decoder[Any]" = _decoder) -> Message:
    """Read and check a message.

    ``decoder`` tells which records a message may be; those of ``records`` by default.

    Raises:
        ContractError: not UTF-8, not JSON, a repeated key, an unknown schema, or a missing or
            malformed field; the text says what was expected and found, and where.
    """
    try:
        message: Message = decoder.decode(body.decode())
    except UnicodeDecodeError as error:
        raise ContractError(f"expected UTF-8, found {error.reason} at byte {error.start}") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ContractError(f"not a valid message: {error}") from None
    # msgspec keeps the last of two equal keys, other parsers the first: the two would disagree.
    document = json.loads(
        body,
        object_pairs_hook=_refuse_repeated,
        parse_constant=_refuse_constant,
        # Nobody looks at the numbers, and Python refuses one of more than 4,300 digits.
        parse_int=str,
    )
    _refuse_deep(document)
    return message


def topic_of(message: Message) -> str:
    """Return the topic that the message's schema belongs to."""
    return _TOPICS[type(message)]


def key_of(message: Message) -> bytes:
    """Return the Kafka key: the symbol, so that a symbol's records keep their order."""
    return message.symbol.encode()


def headers_of(message: Message) -> Headers:
    """Return the Kafka headers: schema, source and run_id, readable without the value."""
    return [*_headers(type(message), message.source, message.run_id)]


# A run has a few of them, and every message needs its own list.
@lru_cache(maxsize=256)
def _headers(
    message_type: type[Message], source: str, run_id: str
) -> tuple[tuple[str, bytes], ...]:
    return (
        ("schema", schema_name(message_type).encode()),
        ("source", source.encode()),
        ("run_id", run_id.encode()),
    )


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ContractError(f"expected each key once, found {repeated!r} repeated")
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise ContractError(f"expected a finite number, found {text}")


def _refuse_deep(document: Any) -> None:  # noqa: ANN401 - any JSON value
    level, depth = [document], 0
    while containers := [value for value in level if isinstance(value, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ContractError(f"expected at most {MAX_DEPTH} levels of nesting, found more")
        level = [child for value in containers for child in _children(value)]


def _children(container: Any) -> Iterable[Any]:  # noqa: ANN401 - a JSON object or array
    return container.values() if isinstance(container, dict) else container
