"""Samples of I3 and I4 while others work: nothing seen changes, no commit is ahead of the store."""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import Any

from audit.errors import AuditError, UnreadableError
from audit.kafka import Kafka
from audit.listing import Patience, Store, Version, client
from audit.model import Partition, Status
from audit.run import TOPICS
from audit.settings import Settings
from audit.sightings import Moment, Sightings, Tally, ahead

# A sample that waits long is none: what does not answer at once is unknown at this moment.
_PATIENCE = Patience(connect_s=2, answer_s=5, attempts=1)
_KAFKA_S = 3.0
# All keys are listed again after this long, or after twenty times what a listing takes: looking
# costs at most a twentieth of the time however many objects there are.
_WHOLE_EVERY_S = 15.0
_WHOLE_SHARE = 20
_CLOSING_TRIES = 10
_POLL_S = 0.1


@dataclass(frozen=True)
class Options:
    """Whose commits are watched, how often, until when, and how much has to be seen."""

    group: str
    every_s: float = 1.0
    seconds: float | None = None
    until_file: Path | None = None
    least_samples: int = 1
    longest_blind_s: float | None = None
    """How long there may be no sample of an invariant; None: any time."""


@dataclass
class Watch:
    """What all samples together have shown."""

    options: Options
    began: Moment
    sightings: Sightings = field(default_factory=Sightings)
    shown: set[str] = field(default_factory=set)
    """The topics that Kafka has shown; those of others have commits that nobody tells us."""

    committed: set[tuple[str, int]] = field(default_factory=set)
    is_closed: bool = False
    """Whether the listing at the end was taken."""

    def __post_init__(self) -> None:
        """Nothing is seen of either invariant yet."""
        self.stays, self.commits = Tally(self.began.clock), Tally(self.began.clock)

    @property
    def verdict(self) -> Status:
        """Return violated, ok, or unknown where too little was seen."""
        if self.stays.violations or self.commits.violations:
            return "violated"
        return "unknown" if self.lacks() else "ok"

    def lacks(self) -> list[str]:
        """Return what would have to be seen as well before all is known to be in order."""
        tallies = {"I3": self.stays, "I4": self.commits}
        texts = [text for name, one in tallies.items() for text in _lacks(name, one, self.options)]
        hidden = sorted(set(TOPICS) - self.shown)
        texts += [f"I4: Kafka showed no topic {topic}, nor then its commits" for topic in hidden]
        if not self.committed:
            texts.append(f"group {self.options.group} has committed nothing")
        if not self.is_closed:
            texts.append(f"the listing at the end could not be taken: {self.stays.reason}")
        return texts

    def document(self) -> dict[str, Any]:
        """Return what was seen as JSON values."""
        return {
            "verdict": self.verdict,
            "started_at": self.began.at,
            "finished_at": _now().at,
            "group": self.options.group,
            "every_s": self.options.every_s,
            "least_samples": self.options.least_samples,
            "longest_blind_allowed_s": self.options.longest_blind_s,
            "lacks": self.lacks(),
            "closing_listing": self.is_closed,
            "I3": {**self.stays.document(), "keys": len(self.sightings)},
            "I4": {**self.commits.document(), "partitions": len(self.committed)},
        }

    def text(self) -> str:
        """Return what was seen in a few lines."""
        kept = f"{len(self.sightings)} keys stay as they are (I3)"
        led = f"the commits of {len(self.committed)} partitions are not ahead (I4)"
        lines = [_line(self.stays, kept), _line(self.commits, led)]
        lines += [f"unknown   {text}" for text in self.lacks()]
        unknown = f"unknown samples: {self.stays.unknown} of I3, {self.commits.unknown} of I4"
        return "\n".join([*lines, f"watch: {self.verdict.upper()} ({unknown})"])


def _lacks(name: str, tally: Tally, options: Options) -> Iterator[str]:
    if tally.samples < options.least_samples:
        yield f"{name}: expected {options.least_samples} samples or more, found {tally.samples}"
    limit, found = options.longest_blind_s, tally.longest_blind_s
    if limit is not None and found > limit:
        yield f"{name}: expected a sample at least every {limit:g} s, found none for {found:.1f} s"


def _line(tally: Tally, what: str) -> str:
    status = "violated" if tally.violations else "ok" if tally.samples else "unknown"
    counts = f"{tally.samples} samples, {tally.unknown} unknown, {tally.violations} violations"
    return f"{status:<8}  {what}: {counts}, none for at most {tally.longest_blind_s:.1f} s"


