"""A process that runs jobs, as the drill sees it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from ingestion.errors import StackError
from ingestion.settings import ROOT

# What makes a metric of what compaction has made, in the order of the main job.
METRIC_JOBS: Final = ("bars", "daily", "windows", "anomalies")
_END_S: Final = 60.0


class Jobs:
    """``python -m drill.lake.worker``: takes orders until it is told to end, or dies of one."""

    def __init__(self, name: str, state: Path, environment: Mapping[str, str], *words: str) -> None:
        self.name = name
        self._folder = state / "jobs" / name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log = self._folder / "out.log"
        with self._log.open("ab") as log:
            # A session of its own: what dies takes its JVM along, and nobody else.
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "drill.lake.worker", name, *words],
                cwd=ROOT,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    def order(self, job: str, **more: Any) -> None:  # noqa: ANN401 - JSON
        """Give an order and do not wait.

        Raises:
            StackError: the process has ended.
        """
        if self._popen.poll() is not None:
            raise StackError(f"{self.name} has ended; see {self._log}")
        self._pipe(self._popen.stdin).write(json.dumps({"job": job, **more}).encode() + b"\n")
        self._pipe(self._popen.stdin).flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to an order.

        Raises:
            StackError: the process has ended instead.
        """
        line = self._pipe(self._popen.stdout).readline()
        if not line:
            raise StackError(f"{self.name} ended with {self._popen.wait(_END_S)}; see {self._log}")
        found: dict[str, Any] = json.loads(line)
        return found

    def run(self, job: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Give an order and wait for its answer."""
        self.order(job, **more)
        return self.answer()

    def dies(self, job: str, point: str, nth: int) -> str:
        """Have it killed on the way; return where it says that it was.

        Raises:
            StackError: it was not.
        """
        note = self._folder / "died"
        note.unlink(missing_ok=True)
        self.order(job, die=[point, nth])
        line = self._pipe(self._popen.stdout).readline()
        code = self._popen.wait(_END_S) if not line else None
        if code != -9 or not note.is_file():
            raise StackError(f"{job} never came to {point} {nth}: {line.decode() or code}")
        self.end()
        return note.read_text()

    def end(self) -> None:
        """End it; harmless where it has."""
        with suppress(BrokenPipeError):  # its end of the pipe went with it
            self._pipe(self._popen.stdin).close()
        try:
            self._popen.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        self._pipe(self._popen.stdout).close()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # noqa: S101 - both were asked for
        return pipe
