"""One process of the drill: started, killed, frozen, thawed; what it says goes to a log."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from ingestion.settings import ROOT

_END_S: Final = 20.0


class Process:
    """An operating-system process that may be started more than once under its name."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._environment = dict(environment)
        self._popen: subprocess.Popen[bytes] | None = None
        self.told: signal.Signals | None = None
        """What the last start was told to end by."""

    @property
    def pid(self) -> int:
        """The process id of the last start."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """How the last start ended, a signal as a negative number; None while it runs."""
        return self._started().poll()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def is_frozen(self) -> bool:
        """Whether every thread of it stands still after SIGSTOP."""
        if not self.is_running:
            return False
        return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED

    def start(self) -> None:
        """Start it; in a session of its own, so that a Ctrl-C at the drill is the drill's."""
        self.told = None
        with self.log.open("ab") as out:
            self._popen = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Send SIGKILL and wait until it is gone."""
        self.told = signal.SIGKILL
        self._kill()

    def was_killed(self) -> bool:
        """Tell whether it ended by SIGKILL."""
        return self.exit_code == -signal.SIGKILL

    def terminate(self) -> None:
        """Send SIGTERM, once: a second one may come when Python has given up its handlers."""
        if self.told is None:
            self.told = signal.SIGTERM
            self._started().terminate()

    def freeze(self) -> None:
        """Send SIGSTOP: it stands still, its connections stay open."""
        self._started().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Send SIGCONT: it goes on where it stood."""
        self._started().send_signal(signal.SIGCONT)

    def wait(self, timeout_s: float) -> int | None:
        """Return the exit code; None when it still runs after ``timeout_s``."""
        try:
            return self._started().wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> None:
        """End it in the usual way, by force where that takes too long."""
        if not self.is_running:
            return
        self.thaw()
        self.terminate()
        if self.wait(_END_S) is None:
            self._kill()

    def reap(self) -> None:
        """Take note of its end, whoever ended it."""
        if self._popen is not None:
            self._popen.wait()

    def _kill(self) -> None:
        self._started().kill()
        self._started().wait()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise ValueError(f"{self.name} was never started")
        return self._popen
