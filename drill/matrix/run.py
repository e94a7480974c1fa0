"""Plays rows one after another on one cluster, and judges each."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from drill.matrix.auditors import Auditors
from drill.matrix.cluster import Cluster
from drill.matrix.errors import RedError, StuckError
from drill.matrix.row import Outcome, Row
from drill.matrix.sight import Sight
from drill.matrix.stage import Options, Stage
from drill.matrix.waiting import until

_WHOLE_S = 90.0


class Run:
    """The rows' common ground: cluster, ledger, auditors."""

    def __init__(self, cluster: Cluster, options: Options, folder: Path) -> None:
        self._cluster = cluster
        self._options = options
        self._folder = folder
        self._sight = Sight(cluster)
        self._auditors = Auditors(cluster, folder / "ledger")

    def play(self, rows: Iterable[Row], tell: Callable[[Outcome], None]) -> list[Outcome]:
        """Return what became of each row; told as soon as it is known."""
        outcomes = []
        for row in rows:
            outcomes.append(self._play(row))
            tell(outcomes[-1])
        return outcomes

    def deep(self) -> str:
        """Have everything compared byte for byte.

        Raises:
            ViolatedError: an auditor says anything but ok.
        """
        return self._auditors.require_ok(deep=True)

    def _play(self, row: Row) -> Outcome:
        stage = Stage(
            self._cluster, self._sight, self._auditors, self._options, self._folder, row.number
        )
        outcome = Outcome(row.number, row.fault, proofs=stage.proofs, notes=stage.notes)
        began = time.monotonic()
        try:
            self._judge(row, stage, outcome)
            outcome.verdict = "green"
        except RedError as error:
            outcome.kind, outcome.reason = error.kind, str(error)
        finally:
            stage.clear()
            outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    def _judge(self, row: Row, stage: Stage, outcome: Outcome) -> None:
        stage.begin()
        row.play(stage)
        until(self._cluster.is_whole, _WHOLE_S, "every broker follows", StuckError)
        outcome.recovery_s = round(stage.catch_up(), 1)
        stage.drain()
        outcome.audit = self._auditors.require_ok(row.deep)
