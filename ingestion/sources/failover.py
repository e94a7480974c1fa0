"""Several providers behind one source: for each unit of work the first that has it.

Every unit begins with the first provider again. While that one is down, held or out of budget its
guard refuses at once, without a request, and lets the next request through when the time has come:
so the first is returned to by itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ingestion import logs
from ingestion.clock import Clock
from ingestion.contracts.records import Message
from ingestion.contracts.topics import BATCH, QUOTES
from ingestion.errors import SourceError
from ingestion.sources.fetcher import Fetcher, Kind, Unit
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderError,
    StoppedError,
)
from ingestion.sources.source import Refused

# A key or plan that does not allow something will not a second later: what it does not allow is
# asked of that provider again after this.
DENIED_S: Final = 900.0
_TOPIC: Final[dict[Kind, str]] = {"bars": BATCH, "quote": QUOTES}
# An error text names so many units; the summary has their number.
_NAMED: Final = 5

# Told when all of a unit was taken: by whom it was served, None where nobody had it.
OnUnit = Callable[[Unit, str | None], None]


@dataclass(frozen=True)
class _Miss:
    """One provider that did not serve a unit."""

    name: str
    error: ProviderError


class Failover:
    """A source of units, each from the first of ``fetchers`` that serves it.

    None among the units is passed on: a live source's silence. The next unit is asked for only
    when all of the one before was taken. A unit that nobody serves does not keep the others from
    being fetched; those left unserved at the end make it fail.
    """

    def __init__(
        self,
        name: str,
        fetchers: Sequence[Fetcher],
        units: Iterable[Unit | None],
        clock: Clock,
        on_unit: OnUnit | None = None,
    ) -> None:
        self._name = name
        self._fetchers = tuple(fetchers)
        self._units = units
        self._clock = clock
        self._on_unit = on_unit
        self._log = logs.get("failover").bind(source=name)
        self._chosen: dict[Kind, str] = {}
        self._denied: dict[tuple[str, Kind, str | None], float] = {}
        self._unserved: dict[Unit, str] = {}
        self._counts: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return self._name

    def messages(self) -> Iterator[Message | Refused | None]:
        """Make the messages, unit by unit; a stop ends them between two units.

        Raises:
            SourceError: no provider served some unit, when last asked.
        """
        try:
            for unit in self._units:
                if unit is None:
                    yield None
                else:
                    yield from self._of(unit)
        except StoppedError:
            self._log.info("stopped")
        self._raise_unserved()

    def facts(self) -> Mapping[str, object]:
        own = {name: self._counts[name] for name in ("units", "changes")}
        counted = {name: self._counts[name] for name in sorted(self._counts) if name not in own}
        theirs = {
            f"{fetcher.name}_{name}": value
            for fetcher in self._fetchers
            for name, value in fetcher.facts().items()
        }
        return own | counted | {"unserved": len(self._unserved)} | theirs

    def _of(self, unit: Unit) -> Iterator[Message | Refused]:
        self._counts["units"] += 1
        misses: list[_Miss] = []
        served_by = None
        for fetcher in self._fetchers:
            if not fetcher.serves(unit) or self._is_denied(fetcher, unit):
                continue
            try:
                fetched = fetcher.fetch(unit)
            except ProviderError as error:
                miss = _Miss(fetcher.name, error)
                misses.append(miss)
                self._note_miss(miss, unit)
                yield from _dead_letter(miss, unit)
                continue
            served_by = fetcher.name
            self._note_served(served_by, unit, misses)
            yield from _from(served_by, fetched)
            break
        else:
            self._note_unserved(unit, misses)
        if self._on_unit is not None:
            self._on_unit(unit, served_by)

    def _note_miss(self, miss: _Miss, unit: Unit) -> None:
        what = "no_data" if isinstance(miss.error, NoDataError) else "missed"
        self._counts[f"{what}_{miss.name}"] += 1
        if isinstance(miss.error, DeniedError):
            until = self._clock.monotonic() + DENIED_S
            self._denied[miss.name, unit.kind, unit.interval] = until
        self._log.debug("missed", unit=str(unit), provider=miss.name, reason=str(miss.error))

    def _note_served(self, name: str, unit: Unit, misses: Sequence[_Miss]) -> None:
        self._counts[f"served_{name}"] += 1
        self._unserved.pop(unit, None)
        # A symbol that one provider does not have says nothing of that provider.
        if misses and all(isinstance(miss.error, NoDataError) for miss in misses):
            return
        before = self._chosen.get(unit.kind, self._first(unit))
        self._chosen[unit.kind] = name
        if before == name:
            return
        self._counts["changes"] += 1
        self._log.warning(
            "provider_changed", kind=unit.kind, before=before, after=name, reasons=_reasons(misses)
        )

    def _note_unserved(self, unit: Unit, misses: Sequence[_Miss]) -> None:
        why = _reasons(misses) or "no provider has such units, or each one denied them just now"
        if unit not in self._unserved:  # a poll would say it every few seconds
            self._log.warning("unserved", unit=str(unit), reasons=why)
        self._unserved[unit] = why

    def _first(self, unit: Unit) -> str:
        return next(fetcher.name for fetcher in self._fetchers if fetcher.serves(unit))

    def _is_denied(self, fetcher: Fetcher, unit: Unit) -> bool:
        until = self._denied.get((fetcher.name, unit.kind, unit.interval))
        return until is not None and self._clock.monotonic() < until

    def _raise_unserved(self) -> None:
        if not self._unserved:
            return
        named = [f"{unit} ({why})" for unit, why in list(self._unserved.items())[:_NAMED]]
        more = len(self._unserved) - len(named)
        tail = f" and {more} more" if more else ""
        raise SourceError(
            f"{self._name}: {len(self._unserved)} units not served by any provider: "
            f"{'; '.join(named)}{tail}"
        )


def _from(name: str, fetched: Iterable[Message | Refused]) -> Iterator[Message | Refused]:
    for made in fetched:
        yield replace(made, source=name) if isinstance(made, Refused) else made


def _dead_letter(miss: _Miss, unit: Unit) -> Iterator[Refused]:
    """Keep what a provider gave instead of what it documents."""
    error = miss.error
    if isinstance(error, MalformedError) and error.body:
        yield Refused(error.body, _TOPIC[unit.kind], "malformed_answer", str(error), miss.name)


def _reasons(misses: Iterable[_Miss]) -> str:
    return ", ".join(f"{miss.name}: {miss.error}" for miss in misses)
