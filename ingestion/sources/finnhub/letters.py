"""Finnhub's dead letters: answers to a poll, frames of the stream, and single trades of those."""

from collections.abc import Mapping

from ingestion.contracts.records import Message
from ingestion.sources.finnhub import frames, quotes
from ingestion.sources.message_line import Encoded
from ingestion.sources.source import Refused


def parse(body: bytes, headers: Mapping[str, str]) -> list[Message | Encoded | Refused]:
    """Read a body again by what its headers say of it.

    Raises:
        ContractError: it is none, or they do not tell.
    """
    read = frames.parse if "frame" in headers else quotes.parse
    return read(body, headers)
