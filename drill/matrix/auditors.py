"""Two independent auditors, each a process of its own with a memory of its own."""

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from drill.matrix.cluster import Cluster
from drill.matrix.errors import RedError, UnjudgedError, ViolatedError

COUNT: Final = 2
# Not a limit on the auditor, which has all of a cluster to read: only that a drill ends.
_AUDIT_S: Final = 900.0
_SHOWN: Final = 2
_ACKED: Final = "ledger.acked"


@dataclass(frozen=True)
class Verdict:
    """One auditor's verdict, and the checks that do not hold."""

    verdict: str
    checks: list[dict[str, Any]] = field(default_factory=list)

    def failed(self) -> list[dict[str, Any]]:
        """Return the checks that are neither good nor skipped, the violated first."""
        failed = [one for one in self.checks if one["status"] not in ("ok", "skipped")]
        return sorted(failed, key=lambda one: one["status"] != "violated")

    def names(self) -> set[str]:
        """Return the names of the violated checks."""
        return {one["name"] for one in self.checks if one["status"] == "violated"}

    def opinion(self) -> tuple[object, ...]:
        """Return what two auditors of the same thing must agree upon."""
        judged = frozenset(one["name"] for one in self.checks)
        failed = frozenset((one["name"], _place(one), one["status"]) for one in self.failed())
        return self.verdict, judged, failed

    def acks(self) -> int:
        """Return how many confirmations of the producers' ledgers were compared."""
        return sum(one["expected"] or 0 for one in self.checks if one["name"] == _ACKED)

    def require(self, good: Collection[str], who: str) -> None:
        """Do nothing where the verdict is one of ``good``.

        Raises:
            ViolatedError: it is violated.
            UnjudgedError: it is neither.
        """
        if self.verdict not in good:
            kind: type[RedError] = ViolatedError if self.names() else UnjudgedError
            raise kind(f"{who}: {self.told()}", self.names())

    def require_acks(self, least: int) -> None:
        """Require that so many confirmations were compared, or more.

        Raises:
            UnjudgedError: they were not.
        """
        if self.acks() < least:
            raise UnjudgedError(f"expected {least} acks compared at least, found {self.acks()}")

    def told(self) -> str:
        """Return it in one line, with the first checks that do not hold."""
        shown = [f"{c['name']} {_place(c)}: {c['detail']}" for c in self.failed()[:_SHOWN]]
        more = len(self.failed()) - len(shown)
        return "; ".join([self.verdict, *shown, *([f"and {more} more"] if more > 0 else [])])


class Auditor:
    """``python -m audit``, under way."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        report: Path,
        words: Sequence[str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it; its verdict goes to ``report``, from which an older one is deleted first."""
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "audit", "--report", str(report), *words]
        self._report = report
        self._process = cluster.process(name, command, environment)
        self._process.start()

    def verdict(self, timeout_s: float) -> Verdict:
        """Wait for what it finds; one that takes longer is killed.

        Raises:
            UnjudgedError: it gives no verdict, or none in time.
        """
        process = self._process
        code = process.wait(timeout_s)
        if code is None:
            process.kill()
            raise UnjudgedError(f"{process.name} did not end within {timeout_s:.0f} s")
        if not self._report.is_file():
            raise UnjudgedError(f"{process.name} ended with {code} and no verdict: {process.log}")
        found = json.loads(self._report.read_text())
        return Verdict(found["verdict"], found["checks"])


class Auditors:
    """Judges what is there, twice at the same time."""

    def __init__(self, cluster: Cluster, ledger: Path) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._folders = [cluster.layout.state / f"auditor-{n}" for n in range(1, COUNT + 1)]

    def judge(self, deep: bool = False) -> list[Verdict]:
        """Return what each of them finds now; while records move they may differ."""
        started = [self._start(folder, deep) for folder in self._folders]
        return [one.verdict(_AUDIT_S) for one in started]

    def require_ok(self, least_acks: int, deep: bool = False) -> str:
        """Return a word on what was found good; nothing may move.

        Raises:
            ViolatedError: both found something violated.
            UnjudgedError: they differ, say anything else but ok, or compared fewer confirmations
                than the producer tells of.
        """
        found = self.judge(deep)
        if len({one.opinion() for one in found}) > 1:
            raise UnjudgedError(f"the auditors differ: {' / '.join(map(Verdict.told, found))}")
        for one in found:
            one.require(["ok"], "auditor")
            one.require_acks(least_acks)
        return f"{len(found)} auditors: ok, {len(found[0].checks)} checks, {found[0].acks()} acks"

    def _start(self, folder: Path, deep: bool) -> Auditor:
        folder.mkdir(exist_ok=True)
        words = ["--ledger", str(self._ledger), *stages("kafka", "bronze", "ledger")]
        words += ["--deep"] if deep else []
        own = {"TAPEHOUSE_STATE_DIR": str(folder)}
        return Auditor(self._cluster, folder.name, folder / "report.json", words, own)


def stages(*names: str) -> list[str]:
    """Return an auditor's options that have these stages judged."""
    return [word for name in names for word in ("--stage", name)]


def _place(check: dict[str, Any]) -> str:
    return "" if check["topic"] is None else f"{check['topic']}/{check['partition']}"
