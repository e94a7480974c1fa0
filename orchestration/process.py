"""A command as a process of its own: its lines while they come, its report, its end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ingestion.settings import ROOT
from orchestration.run import TRY_AGAIN

_TAIL_LINES: Final = 12
_STOP_WAIT_S: Final = 20.0
_POLL_S: Final = 0.05
_LOOK: Final = 0  # as a signal: sends none, and fails where nobody is left


@dataclass(frozen=True)
class Done:
    """How a command ended: its exit code (negative: the signal), its last lines, its report.

    ``seconds`` are from its process's start to its end. ``is_stopped``: somebody called `stop`.
    """

    code: int
    tail: str
    report: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    is_stopped: bool = False

    @property
    def cut_short(self) -> str:
        """Return what tells that it was ended before its time; nothing where it was not.

        Its exit code does not: who takes SIGTERM as a wish leaves the rest undone and exits with 0.
        """
        if self.is_stopped:
            return "stopped with its task"
        return "`interrupted` in its report" if self.report.get("interrupted") else ""

    def is_transient(self, codes: Sequence[int]) -> bool:
        """Tell whether trying again may help.

        It may where the command says so, where ``codes`` has its exit code, and where it did not
        end by itself: it was cut short, or ended by a signal, as none of ours does.
        """
        if self.cut_short:
            return True
        return self.code < 0 or self.code == TRY_AGAIN or self.code in codes


class Command:
    """``python -m <words>``, once."""

    def __init__(self, words: Sequence[str], reports: bool = True) -> None:
        """Prepare it; ``reports``: it takes ``--report FILE``, and leaves one."""
        self.words = list(words)
        self._reports = reports
        self._process: subprocess.Popen[str] | None = None
        self._is_stopped = False

    def run(self, say: Callable[[str], None]) -> Done:
        """Run it to its end, and hand each line that it writes to ``say``."""
        with tempfile.TemporaryDirectory(prefix="tapehouse-task-") as folder:
            report = Path(folder) / "report.json"
            tail = deque[str](maxlen=_TAIL_LINES)
            began = time.monotonic()
            code = self._follow(report, tail, say)
            seconds = time.monotonic() - began
            found = json.loads(report.read_text()) if report.is_file() else {}
        return Done(code, "\n".join(tail), found, seconds, self._is_stopped)

    def stop(self) -> None:
        """End it and what it started before its time; one that has not begun, once it has."""
        self._is_stopped = True
        if self._process is not None:
            self._end()

    def _end(self) -> None:
        """End whichever still runs of it and what it started."""
        assert self._process is not None  # noqa: S101 - only of a process that was started
        until = time.monotonic() + _STOP_WAIT_S
        number: int = signal.SIGTERM
        while self._signal(number):
            self._process.poll()  # what is not waited for stays in its group
            time.sleep(_POLL_S)
            number = signal.SIGKILL if time.monotonic() >= until else _LOOK
        self._process.wait()

    def _follow(self, report: Path, tail: deque[str], say: Callable[[str], None]) -> int:
        words = [*self.words, *(("--report", str(report)) if self._reports else ())]
        with subprocess.Popen(
            [sys.executable, "-m", "orchestration.run", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,  # it ends when this end of the pipe does
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as self._process:
            assert self._process.stdout is not None  # noqa: S101 - it was asked for
            # What it started may hold the pipe open when it is dead itself.
            watch = threading.Thread(target=self._end_after, args=(self._process,))
            watch.start()
            try:
                if self._is_stopped:  # while there was no process yet
                    self._end()
                for line in self._process.stdout:
                    tail.append(line.rstrip("\n"))
                    say(tail[-1])
                return self._process.wait()
            finally:
                self._end()
                watch.join()

    def _end_after(self, process: "subprocess.Popen[str]") -> None:
        process.wait()
        self._end()

    def _signal(self, number: int) -> bool:
        """Send a signal to the command's group; tell whether there is anybody left in it."""
        assert self._process is not None  # noqa: S101 - only of a process that was started
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return False
        return True
