"""What understands a dead letter's body today, by the name that the letter carries.

A source that refuses bodies registers here the function that it reads them with: a pure function
of the body and of the letter's headers, so that the same letter always gives the same messages
with the same event_ids. What it needs beside the body (the symbol asked for, when the answer came)
goes into `Refused.context` when the body is refused, and comes back to it in ``headers``.
"""

from collections.abc import Callable, Mapping
from typing import Final

from ingestion.contracts.records import Message
from ingestion.sources import alphavantage, finnhub, message_line, recorded
from ingestion.sources.alphavantage import reader
from ingestion.sources.finnhub import letters
from ingestion.sources.message_line import Encoded
from ingestion.sources.source import Refused
from ingestion.sources.yahoo import messages as yahoo

# ``headers`` are the letter's, as text: run_id, failed_at, topic and the context among them.
Parser = Callable[[bytes, Mapping[str, str]], list[Message | Encoded | Refused]]

PARSER_HEADER: Final = "parser"
MESSAGE_LINE: Final = "message"

PARSERS: Final[Mapping[str, Parser]] = {
    MESSAGE_LINE: message_line.parse,
    recorded.NAME: recorded.parse,
    yahoo.NAME: yahoo.parse,
    finnhub.NAME: letters.parse,
    alphavantage.NAME: reader.parse,
}


def parser_of(headers: Mapping[str, str]) -> Parser | None:
    """Return what reads a letter's body; None where this release has nothing that does.

    A letter that names no parser is its source's, or a line of somebody whom we only know by name.
    """
    named = headers.get(PARSER_HEADER)
    if named is not None:
        return PARSERS.get(named)
    return PARSERS.get(headers.get("source", ""), message_line.parse)
