"""Kills the lander while it holds records that bronze does not have yet."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from ingestion.clock import Clock, SystemClock
from ingestion.errors import StackError
from ingestion.land.protocol import Partition
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import ProjectSettings, StoreSettings

# A lander tells its state once a second and closes an object after two: what it held when the last
# record was sent is told by then, and a lander that is being started again has come up.
PATIENCE_S = 15.0
POLL_S = 0.1

_COMMAND = ["-m", "ingestion", "land"]
# A process's creation is known to a second, on Linux by the second in which the machine started.
_CREATION_S = 2.0

Status = Mapping[str, Any]
Landed = Callable[[Partition, str], int]


class LanderKill:
    """Sends the lander one SIGKILL, at a moment when it provably holds unlanded records.

    The lander is stopped first, so that what it held can be counted: the position that it had
    reached in Kafka, by its last status, less the end of the chain in storage. It may have held
    more, never less. Supervisor starts it again.

    A lander that died leaves its last status behind. That file is told from a running lander's by
    the process: it must live, be a lander, and be no younger than the status.
    """

    def __init__(self, run: Path, landed: Landed, clock: Clock) -> None:
        self._run = run
        self._landed = landed
        self._clock = clock
        self._is_seen = False
        self.held: int | None = None

    def attempt(self) -> None:
        """Kill if something is held now; to be called again until ``held`` is set."""
        if self.held is None:
            for status, lander in self._landers():
                self._is_seen = True
                if status["buffered_records"] and self._kills(status, lander):
                    return

    def finish(self, timeout_s: float = PATIENCE_S) -> int:
        """Go on attempting until a lander was killed; return how many records it held.

        Raises:
            StackError: there was no occasion; the text says whether there was a lander at all.
        """
        deadline = self._clock.monotonic() + timeout_s
        self.attempt()
        while self.held is None and self._clock.monotonic() < deadline:
            self._clock.sleep(POLL_S)
            self.attempt()
        if self.held is None:
            raise StackError(self._missed(timeout_s))
        return self.held

    def _kills(self, status: Status, lander: psutil.Process) -> bool:
        try:
            self._kill_if_holding(status, lander)
        except psutil.NoSuchProcess:
            return False  # ended by itself: the next one is looked for
        return self.held is not None

    def _kill_if_holding(self, status: Status, lander: psutil.Process) -> None:
        try:
            lander.suspend()
            held = self._unlanded(status)
            if held:
                lander.kill()
                self.held = held
        finally:
            if self.held is None:  # also where storage could not be listed
                with suppress(psutil.NoSuchProcess):
                    lander.resume()

    def _landers(self) -> Iterator[tuple[Status, psutil.Process]]:
        for path in self._files():
            status = _read(path)
            lander = _author(status) if status else None
            if status and lander:
                yield status, lander

    def _files(self) -> list[Path]:
        return sorted(self._run.glob("lander-*.json"))

    def _unlanded(self, status: Status) -> int:
        return sum(
            max(0, row["position"] - self._landed(_partition(row), row["generation"]))
            for row in status["partitions"]
            if row["buffered_records"]
        )

    def _missed(self, timeout_s: float) -> str:
        if self._is_seen:
            return (
                "expected the lander to hold a record that bronze did not have, found none while "
                f"records were sent and {timeout_s:.0f} s after"
            )
        dead = ", ".join(path.name for path in self._files()) or "none"
        return (
            f"expected the status file of a running lander in {self._run}, found none within "
            f"{timeout_s:.0f} s (of landers that ended: {dead}); `make status` shows the stack"
        )


def lander_kill() -> LanderKill:
    """Return the kill for the stack whose settings are in force."""
    settings = StoreSettings.load()
    store = BronzeStore(connect(settings, "lander", 1), settings.bronze_bucket)
    return LanderKill(ProjectSettings.load().state("run"), store.chain_end, SystemClock())


def _read(path: Path) -> Status | None:
    try:
        found: Status = json.loads(path.read_text())
    except FileNotFoundError:
        return None  # its lander has just ended and removed it
    return found


def _author(status: Status) -> psutil.Process | None:
    """Return the lander that wrote this, None where another process has its number by now."""
    updated = datetime.fromisoformat(status["updated_at"]).timestamp()
    try:
        process = psutil.Process(status["pid"])
        is_lander = _is_lander(process) and process.create_time() <= updated + _CREATION_S
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return process if is_lander else None


def _is_lander(process: psutil.Process) -> bool:
    words = process.cmdline()
    is_ours = process.uids().real == os.getuid()
    return is_ours and any(words[at : at + len(_COMMAND)] == _COMMAND for at in range(len(words)))


def _partition(row: Mapping[str, Any]) -> Partition:
    return Partition(row["topic"], row["partition"])
