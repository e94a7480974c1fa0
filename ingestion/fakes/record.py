"""What the servers remember: every request, every broken limit, every observation handed out."""

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import URL

from ingestion.clock import Clock, rfc3339
from ingestion.fakes.limits import Windows
from ingestion.fakes.script import Asked, Limit, Provider, Script

# About a day of 60 requests a minute; the counts go on.
_KEPT_REQUESTS: Final = 100_000
_NO_KEY: Final = "-"
_SECRET: Final = frozenset({"token", "apikey", "crumb"})

Value = str | int | float | None | list[str]


@dataclass(frozen=True)
class Observation:
    """One thing that a provider said: what it is, of which symbol and moment, and its values.

    ``time`` is as the provider writes it; ``identity`` tells equal trades apart (connection, frame,
    index) and is empty where time and values are the identity.
    """

    kind: str
    symbol: str
    time: str
    values: tuple[Value, ...]
    identity: str = ""


@dataclass(frozen=True)
class Asking:
    """One request, or one connection of a stream, as it was judged. The key is only hashed."""

    provider: Provider
    kind: Asked
    key: str
    path: str
    query: str
    at: str
    elapsed_s: float
    number: int
    broken: Limit | None


class Record:
    """Counts since the start or the last reset."""

    def __init__(self, clock: Clock, script: Script, keep_observations: bool = True) -> None:
        self._clock = clock
        self.script = script
        self._keep = keep_observations
        self.reset()

    def reset(self) -> None:
        """Forget everything; seconds and requests are counted anew."""
        self._since = self._clock.monotonic()
        self._windows: dict[tuple[Provider, str], Windows] = {}
        self._counts: Counter[tuple[Provider, Asked]] = Counter()
        self._statuses: Counter[tuple[Provider, str]] = Counter()
        self.requests: deque[dict[str, Any]] = deque(maxlen=_KEPT_REQUESTS)
        self.violations: list[dict[str, Any]] = []
        self._given: dict[tuple[Provider, Observation], int] = {}
        self._handed_out = 0
        self._withheld = 0
        self.disturbances: deque[dict[str, str]] = deque(maxlen=_KEPT_REQUESTS)

    def elapsed_s(self) -> float:
        """Return the real seconds since the start or the last reset."""
        return self._clock.monotonic() - self._since

    def asked(self, provider: Provider, on: Asked, key: str, url: URL) -> Asking:
        """Count a request and judge it by its key's limits."""
        self._counts[provider, on] += 1
        self._counts[provider, "any"] += 1
        hashed, elapsed = key_hash(key), self.elapsed_s()
        broken = self._windows_of(provider, hashed).broken_by(elapsed)
        at = rfc3339(self._clock.now())
        number = self._counts[provider, "any"]
        asking = Asking(provider, on, hashed, url.path, _query(url), at, elapsed, number, broken)
        if broken is not None:
            self.violations.append(asdict_of(asking) | {"limit": _limit(broken)})
        return asking

    def number(self, provider: Provider, on: Asked) -> int:
        """Return how many requests of this kind there have been."""
        return self._counts[provider, on]

    def used(self, asking: Asking, limit: Limit) -> int:
        """Return how much of a limit a key has used up."""
        return self._windows_of(asking.provider, asking.key).used(limit, self.elapsed_s())

    def answered(self, asking: Asking, status: str, given: Sequence[Observation]) -> None:
        """Note how a request ended, and what was handed out with it."""
        self._statuses[asking.provider, status] += 1
        self.requests.append(asdict_of(asking) | {"status": status, "observations": len(given)})
        self.handed_out(asking.provider, given)

    def handed_out(self, provider: Provider, given: Iterable[Observation]) -> None:
        """Note observations that have gone out."""
        for observation in given:
            self._handed_out += 1
            if self._keep:
                known = provider, observation
                self._given[known] = self._given.get(known, 0) + 1

    def withheld(self, given: Sequence[Observation]) -> None:
        """Note observations that a mute stream has kept from its client."""
        self._withheld += len(given)

    def disturbed(self, provider: Provider, on: Asked, body: bytes) -> None:
        """Note a body or frame that went out and is no answer: a payload, an error frame."""
        digest = hashlib.sha256(body).hexdigest()
        self.disturbances.append({"provider": provider, "kind": on, "sha256": digest})

    def observations(self, provider: str | None = None, kind: str | None = None) -> list[Any]:
        """Return every different observation and how often it was handed out."""
        return [
            {"provider": by, **asdict(given), "times": times}
            for (by, given), times in self._given.items()
            if provider in (None, by) and kind in (None, given.kind)
        ]

    def counts(self) -> dict[str, Any]:
        """Return the counts as a JSON document."""
        return {
            "elapsed_s": round(self.elapsed_s(), 3),
            "requests": {f"{by}.{on}": count for (by, on), count in self._counts.items()},
            "answers": {f"{by}.{status}": count for (by, status), count in self._statuses.items()},
            "violations": len(self.violations),
            "observations": len(self._given),
            "handed_out": self._handed_out,
            "withheld": self._withheld,
        }

    def _windows_of(self, provider: Provider, key: str) -> Windows:
        limits = self.script.limits_of(provider)
        return self._windows.setdefault((provider, key), Windows(limits, self.script.slack_s))


def asdict_of(asking: Asking) -> dict[str, Any]:
    """Return a request as a JSON document, without the limit that it may have broken."""
    document = asdict(asking)
    del document["broken"]
    return document


def key_hash(key: str) -> str:
    """Return what is noted of a key: enough to tell two apart."""
    return hashlib.sha256(key.encode()).hexdigest()[:12] if key else _NO_KEY


def _query(url: URL) -> str:
    pairs = parse_qsl(url.query, keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name not in _SECRET])


def _limit(limit: Limit) -> dict[str, float]:
    return {"requests": limit.requests, "seconds": limit.seconds}
