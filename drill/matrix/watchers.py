"""Two auditors that look every second of a row: nothing may change, no commit be ahead."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from drill.matrix.auditors import COUNT
from drill.matrix.cluster import Cluster
from drill.matrix.errors import UnjudgedError, ViolatedError
from drill.matrix.process import Process

INVARIANTS: Final = ("I3", "I4")
_LEAST: Final = 5  # samples of each; the shortest row lasts some fifteen seconds
_END_S: Final = 60.0  # they list everything once more


class Watchers:
    """``python -m audit watch`` in processes of their own, from a row's begin to its end."""

    def __init__(self, cluster: Cluster, row: int) -> None:
        self._watchers = [_watcher(cluster, row, number) for number in range(1, COUNT + 1)]

    def start(self) -> None:
        """Begin to watch."""
        for process, _ in self._watchers:
            process.start()

    def require_ok(self, blind_s: Mapping[str, float]) -> str:
        """End the watch; return a word on what was sampled.

        Args:
            blind_s: for each invariant, how long there may have been no sample of it.

        Raises:
            ViolatedError: a sample was not in order.
            UnjudgedError: too few could be taken, or none for too long.
        """
        for process, _ in self._watchers:
            process.terminate()
        seen = [_seen(process, report) for process, report in self._watchers]
        for (process, _), found in zip(self._watchers, seen, strict=True):
            require_samples(process.name, found, blind_s)
        return _samples(seen[0])

    def end(self) -> None:
        """End the processes, whatever they saw."""
        for process, _ in self._watchers:
            process.end()


def _watcher(cluster: Cluster, row: int, number: int) -> tuple[Process, Path]:
    folder = cluster.layout.state / f"watcher-{number}"
    report = folder / f"row-{row}.json"
    command = [sys.executable, "-m", "audit", "watch", "--report", str(report)]
    command += ["--least-samples", str(_LEAST)]
    own = {"TAPEHOUSE_STATE_DIR": str(folder)}
    return cluster.process(f"watcher-{number}", command, own), report


def _seen(process: Process, report: Path) -> dict[str, Any]:
    code = process.wait(_END_S)
    if code is None or not report.is_file():
        raise UnjudgedError(f"{process.name}: no verdict ({code}); see {process.log}")
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def require_samples(name: str, found: Mapping[str, Any], blind_s: Mapping[str, float]) -> None:
    """Require that a watcher has found everything in order, and has looked often enough.

    Raises:
        ViolatedError: a sample was not in order.
        UnjudgedError: too few could be taken, or none for too long.
    """
    seen = {one: found[one] for one in INVARIANTS}
    told = f"{name}: {found['verdict']}: {json.dumps(seen)[:600]}"
    if violated := [one for one in INVARIANTS if seen[one]["violations"]]:
        raise ViolatedError(told, violated)
    if found["verdict"] != "ok":
        raise UnjudgedError(told)
    for one, limit in blind_s.items():
        if (blind := seen[one]["longest_blind_s"]) > limit:
            raise UnjudgedError(f"{name}: {one} was not sampled for {blind} s; {limit:.0f} allowed")


def _samples(found: dict[str, Any]) -> str:
    counts = [
        f"{name} {found[name]['samples']} times ({found[name]['unknown']} unknown, "
        f"none for {found[name]['longest_blind_s']} s at most)"
        for name in INVARIANTS
    ]
    return f"{COUNT} watchers sampled {' and '.join(counts)}"
