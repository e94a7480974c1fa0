"""What `maintain` did, or would do, for people and for machines."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from spark_jobs.report import Sample
from spark_jobs.upkeep import Files, State

_NONE: Final = Files()


@dataclass
class TableUpkeep:
    """What was done to one table, or would be; ``after`` and ``stored_after`` only where done."""

    before: State
    stored_before: Files
    tags: dict[str, int] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    rewritten: Files = _NONE
    rewritten_to: Files = _NONE
    are_manifests_rewritten: bool = False
    expired_snapshots: int = 0
    expired: Files = _NONE
    orphans: Files = _NONE
    after: State | None = None
    stored_after: Files | None = None

    @property
    def freed_bytes(self) -> int:
        """Bytes that left the store, or would."""
        return self.expired.bytes + self.orphans.bytes


# Name, help, and the number of a table.
_SAMPLES: Final[tuple[tuple[str, str, Callable[[TableUpkeep], int]], ...]] = (
    ("upkeep_data_files", "Data files that it found", lambda one: one.before.data.files),
    ("upkeep_data_bytes", "Bytes of these files", lambda one: one.before.data.bytes),
    ("upkeep_stored_bytes", "Bytes it found below the table", lambda one: one.stored_before.bytes),
    ("upkeep_snapshots", "Snapshots that it found", lambda one: one.before.snapshots),
    ("upkeep_rewritten_files", "Data files rewritten", lambda one: one.rewritten.files),
    ("upkeep_expired_snapshots", "Snapshots expired", lambda one: one.expired_snapshots),
    ("upkeep_orphan_files", "Files that nothing referred to", lambda one: one.orphans.files),
    ("upkeep_freed_bytes", "Bytes that left the store, or would", lambda one: one.freed_bytes),
)


@dataclass
class Summary:
    """What a run did, or would do, by table."""

    is_applied: bool
    tables: dict[str, TableUpkeep] = field(default_factory=dict)
    seconds: float = 0.0
    job: str = "maintain"

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for a report file."""
        counts = {
            name: asdict(one) | {"freed_bytes": one.freed_bytes}
            for name, one in self.tables.items()
        }
        freed = sum(one.freed_bytes for one in self.tables.values())
        head = {"job": self.job, "applied": self.is_applied, "freed_bytes": freed}
        return head | {"tables": counts, "seconds": round(self.seconds, 3)}

    def samples(self) -> Iterator[Sample]:
        """Yield what it found and did, by table, for Prometheus."""
        yield Sample("duration_seconds", "How long the last run took", self.seconds)
        yield Sample("upkeep_applied", "0 where it only told what it would do", self.is_applied)
        for name, text, number in _SAMPLES:
            for table, one in self.tables.items():
                yield Sample(name, text, number(one), ("table", table))

    def line(self) -> str:
        """Return one line per table, and one for all, for a person."""
        freed = sum(one.freed_bytes for one in self.tables.values())
        mode = "freed" if self.is_applied else "dry run (--apply does it), would free"
        lines = [_told(name, one) for name, one in self.tables.items()]
        return "\n".join([*lines, f"maintain: {mode} {_size(freed)}, {self.seconds:.1f} s"])


def _told(name: str, one: TableUpkeep) -> str:
    data = one.before.data
    parts = [f"{name}: {data.files} files {_size(data.bytes)}"]
    if one.after:
        parts[0] += f" -> {one.after.data.files} files {_size(one.after.data.bytes)}"
    parts += [f"rewritten {one.rewritten.files} files {_size(one.rewritten.bytes)}"]
    parts += ["manifests rewritten"] if one.are_manifests_rewritten else []
    left = one.after.snapshots if one.after else one.before.snapshots - one.expired_snapshots
    parts += [f"snapshots {one.before.snapshots} -> {left}"]
    parts += [f"expired {one.expired.files} files {_size(one.expired.bytes)}"]
    parts += [f"orphans {one.orphans.files} files {_size(one.orphans.bytes)}"]
    return ", ".join(parts)


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB"