class Sampler:
    """Takes samples; a storage that does not answer makes the sample unknown."""

    def __init__(self, settings: Settings, options: Options, say: Callable[[str], None]) -> None:
        self.watch = Watch(options, _now())
        self._store = Store(settings, client(settings, _PATIENCE))
        self._kafka = Kafka(settings.kafka(), _KAFKA_S)
        self._say = say
        self._places: set[Partition] = set()
        self._ends: dict[Partition, tuple[str, int]] = {}
        self._lister: Callable[[str, str], Iterator[Version]] | None = None
        self._next_whole = 0.0

    def close(self) -> None:
        """Leave the broker."""
        self._kafka.close()

    def sample(self) -> None:
        """Read the commits, then the store; judge both."""
        committed = self._committed()  # before the store: what is landed meanwhile excuses nothing
        # Where partitions are not known, a commit may be of one with keys that no sample has shown.
        is_lost = committed is not None and not self._find_places()
        is_listed = self._list(is_whole=is_lost or time.monotonic() >= self._next_whole)
        self._judge(committed, is_listed)

    def closing(self) -> None:
        """Take the last sample, which lists everything; a store that comes back is waited for."""
        committed = self._committed()
        self._find_places()
        for _ in range(_CLOSING_TRIES):
            self.watch.is_closed = self._list(is_whole=True)
            if self.watch.is_closed:
                break
            time.sleep(self.watch.options.every_s)
        self._judge(committed, self.watch.is_closed)
        for tally in (self.watch.stays, self.watch.commits):
            tally.end(time.monotonic())

    def _committed(self) -> Mapping[tuple[str, int], int] | None:
        try:
            return self._kafka.committed(self.watch.options.group)
        except AuditError as error:
            self.watch.commits.miss(str(error))
            return None

    def _find_places(self) -> bool:
        """Ask which partitions there are; return whether Kafka told."""
        try:
            # A topic deleted since the last sample: its commits are still there, and reach what
            # was landed of it meanwhile. So a generation is looked at for as long as we watch.
            self._places |= set(self._kafka.partitions(TOPICS))
        except AuditError:
            return False
        self.watch.shown |= {place.topic for place in self._places}
        return True

    def _list(self, is_whole: bool) -> bool:
        """Look at every key, or at the new ones; return whether the store answered."""
        began = time.monotonic()
        sightings = self.watch.sightings
        try:
            listed = self._all() if is_whole else self._new()
            findings = sightings.see(listed, is_whole)
        except AuditError as error:
            self.watch.stays.miss(str(error))
            return False
        if is_whole:
            took = time.monotonic() - began
            self._next_whole = time.monotonic() + max(_WHOLE_EVERY_S, _WHOLE_SHARE * took)
        self._tell(self.watch.stays, findings)
        return True

    def _all(self) -> Iterable[Version]:
        return list(self._listed("", ""))  # whole or not at all: a part would show keys as gone

    def _new(self) -> Iterable[Version]:
        last, places = self.watch.sightings.last, {*self._places, *self.watch.sightings.places()}
        return list(chain.from_iterable(self._listed(_prefix(p), last(p)) for p in places))

    def _listed(self, prefix: str, after: str) -> Iterator[Version]:
        if self._lister is None:
            has_versions = self._store.versioned() is not None
            self._lister = self._store.versions if has_versions else self._store.objects
        return self._lister(prefix, after)

    def _judge(self, committed: Mapping[tuple[str, int], int] | None, is_listed: bool) -> None:
        if committed is None:
            return  # counted where it could not be read
        if not is_listed:
            self.watch.commits.miss(self.watch.stays.reason)
            return
        try:
            ends = {place: self._end(place) for place in self.watch.sightings.places()}
        except AuditError as error:
            self.watch.commits.miss(str(error))
            return
        self.watch.committed |= set(committed)
        self._tell(self.watch.commits, ahead(committed, ends))

    def _end(self, place: Partition) -> int:
        """Return where a chain ends; asked of the store once for each last key."""
        key = self.watch.sightings.last(place)
        if place not in self._ends or self._ends[place][0] != key:
            self._ends[place] = (key, self._next(key))
        return self._ends[place][1]

    def _next(self, key: str) -> int:
        text = self._store.metadata(key).get("next", "")
        if not (text.isascii() and text.isdigit()):
            raise UnreadableError(f"object {key}: expected a number in next, found {text!r}")
        return int(text)

    def _tell(self, tally: Tally, findings: Iterable[Any]) -> None:
        for finding in tally.take(findings, _now()):
            self._say(f"violated  {finding.text}")


def run(settings: Settings, options: Options, say: Callable[[str], None]) -> Watch:
    """Sample until the time is over, the file is there, or a signal asks for the end."""
    stop = threading.Event()
    sampler = Sampler(settings, options, say)
    with _stopped_by_signals(stop):
        say(f"watching bronze and the commits of group {options.group}")
        began = time.monotonic()
        while not _is_over(options, began, stop):
            next_at = time.monotonic() + options.every_s
            sampler.sample()
            _wait(options, began, stop, next_at)
        sampler.closing()
    sampler.close()
    return sampler.watch


def _wait(options: Options, began: float, stop: threading.Event, until: float) -> None:
    while time.monotonic() < until and not _is_over(options, began, stop):
        stop.wait(min(_POLL_S, max(0.0, until - time.monotonic())))


def _is_over(options: Options, began: float, stop: threading.Event) -> bool:
    return (
        stop.is_set()
        or (options.seconds is not None and time.monotonic() - began >= options.seconds)
        or (options.until_file is not None and options.until_file.exists())
    )


@contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """End the watch in order when asked to: what it has seen is worth a report."""

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _prefix(place: Partition) -> str:
    return f"{place.topic}/g={place.generation}/p={place.partition:05d}/"


def _now() -> Moment:
    return Moment(datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic())
