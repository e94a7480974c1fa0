"""A message that somebody else encoded, as one JSON document: what passes keeps its bytes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from ingestion.contracts import envelope
from ingestion.contracts.records import Message
from ingestion.contracts.topics import TOPIC_OF_SCHEMA
from ingestion.errors import ContractError
from ingestion.sources.source import Refused


class Encoded(NamedTuple):
    """A valid message and the bytes in which it came; those are sent, never encoded again."""

    message: Message
    body: bytes


def judge(body: bytes) -> Encoded | Refused:
    """Return the message in ``body``, or why it is none."""
    try:
        return Encoded(envelope.decode(body), body)
    except ContractError as error:
        return Refused(body, _meant_topic(body), "contract", str(error))


def parse(body: bytes, headers: Mapping[str, str]) -> list[Message | Encoded | Refused]:
    """Judge a dead letter's body; its headers have nothing to say about it."""
    return [judge(body)]


def _meant_topic(body: bytes) -> str:
    """Return the topic of the schema that a broken message claims, empty where none can be told."""
    try:
        claimed: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return ""
    schema = claimed.get("schema") if isinstance(claimed, dict) else None
    return TOPIC_OF_SCHEMA.get(schema, "") if isinstance(schema, str) else ""
