"""What a job did, for people and for machines."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from spark_jobs.commit import Staged

# Name, attribute of the summary, help.
_COUNTS: Final = (
    ("duration_seconds", "seconds", "How long the last run took, without the session's start"),
    ("read_records", "read", "Records that the last run read"),
    ("objects", "objects", "Bronze objects that the last run covered"),
    ("written_files", "files", "Data files that the last run wrote"),
    ("written_bytes", "bytes", "Bytes of these files"),
    ("commits", "commits", "Commits that the last run published"),
    ("retries", "retries", "How often the last run began again because another one had committed"),
)


class Sample(NamedTuple):
    """A number for Prometheus, and its label beside the job's name, if it has one."""

    name: str
    help: str
    value: float
    label: tuple[str, str] | None = None


class Told(Protocol):
    """What every job tells in the end."""

    job: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for a report file."""
        ...

    def line(self) -> str:
        """Return it for a person."""
        ...

    def samples(self) -> Iterator[Sample]:
        """Yield it for Prometheus; samples of one name follow each other."""
        ...


@dataclass
class JobSummary:
    """Counts of one job; ``written`` is rows by table, ``rejected`` rows by reason.

    ``bytes`` are those of the data files that it wrote.
    """

    job: str
    read: int = 0
    written: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    files: int = 0
    bytes: int = 0
    commits: int = 0
    retries: int = 0
    seconds: float = 0.0

    def add(self, staged: Staged) -> None:
        """Count a commit that has been published."""
        self.commits += 1
        self.files += staged.files
        self.bytes += staged.bytes
        self.written[staged.spec.name] += staged.rows

    @property
    def duplicates(self) -> int:
        """Records that were sent again."""
        return self.rejected["duplicate"]

    @property
    def conflicts(self) -> int:
        """Records that claim a known event_id with other data."""
        return self.rejected["conflict"]

    def as_dict(self) -> dict[str, Any]:
        """Return the summary for a report file."""
        counts = asdict(self) | {"written": dict(self.written), "rejected": dict(self.rejected)}
        return counts | {
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
            "seconds": round(self.seconds, 3),
        }

    def samples(self) -> Iterator[Sample]:
        """Yield the counts for Prometheus."""
        for name, attribute, text in _COUNTS:
            yield Sample(name, text, getattr(self, attribute))
        for table, rows in self.written.items():
            yield Sample("written_rows", "Rows that it wrote", rows, ("table", table))
        for reason, rows in self.rejected.items():
            yield Sample("rejected_records", "Rejects", rows, ("reason", reason))

    def line(self) -> str:
        """Return one line for a person."""
        refused = Counter(self.rejected)
        del refused["duplicate"]
        parts = [f"read {self.read:,}", _sum("written", self.written), _sum("rejected", refused)]
        parts += [f"duplicated {self.duplicates:,}"]
        parts += [f"files {self.files} ({self.bytes / 2**20:,.1f} MiB)", f"commits {self.commits}"]
        if self.retries:
            parts.append(f"started again {self.retries}x")
        return f"{self.job}: {', '.join(parts)}, {self.seconds:.1f} s"


def _sum(name: str, counts: Counter[str]) -> str:
    parts = ", ".join(f"{part} {count:,}" for part, count in sorted(counts.items()) if count)
    return f"{name} {counts.total():,}" + (f" ({parts})" if parts else "")
