"""Plays rows one after another on one cluster, and judges each."""

import time
import traceback
from dataclasses import replace
from pathlib import Path

from drill.matrix.auditors import Auditors
from drill.matrix.cluster import Cluster
from drill.matrix.errors import RedError, SkippedError
from drill.matrix.row import Outcome, Row
from drill.matrix.sight import Sight
from drill.matrix.stage import Options, Stage


class Run:
    """The rows' common ground: cluster, ledger, auditors."""

    def __init__(self, cluster: Cluster, options: Options, folder: Path) -> None:
        self._cluster = cluster
        self._options = options
        self._folder = folder
        self._sight = Sight(cluster)
        self._auditors = Auditors(cluster, folder / "ledger")
        self._confirmed = 0  # records of all rows so far, by the producers' own count

    def deep(self) -> str:
        """Have everything compared byte for byte.

        Raises:
            RedError: an auditor says anything but ok.
        """
        return self._auditors.require_ok(self._confirmed, deep=True)

    def play(self, row: Row) -> Outcome:
        """Return what became of a row."""
        options = replace(self._options, rate=row.rate or self._options.rate)
        stage = Stage(self._cluster, self._sight, self._auditors, options, self._folder, row.number)
        outcome = Outcome(row.number, row.fault)
        outcome.proofs, outcome.reactions = stage.proofs, stage.reactions
        outcome.remarks = stage.remarks
        began = time.monotonic()
        try:
            self._judge(row, stage, outcome)
            outcome.watched = stage.watched()
            stage.require_whole()
            outcome.verdict = "green"
        except RedError as error:
            outcome.verdict, outcome.kind, outcome.reason = "red", error.kind, str(error)
            outcome.checks = sorted(error.checks)
        except SkippedError as error:
            outcome.verdict, outcome.kind, outcome.reason = "skipped", "not here", str(error)
        except Exception as error:  # the drill's own: red too, and the rows after it are played
            traceback.print_exc()
            outcome.kind, outcome.reason = "error", f"{type(error).__name__}: {error}"
        finally:
            stage.clear()
            outcome.notes = stage.notes
            outcome.seconds = round(time.monotonic() - began, 1)
        return outcome

    def _judge(self, row: Row, stage: Stage, outcome: Outcome) -> None:
        stage.begin()
        row.play(stage)
        outcome.recovery_s = stage.catch_up()
        self._cluster.settle()
        stage.drain()
        self._confirmed += stage.sent()["delivered"]
        outcome.audit = self._auditors.require_ok(self._confirmed, row.deep)
