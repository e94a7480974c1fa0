"""Several providers as one fetcher: each unit from the first that serves it.

Every unit begins with the first provider again. While that one is down, held or out of budget its
guard refuses at once, without a request, and lets the next request through when the time has come:
so the first is returned to by itself.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from ingestion import logs
from ingestion.clock import Clock
from ingestion.contracts.records import Message
from ingestion.contracts.topics import BATCH, QUOTES
from ingestion.sources.fetcher import Fetcher, Kind, Unit
from ingestion.sources.provider import (
    BudgetSpentError,
    Denied,
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
)
from ingestion.sources.source import Refused

# A key or plan that does not allow something will not a second later: what it does not allow is
# asked of that provider again after this.
DENIED_S: Final = 900.0
# Why a whole answer is a dead letter.
MALFORMED: Final = "malformed_answer"
TOPIC: Final[dict[Kind, str]] = {"bars": BATCH, "quote": QUOTES}


@dataclass(frozen=True)
class _Miss:
    """One provider that did not serve a unit."""

    name: str
    error: ProviderError


class RankedFetcher:
    """Fetchers in their order of preference. A unit is wholly of one of them.

    What a provider gave instead of an answer is returned as ``Refused`` before what the next one
    gave, under its provider's name; where no other serves the unit, by ``take_refused``.
    """

    def __init__(self, name: str, fetchers: Sequence[Fetcher], clock: Clock) -> None:
        self._name = name
        self._fetchers = tuple(fetchers)
        self._clock = clock
        self._log = logs.get("failover").bind(source=name)
        self._chosen: dict[Kind, str] = {}
        self._denied: dict[tuple[str | None, ...], float] = {}
        self._counts: Counter[str] = Counter()
        self._refused: list[Refused] = []

    @property
    def name(self) -> str:
        return self._name

    def serves(self, unit: Unit) -> bool:
        return any(fetcher.serves(unit) for fetcher in self._fetchers)

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        """Fetch a unit from the first that serves it.

        Raises:
            NoDataError: no provider has anything of it.
            DeniedError: no provider's key or plan allows it.
            BudgetSpentError: no provider has a request left for it, for so long.
            MalformedError: the last answer that was none, where nothing else is known.
            ProviderDownError: any mixture of these, and whatever else may pass.
        """
        misses: list[_Miss] = []
        unasked: list[str] = []
        for fetcher in self._fetchers:
            if not fetcher.serves(unit):
                unasked.append(f"{fetcher.name} does not have such units")
                continue
            if self._is_denied(fetcher.name, unit):
                unasked.append(f"{fetcher.name} has denied it just now")
                continue
            try:
                fetched = fetcher.fetch(unit)
            except ProviderError as error:
                misses.append(_Miss(fetcher.name, error))
                self._note_miss(misses[-1], unit)
            else:
                self._note_served(fetcher.name, unit, misses)
                return [*self.take_refused(), *(_named(one, fetcher.name) for one in fetched)]
        raise _of_all(misses, unasked, unit)

    def take_refused(self) -> list[Refused]:
        """Return what providers gave instead of answers and nobody has taken yet."""
        taken, self._refused = self._refused, []
        return taken

    def facts(self) -> Mapping[str, object]:
        theirs = {
            f"{fetcher.name}_{name}": value
            for fetcher in self._fetchers
            for name, value in fetcher.facts().items()
        }
        counted = {name: self._counts[name] for name in sorted({*self._counts, "changes"})}
        return counted | theirs

    def _note_miss(self, miss: _Miss, unit: Unit) -> None:
        error = miss.error
        what = "no_data" if isinstance(error, NoDataError) else "missed"
        self._counts[f"{what}_{miss.name}"] += 1
        if isinstance(error, DeniedError):
            denied = _of(miss.name, unit)[error.what]
            self._denied[denied] = self._clock.monotonic() + DENIED_S
        if isinstance(error, MalformedError) and error.body:
            refused = (error.body, TOPIC[unit.kind], MALFORMED, str(error))
            self._refused.append(Refused(*refused, miss.name, error.context))
        self._log.debug("missed", unit=str(unit), provider=miss.name, reason=str(error))

    def _note_served(self, name: str, unit: Unit, misses: Sequence[_Miss]) -> None:
        self._counts[f"served_{name}"] += 1
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

    def _first(self, unit: Unit) -> str:
        return next(fetcher.name for fetcher in self._fetchers if fetcher.serves(unit))

    def _is_denied(self, name: str, unit: Unit) -> bool:
        now = self._clock.monotonic()
        return any(now < self._denied.get(denied, now) for denied in _of(name, unit).values())


def _of(name: str, unit: Unit) -> Mapping[Denied, tuple[str | None, ...]]:
    """Return what a denial of a unit covers, by what was denied."""
    plan = (name, unit.kind, unit.interval)
    return {"key": (name,), "plan": plan, "symbol": (*plan, unit.symbol)}


def _named(made: Message | Refused, name: str) -> Message | Refused:
    return replace(made, source=name) if isinstance(made, Refused) else made


def _of_all(misses: Sequence[_Miss], unasked: Sequence[str], unit: Unit) -> ProviderError:
    """Return one error for all: of their common class, if they have one that says what to do."""
    text = f"{unit}: {', '.join(filter(None, [_reasons(misses), *unasked]))}"
    errors = [miss.error for miss in misses]
    denied = [error.what for error in errors if isinstance(error, DeniedError)]
    if len(denied) == len(errors):
        return DeniedError(text, what=denied[0] if len(set(denied)) == 1 else "symbol")
    if all(isinstance(error, NoDataError) for error in errors):
        return NoDataError(text)
    if all(isinstance(error, MalformedError) for error in errors):
        return MalformedError(text)  # without a body: those are among what was refused
    waits = [error.wait_s for error in errors if isinstance(error, BudgetSpentError)]
    if len(waits) == len(errors):
        return BudgetSpentError(text, min(waits))
    return ProviderDownError(text)


def _reasons(misses: Iterable[_Miss]) -> str:
    return ", ".join(f"{miss.name}: {miss.error}" for miss in misses)
