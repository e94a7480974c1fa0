"""A source of units of work, each from the first of several providers that serves it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from ingestion import logs
from ingestion.contracts.records import Message
from ingestion.errors import SourceAwayError, SourceError
from ingestion.sources.fetcher import Unit
from ingestion.sources.provider import ProviderError, StoppedError
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused

# An error text names so many units; the summary has their number.
_NAMED: Final = 5

# Told when all of a served unit was taken, with how many records were taken in the run so far.
OnTaken = Callable[[Unit, int], None]


class Failover:
    """A source of units.

    The next unit is asked for only when all of the one before was taken. A unit that nobody serves
    does not keep the others from being fetched; those not served when last asked make the source
    fail at its end.
    """

    def __init__(
        self, fetcher: RankedFetcher, units: Iterable[Unit], on_taken: OnTaken | None = None
    ) -> None:
        self._fetcher = fetcher
        self._units = units
        self._on_taken = on_taken
        self._log = logs.get("failover").bind(source=fetcher.name)
        self._asked = 0
        self._taken = 0
        self._unserved: dict[Unit, ProviderError] = {}

    @property
    def name(self) -> str:
        return self._fetcher.name

    def messages(self) -> Iterator[Message | Refused]:
        """Make the messages, unit by unit; a stop ends them between two units.

        Raises:
            SourceAwayError: no provider served some unit when last asked, and some may be later.
            SourceError: none of these will be.
        """
        try:
            for unit in self._units:
                yield from self._of(unit)
        except StoppedError:
            self._log.info("stopped")
        yield from self._fetcher.take_refused()
        self._raise_unserved()

    def facts(self) -> Mapping[str, object]:
        return {
            "units": self._asked,
            "unserved": len(self._unserved),
            **self._fetcher.facts(),
        }

    def _of(self, unit: Unit) -> Iterator[Message | Refused]:
        self._asked += 1
        try:
            made = self._fetcher.fetch(unit)
        except ProviderError as error:
            if unit not in self._unserved:  # the same unit may be asked for every few seconds
                self._log.warning("unserved", unit=str(unit), reasons=str(error))
            self._unserved[unit] = error
            yield from self._given(self._fetcher.take_refused())
            return
        self._unserved.pop(unit, None)
        yield from self._given(made)
        if self._on_taken is not None:
            self._on_taken(unit, self._taken)

    def _given(self, made: Iterable[Message | Refused]) -> Iterator[Message | Refused]:
        for one in made:
            self._taken += 1
            yield one

    def _raise_unserved(self) -> None:
        if not self._unserved:
            return
        named = [str(error) for error in list(self._unserved.values())[:_NAMED]]
        more = len(self._unserved) - len(named)
        may_pass = any(error.transient for error in self._unserved.values())
        kind = SourceAwayError if may_pass else SourceError
        raise kind(
            f"{self.name}: {len(self._unserved)} of {self._asked} units not served by any provider:"
            f" {'; '.join(named)}" + (f"; and {more} more" if more else "")
        )
