"""Two independent auditors, each a process of its own with a memory of its own."""

import json
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from drill.matrix.cluster import Cluster
from drill.matrix.errors import RedError, UnjudgedError, ViolatedError
from drill.matrix.process import Process

COUNT: Final = 2
_AUDIT_S: Final = 180.0
_STAGES: Final = ("kafka", "bronze", "ledger")
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

    def acks(self) -> int:
        """Return how many confirmations of the producers' ledgers were compared."""
        return sum(one["expected"] or 0 for one in self.checks if one["name"] == _ACKED)

    def require(self, good: Collection[str], who: str) -> None:
        """Do nothing where the verdict is one of ``good``.

        Raises:
            ViolatedError: it is violated.
            UnjudgedError: it is neither.
        """
        if self.verdict in good:
            return
        kind: type[RedError] = ViolatedError if self.names() else UnjudgedError
        raise kind(f"{who}: {self.told()}", self.names())

    def told(self) -> str:
        """Return it in one line, with the first checks that do not hold."""
        shown = [f"{c['name']} {_place(c)}: {c['detail']}" for c in self.failed()[:_SHOWN]]
        more = len(self.failed()) - len(shown)
        return "; ".join([self.verdict, *shown, *([f"and {more} more"] if more > 0 else [])])


class Auditors:
    """Judges what is there, twice at the same time; both must say the same."""

    def __init__(self, cluster: Cluster, ledger: Path) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._folders = [cluster.layout.state / f"auditor-{n}" for n in range(1, COUNT + 1)]

    def judge(self, deep: bool = False) -> list[Verdict]:
        """Return what each of them finds now."""
        started = [self._start(number, folder, deep) for number, folder in enumerate(self._folders)]
        return [self._verdict(process, folder) for process, folder in started]

    def require_ok(self, least_acks: int, deep: bool = False) -> str:
        """Return a word on what was found good.

        Raises:
            ViolatedError: an auditor found something violated.
            UnjudgedError: one says anything else but ok, or compared fewer confirmations than
                the producers told of.
        """
        found = self.judge(deep)
        for one in found:
            one.require(["ok"], "auditor")
            require_acks(one, least_acks)
        return f"{len(found)} auditors: ok, {len(found[0].checks)} checks, {found[0].acks()} acks"

    def _start(self, number: int, folder: Path, deep: bool) -> tuple[Process, Path]:
        folder.mkdir(exist_ok=True)
        report = folder / "report.json"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-m", "audit", "--report", str(report)]
        command += ["--ledger", str(self._ledger)]
        command += [word for stage in _STAGES for word in ("--stage", stage)]
        command += ["--deep"] if deep else []
        own = {"TAPEHOUSE_STATE_DIR": str(folder)}
        process = self._cluster.process(f"auditor-{number + 1}", command, own)
        process.start()
        return process, report

    def _verdict(self, process: Process, report: Path) -> Verdict:
        code = process.wait(_AUDIT_S)
        if code is None:
            process.kill()
            raise UnjudgedError(f"{process.name} did not end within {_AUDIT_S:.0f} s")
        if not report.is_file():
            raise UnjudgedError(f"{process.name} ended with {code} and no verdict: {process.log}")
        found = json.loads(report.read_text())
        return Verdict(found["verdict"], found["checks"])


def require_acks(found: Verdict, least: int) -> None:
    """Require that an auditor has compared so many confirmations, or more.

    Raises:
        UnjudgedError: it has not.
    """
    if found.acks() < least:
        raise UnjudgedError(f"expected {least} acks compared at least, found {found.acks()}")


def _place(check: dict[str, Any]) -> str:
    return "" if check["topic"] is None else f"{check['topic']}/{check['partition']}"
