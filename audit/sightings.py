"""What was seen once has to stay (I3), and no commit may pass it (I4). Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from audit.chain import parse_key
from audit.listing import Version
from audit.model import EXAMPLES, Partition


@dataclass(frozen=True)
class Finding:
    """One violation: of which key or partition, and in words."""

    subject: str
    text: str


class Moment(NamedTuple):
    """When something was seen: for people, and in seconds of a clock that is never set."""

    at: str
    clock: float


@dataclass
class Tally:
    """How one invariant fared over all samples; a violation is kept once, with its first time."""

    seen_until: float
    """Since when nothing was seen, by the clock; at first the begin of the watch."""

    longest_blind_s: float = 0.0
    """The longest time without a sample, from the begin of the watch to its end."""

    first_at: str | None = None
    last_at: str | None = None
    samples: int = 0
    unknown: int = 0
    reason: str = ""
    """Why the latest sample that is unknown could not be taken."""

    _found: dict[Finding, tuple[str, int]] = field(default_factory=dict)

    def take(self, findings: Iterable[Finding], now: Moment) -> list[Finding]:
        """Count a sample; return the findings that are new."""
        self.samples += 1
        self.first_at, self.last_at = self.first_at or now.at, now.at
        self.end(now.clock)
        fresh = []
        for finding in findings:
            first, times = self._found.get(finding, (now.at, 0))
            self._found[finding] = (first, times + 1)
            fresh += [] if times else [finding]
        return fresh

    def miss(self, reason: str) -> None:
        """Count a sample that could not be taken."""
        self.unknown += 1
        self.reason = reason

    def end(self, clock: float) -> None:
        """Count the time in which nothing was seen, until now."""
        self.longest_blind_s = max(self.longest_blind_s, clock - self.seen_until)
        self.seen_until = clock

    @property
    def violations(self) -> int:
        """Return how many different violations were seen."""
        return len(self._found)

    def document(self) -> dict[str, Any]:
        """Return the tally as JSON values, with up to 20 examples."""
        examples = [
            {"subject": finding.subject, "what": finding.text, "first_at": first, "samples": times}
            for finding, (first, times) in list(self._found.items())[:EXAMPLES]
        ]
        return {
            "samples": self.samples,
            "unknown": self.unknown,
            "longest_blind_s": round(self.longest_blind_s, 3),
            "first_at": self.first_at,
            "last_at": self.last_at,
            "reason": self.reason,
            "violations": self.violations,
            "examples": examples,
        }


class Sightings:
    """Every key that LIST has shown, as it was when it was shown first."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}
        self._last: dict[Partition, str] = {}

    def __len__(self) -> int:
        return len(self._first)

    def places(self) -> list[Partition]:
        """Return the partitions, of any generation, that have an object."""
        return list(self._last)

    def last(self, place: Partition) -> str:
        """Return the last key of a partition's chain; empty where it has none yet."""
        return self._last.get(place, "")

    def see(self, listed: Iterable[Version], is_all: bool = False) -> list[Finding]:
        """Judge a listing and remember what is new in it; ``is_all``: nothing else is there."""
        histories: dict[str, list[Version]] = defaultdict(list)
        for version in listed:
            histories[version.key].append(version)
        found = [self._one(key, versions) for key, versions in histories.items()]
        gone = sorted(self._first.keys() - histories.keys()) if is_all else []
        vanished = [Finding(key, f"{key} was there and is not any more") for key in gone]
        return [*chain.from_iterable(found), *vanished]

    def _one(self, key: str, versions: list[Version]) -> list[Finding]:
        written = [version for version in versions if not version.marker]
        texts = []
        if len(written) < len(versions):
            texts.append(f"{key} was deleted")
        if len(written) > 1:
            texts.append(f"{key} was overwritten: it has {len(written)} versions")
        if written and self._meet(key, written[0].identity()) != written[0].identity():
            texts.append(f"{key} is not what it was: version, ETag, size or time differ")
        return [Finding(key, text) for text in texts]

    def _meet(self, key: str, identity: str) -> str:
        """Return a key's first identity, which is this one where the key is new."""
        if key not in self._first and (parsed := parse_key(key)):
            self._last[parsed[0]] = max(self.last(parsed[0]), key)
        return self._first.setdefault(key, identity)


def ahead(committed: Mapping[tuple[str, int], int], ends: Mapping[Partition, int]) -> list[Finding]:
    """Return the commits that are beyond what the store held after they were read.

    A topic that was created again may still have the commit of its former life: the furthest of
    its generations counts.
    """
    findings = []
    for (topic, partition), offset in sorted(committed.items()):
        lives = (end for place, end in ends.items() if place[::2] == (topic, partition))
        reached = max(lives, default=0)
        if offset > reached:
            name = f"{topic}/{partition}"
            findings.append(Finding(name, f"{name}: committed {offset}, bronze reaches {reached}"))
    return findings
