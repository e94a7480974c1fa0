"""What a job did, for people and for machines."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol


class Told(Protocol):
    """What every job tells in the end."""

    job: str

    def as_dict(self) -> dict[str, Any]:
        """Return it for a report file."""
        ...

    def line(self) -> str:
        """Return it for a person."""
        ...


@dataclass
class JobSummary:
    """Counts of one job; ``written`` is rows by table, ``rejected`` rows by reason."""

    job: str
    read: int = 0
    written: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    objects: int = 0
    files: int = 0
    commits: int = 0
    retries: int = 0
    seconds: float = 0.0

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

    def line(self) -> str:
        """Return one line for a person."""
        parts = [f"read {self.read:,}"]
        parts += [f"{name} +{rows:,}" for name, rows in sorted(self.written.items())]
        parts += [f"{reason} {rows:,}" for reason, rows in sorted(self.rejected.items())]
        parts += [f"files {self.files}", f"commits {self.commits}"]
        if self.retries:
            parts.append(f"started again {self.retries}x")
        return f"{self.job}: {', '.join(parts)}, {self.seconds:.1f} s"
