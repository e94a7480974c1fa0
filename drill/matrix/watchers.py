"""Two auditors that look every second of a row: nothing may change, no commit be ahead."""

import json
import sys
from pathlib import Path
from typing import Any, Final

from drill.matrix.auditors import COUNT
from drill.matrix.cluster import Cluster
from drill.matrix.errors import ViolatedError
from drill.matrix.process import Process

_END_S: Final = 60.0  # they list everything once more


class Watchers:
    """``python -m audit watch`` in processes of their own, from a row's begin to its end."""

    def __init__(self, cluster: Cluster, row: int) -> None:
        self._watchers = [_watcher(cluster, row, number) for number in range(1, COUNT + 1)]

    def start(self) -> None:
        """Begin to watch."""
        for process, _ in self._watchers:
            process.start()

    def require_ok(self) -> str:
        """End the watch; return a word on what was sampled.

        Raises:
            ViolatedError: a sample was not in order, or none could be taken.
        """
        for process, _ in self._watchers:
            process.terminate()
        seen = [_seen(process, report) for process, report in self._watchers]
        return _samples(seen[0])

    def end(self) -> None:
        """End the processes, whatever they saw."""
        for process, _ in self._watchers:
            process.end()


def _watcher(cluster: Cluster, row: int, number: int) -> tuple[Process, Path]:
    folder = cluster.layout.state / f"watcher-{number}"
    report = folder / f"row-{row}.json"
    command = [sys.executable, "-m", "audit", "watch", "--report", str(report)]
    own = {"TAPEHOUSE_STATE_DIR": str(folder)}
    return cluster.process(f"watcher-{number}", command, own), report


def _seen(process: Process, report: Path) -> dict[str, Any]:
    code = process.wait(_END_S)
    if code is None or not report.is_file():
        raise ViolatedError(f"{process.name}: no verdict ({code}); see {process.log}")
    found: dict[str, Any] = json.loads(report.read_text())
    if found["verdict"] != "ok":
        bad = {name: found[name] for name in ("I3", "I4")}
        raise ViolatedError(f"{process.name}: {found['verdict']}: {json.dumps(bad)[:600]}")
    return found


def _samples(found: dict[str, Any]) -> str:
    counts = [f"{name} {found[name]['samples']} times" for name in ("I3", "I4")]
    return f"{COUNT} watchers sampled {' and '.join(counts)}"
