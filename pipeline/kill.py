"""Kills the lander while it holds records that bronze does not have yet."""

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ingestion.land.protocol import Partition
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import ProjectSettings, StoreSettings

Landed = Callable[[Partition, str], int]


class LanderKill:
    """Sends the lander one SIGKILL, at a moment when it provably holds unlanded records.

    The lander is stopped first, so that what it held can be counted: the position that it had
    reached in Kafka, by its last status, less the end of the chain in storage. It may have held
    more, never less. Supervisor starts it again.
    """

    def __init__(self, run: Path, landed: Landed) -> None:
        self._run = run
        self._landed = landed
        self.held: int | None = None

    def attempt(self) -> None:
        """Kill if something is held now; to be called again until ``held`` is set."""
        status = self._status() if self.held is None else None
        if status is None or not status["buffered_records"]:
            return
        os.kill(status["pid"], signal.SIGSTOP)
        try:
            held = self._unlanded(status)
            if held:
                os.kill(status["pid"], signal.SIGKILL)
                self.held = held
        finally:
            if self.held is None:  # also where storage could not be listed
                os.kill(status["pid"], signal.SIGCONT)

    def _status(self) -> Mapping[str, Any] | None:
        newest = max(
            self._run.glob("lander-*.json"), key=lambda path: path.stat().st_mtime, default=None
        )
        return json.loads(newest.read_text()) if newest else None

    def _unlanded(self, status: Mapping[str, Any]) -> int:
        return sum(
            max(0, row["position"] - self._landed(_partition(row), row["generation"]))
            for row in status["partitions"]
            if row["buffered_records"]
        )


def lander_kill() -> LanderKill:
    """Return the kill for the stack whose settings are in force."""
    settings = StoreSettings.load()
    store = BronzeStore(connect(settings, "lander", 1), settings.bronze_bucket)
    return LanderKill(ProjectSettings.load().state("run"), store.chain_end)


def _partition(row: Mapping[str, Any]) -> Partition:
    return Partition(row["topic"], row["partition"])
