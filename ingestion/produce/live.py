"""Sends what providers give: counted by provider, told of Kafka's answers, ended by a stop."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final

from ingestion.contracts.records import Message
from ingestion.produce.confirmed import Confirmed
from ingestion.produce.execute import Delivery, Plan, execute
from ingestion.produce.outgoing import Outgoing, outgoing
from ingestion.produce.providers import Providers
from ingestion.produce.ticks import ticking
from ingestion.sources.source import LiveSource, Refused

# A request that is under way when the run ends may take so long before its connection is closed.
_END_S: Final = 5.0


@dataclass
class Given:
    """How many messages, and how many refused bodies, each provider gave.

    ``sent`` are those of both that Kafka has confirmed, what a spool held of earlier runs included.
    """

    fetched: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)

    def told(self, record: Outgoing, is_confirmed: bool) -> None:
        """Hear of a record at its end."""
        if is_confirmed:
            name = dict(record.headers).get("source") or b""
            self.sent[name.decode() if isinstance(name, bytes) else name] += 1

    def counting(self, source: LiveSource) -> Iterator[Message | Refused | None]:
        """Pass on what a source gives."""
        for made in source.messages():
            if isinstance(made, Refused):
                self.refused[made.source or source.name] += 1
            elif made is not None:
                self.fetched[made.source] += 1
            yield made


def send(
    source: LiveSource,
    providers: Providers,
    delivery: Delivery,
    confirmed: Confirmed | None = None,
    done: Callable[[], tuple[int, int]] | None = None,
    ticks: bool = False,
) -> None:
    """Send what a source gives until it ends, and tell what became of it.

    ``confirmed`` counts what Kafka has confirmed, ``done`` tells how many of all symbols the source
    is done with. ``ticks`` is for a source that says nothing while it waits: it is read in a
    thread. A stop waits for the answer to a request that is under way, at most until it times out.

    Raises:
        as `execute`, and what the source raises.
    """
    run, given = providers.run, Given()

    def told(record: Outgoing, is_confirmed: bool) -> None:
        given.told(record, is_confirmed)
        if confirmed is not None:
            confirmed.told(record, is_confirmed)

    made = outgoing(given.counting(source), source.name, run.run_id, run.clock)
    with closing(_read(made, ticks)) as records:
        plan = Plan(
            source.name,
            run.run_id,
            records if confirmed is None else confirmed.passing(records),
            source.facts,
            delivery,
            is_live=True,
            ends_itself=True,
            stop=run.stop,
            told=told,
            providers=lambda: _facts(given, providers),
            done=done,
        )
        try:
            execute(plan, run.clock)
        finally:
            run.stop.requested = True  # also for what still waits in the source


def _read(made: Iterator[Outgoing | None], ticks: bool) -> Generator[Outgoing | None, None, None]:
    return ticking(made, _END_S) if ticks else (record for record in made)


def _facts(given: Given, providers: Providers) -> dict[str, Mapping[str, object]]:
    """Return each provider's row: what it gave, and what was asked of it."""
    guards = providers.facts()
    names = sorted({*guards, *given.fetched, *given.refused, *given.sent})
    return {
        name: {
            "fetched": given.fetched[name],
            "refused": given.refused[name],
            "sent": given.sent[name],
            **guards.get(name, {}),
        }
        for name in names
    }
