"""What became of a part of a drill, and the report that is kept of all of them."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ingestion.cli import write_report


@dataclass(kw_only=True)
class Outcome:
    """What became of one part; ``verdict`` is green or red."""

    verdict: str = "red"
    seconds: float = 0.0
    proofs: list[str] = field(default_factory=list)
    reason: str = ""

    def line(self, name: str) -> str:
        """Return what is told of the part that is called so."""
        told = self.reason or "; ".join(self.proofs)
        return f"{self.verdict:5} {name} ({self.seconds:.1f} s): {told}"


@dataclass(frozen=True)
class Reports:
    """Where a drill's report is kept, and what its parts are called there."""

    paths: Sequence[Path]
    parts: str
    began: float

    @classmethod
    def fresh(cls, folder: Path, also: Path | None, parts: str) -> "Reports":
        """Begin now; an earlier report is deleted."""
        paths = [folder / "report.json", *([also] if also else [])]
        for path in paths:
            path.unlink(missing_ok=True)
        return cls(paths, parts, time.monotonic())

    def write(self, outcomes: Sequence[Outcome], verdict: str) -> None:
        """Write what has become of the parts so far."""
        document = {
            "verdict": verdict,
            "seconds": round(time.monotonic() - self.began, 1),
            self.parts: [asdict(one) for one in outcomes],
        }
        for path in self.paths:
            write_report(path, document)
