"""How an adapter is asked for one unit of work, so that another provider may be asked instead.

A unit is fetched whole before anything of it is passed on: what one provider gave of a unit before
it failed is never mixed with what the next one gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

from ingestion.contracts.records import Message
from ingestion.sources.source import Refused

Kind = Literal["bars", "quote"]


@dataclass(frozen=True, slots=True)
class Unit:
    """One symbol's bars (with the splits and dividends in the range), or one poll of its quote.

    ``start`` and ``end`` are session dates, both inclusive, and ``interval`` is the contract's
    (``1d``, ``1m``); all three are None for a quote. ``symbol`` is the project's own ticker
    (``BRK.B``); an adapter spells it as its provider does and puts the project's in the messages.
    """

    kind: Kind
    symbol: str
    start: date | None = None
    end: date | None = None
    interval: str | None = None

    def __str__(self) -> str:
        span = f" {self.interval} {self.start}..{self.end}" if self.interval else ""
        return f"{self.symbol} {self.kind}{span}"


class Fetcher(Protocol):
    """One provider's adapter, asked for one unit at a time."""

    @property
    def name(self) -> str:
        """The ``source`` of its messages."""
        ...

    def serves(self, unit: Unit) -> bool:
        """Tell, without asking the provider, whether it has such units at all."""
        ...

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        """Fetch a unit whole, in the order in which its messages are to be sent.

        It takes as many guarded requests as the provider needs for it. Single records of an answer
        that are no valid message are ``Refused``; an answer that is as a whole not what the
        provider documents is a MalformedError with its body.

        Raises:
            ProviderError: the unit could not be fetched; nothing of it is kept.
        """
        ...

    def facts(self) -> Mapping[str, object]:
        """Return what a summary should say of what was fetched so far."""
        ...
