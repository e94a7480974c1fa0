"""A table's snapshots as its metadata tells them, and which of them nobody needs any more.

Pure: from the text of one metadata version, so that all that is decided fits together.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

MAIN: Final = "main"
OURS: Final = "tapehouse."
_LOADED: Final = "loaded_"
# The newest stay whatever their age: what the last commits did can be looked at.
_LATEST: Final = 3


@dataclass(frozen=True)
class Snapshot:
    """One snapshot; ``summary`` holds its properties too, times are milliseconds since 1970."""

    id: int
    parent: int | None
    sequence: int
    committed_ms: int
    summary: Mapping[str, str]


@dataclass(frozen=True)
class Ref:
    """A branch or a tag."""

    snapshot: int
    is_tag: bool
    max_age_ms: int | None


@dataclass(frozen=True)
class History:
    """All of one metadata version; ``became_head_ms`` is of snapshots that main was moved to."""

    head: int | None
    snapshots: Mapping[int, Snapshot]
    refs: Mapping[str, Ref]
    became_head_ms: Mapping[int, int]

    def lineage(self, snapshot: int | None) -> Iterator[Snapshot]:
        """Yield a snapshot and its ancestors, as far as they still exist."""
        while snapshot is not None and snapshot in self.snapshots:
            found = self.snapshots[snapshot]
            yield found
            snapshot = found.parent


def parse(text: str) -> History:
    """Read a table's metadata file, format version 2."""
    metadata = json.loads(text)
    head = metadata.get("current-snapshot-id", -1)
    return History(
        head=None if head in (-1, None) else head,
        snapshots={one["snapshot-id"]: _snapshot(one) for one in metadata.get("snapshots", ())},
        refs={
            name: Ref(ref["snapshot-id"], ref["type"] == "tag", ref.get("max-ref-age-ms"))
            for name, ref in metadata.get("refs", {}).items()
        },
        became_head_ms={
            entry["snapshot-id"]: entry["timestamp-ms"]
            for entry in metadata.get("snapshot-log", ())
        },
    )


def _snapshot(found: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        found["snapshot-id"],
        found.get("parent-snapshot-id"),
        found.get("sequence-number", 0),
        found["timestamp-ms"],
        found.get("summary", {}),
    )


def newest_with_properties(history: History) -> dict[str, Snapshot]:
    """Return for each property of ours the newest snapshot of main that carries it."""
    found: dict[str, Snapshot] = {}
    for snapshot in history.lineage(history.head):
        for name in snapshot.summary:
            if name.startswith(OURS):
                found.setdefault(name, snapshot)
    return found


def wanted_tags(history: History, pins: Mapping[str, int]) -> dict[str, int]:
    """Return the tags to be set or moved: what must outlive an expiry by anybody.

    The newest snapshot with each property of ours, and for each consumer in ``pins`` the snapshot
    that it has come to. The former never move back.
    """
    wanted = {
        f"kept_{name.removeprefix(OURS)}": snapshot.id
        for name, snapshot in newest_with_properties(history).items()
        if snapshot.sequence >= _tagged_sequence(history, f"kept_{name.removeprefix(OURS)}")
    }
    wanted |= {f"{_LOADED}{who}": one for who, one in pins.items() if one in history.snapshots}
    return {
        name: snapshot
        for name, snapshot in wanted.items()
        if name not in history.refs or history.refs[name].snapshot != snapshot
    }


def _tagged_sequence(history: History, name: str) -> int:
    ref = history.refs.get(name)
    snapshot = history.snapshots.get(ref.snapshot) if ref else None
    return snapshot.sequence if snapshot else 0


def consumers_tag(consumer: str) -> str:
    """Return the name of the tag that holds what a consumer has come to."""
    return f"{_LOADED}{consumer}"


def dead_branches(history: History, now_ms: int) -> list[str]:
    """Return the branches whose runs are long over: Iceberg drops them by the same rule."""
    return [
        name
        for name, ref in history.refs.items()
        if not ref.is_tag
        and name != MAIN
        and ref.max_age_ms is not None
        and ref.snapshot in history.snapshots
        and now_ms - history.snapshots[ref.snapshot].committed_ms > ref.max_age_ms
    ]


def expirable(
    history: History, needed: Collection[int], now_ms: int, older_than_ms: int
) -> list[int]:
    """Return the snapshots that may go, the oldest first.

    A snapshot of main may go when it has not been the head for ``older_than_ms``: somebody may
    have begun to read it in its last moment as head, however old its commit is. None may go to
    which somebody walks back from the head, nor what lies between: ``needed`` (what metrics have
    covered), what warehouses have loaded (tags), the newest snapshot with each property of ours.
    A snapshot that is not on main goes by the age of its commit, and never while a branch or tag
    holds it or grows from it.
    """
    main = list(history.lineage(history.head))
    kept = _held(history) | {snapshot.id for snapshot in main[: _walked(history, main, needed)]}
    left_ms = _left_head_ms(history, main)
    return [
        snapshot.id
        for snapshot in sorted(history.snapshots.values(), key=lambda one: one.sequence)
        if snapshot.id not in kept
        and now_ms - left_ms.get(snapshot.id, snapshot.committed_ms) > older_than_ms
    ]


def _held(history: History) -> set[int]:
    """Return the snapshots of refs, and of branches all down to main, what they grow from too."""
    main = {snapshot.id for snapshot in history.lineage(history.head)}
    held = {ref.snapshot for ref in history.refs.values()}
    for ref in history.refs.values():
        for snapshot in () if ref.is_tag else history.lineage(ref.snapshot):
            held.add(snapshot.id)
            if snapshot.id in main:
                break
    return held


def _walked(history: History, main: list[Snapshot], needed: Collection[int]) -> int:
    """Return how many of main's newest snapshots somebody walks along."""
    ends = {snapshot.id for snapshot in newest_with_properties(history).values()} | set(needed)
    ends |= {ref.snapshot for name, ref in history.refs.items() if name.startswith(_LOADED)}
    reached = [place for place, snapshot in enumerate(main, start=1) if snapshot.id in ends]
    return max([_LATEST, *reached])


def _left_head_ms(history: History, main: list[Snapshot]) -> dict[int, int]:
    """Return when each snapshot of main stopped being its head."""
    found: dict[int, int] = {}
    moved: int | None = None
    for newer, older in pairwise(main):
        # A commit that came with a branch became main's when main was moved to a later one.
        default = newer.committed_ms if moved is None else moved
        moved = history.became_head_ms.get(newer.id, default)
        found[older.id] = moved
    return found


@dataclass(frozen=True)
class Replaced:
    """A data file that a snapshot took out of its table; live from its own sequence number on."""

    bytes: int
    sequence: int
    by: int


def freed(
    history: History, expiring: Collection[int], replaced: Collection[Replaced]
) -> list[Replaced]:
    """Return the replaced data files that no snapshot holds once ``expiring`` are gone."""
    left = [one.sequence for one in history.snapshots.values() if one.id not in expiring]
    return [
        file
        for file in replaced
        if file.by in history.snapshots
        and not any(
            file.sequence <= sequence < history.snapshots[file.by].sequence for sequence in left
        )
    ]
