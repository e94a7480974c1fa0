"""What today's code says of a dead letter's body."""

from collections.abc import Sequence
from typing import NamedTuple

from ingestion.clock import Clock
from ingestion.contracts.records import Message
from ingestion.errors import TapehouseError
from ingestion.produce import outgoing
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.redrive.letters import Letter
from ingestion.sources.message_line import Encoded
from ingestion.sources.parsers import PARSER_HEADER, parser_of
from ingestion.sources.source import Refused


class Verdict(NamedTuple):
    """What is sent for a letter, or why it stays one.

    ``records`` are its messages, and new letters for the parts of its body that are still refused.
    """

    records: Sequence[Outgoing] = ()
    reason: str = ""
    detail: str = ""

    @property
    def passes(self) -> bool:
        """Whether the letter can be re-driven."""
        return not self.reason


def judge(letter: Letter, run_id: str, clock: Clock) -> Verdict:
    """Read a letter's body with what would read it today.

    A body of which nothing passes stays as it is, also one that gives nothing at all. One of which
    a part passes is done with: what is still refused of it becomes a letter of its own, of this
    run.
    """
    parse = parser_of(letter.fields)
    if parse is None:
        named = letter.fields[PARSER_HEADER]
        return Verdict((), "no_parser", f"nothing here reads bodies of {named!r}")
    try:
        made = parse(letter.body, letter.fields)
    except TapehouseError as error:
        return Verdict((), "unreadable", str(error))
    if not made:  # whoever takes it for done would never look at it again
        return Verdict((), "nothing", "expected a message, found nothing in it that is one")
    refused = [part for part in made if isinstance(part, Refused)]
    if len(refused) == len(made):
        return Verdict((), refused[0].reason, refused[0].detail)
    source = letter.fields.get("source", "")
    return Verdict([_record(part, source, run_id, clock) for part in made])


def _record(part: Message | Encoded | Refused, source: str, run_id: str, clock: Clock) -> Outgoing:
    if isinstance(part, Refused):
        return outgoing.of_refused(part, source, run_id, clock)
    return outgoing.of_message(*part) if isinstance(part, Encoded) else outgoing.of_message(part)
