"""Pulls of bars: one round, or one after another for as long as the run lasts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from ingestion import logs
from ingestion.contracts.records import Message
from ingestion.errors import SourceError
from ingestion.produce.confirmed import Confirmed
from ingestion.produce.execute import Delivery
from ingestion.produce.live import send
from ingestion.produce.providers import Providers, Run
from ingestion.sources.progress import Progress
from ingestion.sources.pull import Pull, Windowed
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused

_SLICE_S: Final = 0.2


@dataclass(frozen=True)
class Wanted:
    """Which bars: ``days`` gives the first and the last session date, anew for each round."""

    symbols: Sequence[str]
    interval: str
    days: Callable[[], tuple[date, date]]
    every_s: float | None = None


class Rounds:
    """A live source: a pull, and where ``every_s`` is given the next one that long after its start.

    A symbol that was not served fails a single round at its end; of several it is told and asked
    for again in the next.
    """

    def __init__(
        self,
        fetcher: RankedFetcher,
        bars: Windowed,
        progress: Progress,
        wanted: Wanted,
        run: Run,
        confirmed: Confirmed,
    ) -> None:
        self._fetcher = fetcher
        self._bars = bars
        self._progress = progress
        self._wanted = wanted
        self._run = run
        self._confirmed = confirmed
        self._pull: Pull | None = None
        self._given = 0
        self._before = 0  # given by earlier rounds
        self._rounds = 0
        self._failed = 0
        self._log = logs.get("pulls").bind(source=fetcher.name)

    @property
    def name(self) -> str:
        return self._fetcher.name

    def messages(self) -> Iterator[Message | Refused | None]:
        """Pull until there is no further round, or a stop.

        Raises:
            SourceError: some symbol was not served in the only round.
        """
        every_s, clock = self._wanted.every_s, self._run.clock
        while True:
            began = clock.monotonic()
            yield from self._round()
            if every_s is None or self._run.stopping():
                return
            while not self._run.stopping() and clock.monotonic() - began < every_s:
                clock.sleep(_SLICE_S)
                yield None
            self.settle()

    def facts(self) -> Mapping[str, object]:
        pulled = self._pull.facts() if self._pull else self._fetcher.facts()
        return {"interval": self._wanted.interval, "rounds": self._rounds, **pulled}

    def done(self) -> tuple[int, int]:
        """Return how many symbols this round is done with, of how many."""
        return self._pull.n_done if self._pull else 0, len(self._wanted.symbols)

    def settle(self) -> None:
        """Write the progress of what Kafka has confirmed by now."""
        self._progress.settle(self._n_confirmed())

    def _round(self) -> Iterator[Message | Refused]:
        self._before, wanted = self._given, self._wanted
        self._rounds += 1
        self._pull = Pull(
            self._fetcher, self._bars, self._progress, wanted.symbols, wanted.interval,
            wanted.days(), self._n_confirmed,
        )  # fmt: skip
        try:
            for made in self._pull.messages():
                self._given += 1
                yield made
        except SourceError as error:
            if wanted.every_s is None:
                raise
            self._log.warning("round_incomplete", detail=str(error))

    def _n_confirmed(self) -> int:
        return self._confirmed.count() - self._before


def pull(
    providers: Providers, names: Sequence[str], name: str, wanted: Wanted, delivery: Delivery
) -> None:
    """Send bars of the first of the providers that serves each symbol.

    The progress is the first provider's: what another one served is asked of it again.

    Raises:
        SettingsError: a provider's key is not set.
        SourceBusyError: another process fetches the same; no other provider is asked instead.
        SourceError: a symbol was not served.
    """
    confirmed, run = Confirmed(), providers.run
    fetchers = [providers.bars(each) for each in names]
    with providers.progress(names[0], wanted.interval) as progress:
        bars = Windowed(fetchers[0], run.calendar, progress)
        ranked = RankedFetcher(name, [bars, *fetchers[1:]], run.clock)
        rounds = Rounds(ranked, bars, progress, wanted, run, confirmed)
        try:
            send(rounds, providers, delivery, confirmed, rounds.done, ticks=True)
        finally:
            rounds.settle()
