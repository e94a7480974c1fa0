"""Bronze, from the store itself: LIST for presence, the objects' bytes for what they hold."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from audit.chain import parse_key
from audit.listing import Store, Version
from audit.memory import Memory
from audit.model import Holdings, Partition, Valued
from audit.objects import Bronze, examine
from audit.offsets import expand
from audit.wanted import NOBODY, Wanted

_READERS = 4  # each holds about a megabyte of a body; the two cores are busy with fewer


@dataclass
class State:
    """What the bucket holds."""

    versioned: bool | None
    objects: dict[Partition, list[Bronze]]
    strangers: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    identities: dict[str, str] = field(default_factory=dict)
    remembered: dict[Partition, int] = field(default_factory=dict)
    """Where each chain ended at an earlier audit."""

    read: int = 0

    @cached_property
    def held(self) -> Holdings:
        """Return the offsets of the records per partition."""
        return {
            place: expand(span for item in items for span in item.runs)
            for place, items in self.objects.items()
        }

    @cached_property
    def valued(self) -> dict[Partition, Valued]:
        """Return the values that were asked for, sorted by offset."""
        return {place: _joined(items) for place, items in self.objects.items()}

    def ends(self) -> dict[Partition, int]:
        """Return where each partition's chain ends (exclusive)."""
        return {
            place: max((item.next or item.start for item in items), default=0)
            for place, items in self.objects.items()
        }


def read(
    store: Store,
    memory: Memory,
    full: bool = False,
    deep: bool = False,
    wanted: Wanted = NOBODY,
) -> State:
    """List the bucket, read what no earlier audit verified (everything if ``full``).

    An object that may hold a value that is ``wanted`` is read in any case.
    """
    versioned = store.versioned()
    listed = list(store.objects() if versioned is None else store.versions())
    current = [item for item in listed if item.latest and not item.marker]
    known = [item for item in current if parse_key(item.key)]
    found = _examine(store, known, memory, full or deep, deep, wanted)
    state = State(versioned, _by_partition(item for item, _ in found))
    state.read = sum(fresh for _, fresh in found)
    state.strangers = sorted({item.key for item in listed if not parse_key(item.key)})
    state.second, state.deleted = _histories(listed)
    state.vanished = memory.vanished(item.key for item in current)
    state.changed = memory.changed(item for item, _ in found)
    state.remembered = memory.ends()
    state.identities = {item.key: item.identity() for item in known}
    return state


def _examine(
    store: Store,
    listed: list[Version],
    memory: Memory,
    again: bool,
    deep: bool,
    wanted: Wanted,
) -> list[tuple[Bronze, bool]]:
    """Return every object with whether it was read now."""

    def one(version: Version) -> tuple[Bronze, bool]:
        before = None if again else memory.recall(version.key, version.identity())
        if before and not wanted.touches(before.partition, before.start, before.next):
            return before, False
        return _open(store, version, deep, wanted), True

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(one, listed))


def _open(store: Store, version: Version, deep: bool, wanted: Wanted) -> Bronze:
    parsed = parse_key(version.key)
    if parsed is None:
        raise ValueError(f"expected a bronze key, found {version.key!r}")
    with store.open(version) as (metadata, chunks):
        return examine(version.key, *parsed, metadata, chunks, deep, wanted)


def _joined(items: list[Bronze]) -> Valued:
    offsets = np.concatenate([item.valued.offsets for item in items])
    values = np.concatenate([item.valued.values for item in items])
    order = np.argsort(offsets, kind="stable")
    return Valued(offsets[order], values[order])


def _by_partition(found: Iterable[Bronze]) -> dict[Partition, list[Bronze]]:
    objects = defaultdict(list)
    for item in found:
        objects[item.partition].append(item)
    return {place: sorted(items, key=lambda item: item.start) for place, items in objects.items()}


def _histories(listed: list[Version]) -> tuple[list[str], list[str]]:
    """Return the keys with more than one version, and those with a delete marker."""
    written: dict[str, int] = defaultdict(int)
    for item in listed:
        written[item.key] += not item.marker
    deleted = {item.key for item in listed if item.marker}
    return sorted(key for key, count in written.items() if count > 1), sorted(deleted)


def remember(memory: Memory, state: State, violated: Collection[Partition]) -> None:
    """Keep what this audit found good: whole chains, agreeing with Kafka, written once."""
    doubtful = {*state.second, *state.deleted, *state.changed}
    memory.remember(
        (item, state.identities[item.key])
        for place, items in state.objects.items()
        if place not in violated and not any(item.key in doubtful for item in items)
        for item in items
    )
