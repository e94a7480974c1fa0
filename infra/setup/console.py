"""Show what set-up is doing, run its commands, and fail in one readable line."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HEARTBEAT_S = 15.0
POLL_S = 0.05
LOG_LINES = 12


class SetupError(Exception):
    """Set-up cannot go on; the text is one line for the person who runs it, then a log's end."""


@dataclass
class Console:
    """Prints steps; where ``quiet``, only steps that had something to do."""

    total: int
    quiet: bool = False
    number: int = 0

    def say(self, text: str) -> None:
        """Print a line."""
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()

    def next(self) -> None:
        """Count a step, whether or not it has work."""
        self.number += 1

    def done_already(self, label: str) -> None:
        """Report a step without work."""
        if not self.quiet:
            self.say(f"[{self.number}/{self.total}] {label}: in place")

    @contextmanager
    def working(self, label: str) -> Iterator[None]:
        """Report the beginning of work, and its seconds at the end."""
        began = time.monotonic()
        self.say(f"[{self.number}/{self.total}] {label} …")
        yield
        self.say(f"[{self.number}/{self.total}] {label}: done in {time.monotonic() - began:.1f} s")

    def run(
        self,
        command: Sequence[str | Path],
        log: Path,
        env: Mapping[str, str] | None = None,
        heartbeat_s: float = HEARTBEAT_S,
        cwd: Path | None = None,
    ) -> None:
        """Run a command into a log file, with a sign of life now and then.

        Raises:
            SetupError: it cannot be run or exits with another code than 0.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        name = Path(command[0]).name
        with log.open("w") as output:
            try:
                process = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | dict(env or {}),
                    cwd=cwd,
                )
            except OSError as error:
                raise SetupError(f"cannot run {name}: {error.strerror}") from error
            self._wait(process, name, heartbeat_s)
        if process.returncode:
            raise SetupError(
                f"{name} failed with exit code {process.returncode}; all its output is in {log}, "
                f"the end:\n{_end(log)}"
            )

    def _wait(self, process: "subprocess.Popen[bytes]", name: str, heartbeat_s: float) -> None:
        began = reported = time.monotonic()
        try:
            while process.poll() is None:
                time.sleep(POLL_S)
                now = time.monotonic()
                if now - reported >= heartbeat_s:
                    self.say(f"        {name} is at work, {now - began:.0f} s")
                    reported = now
        finally:
            if process.poll() is None:  # interrupted: leave no compiler behind
                process.terminate()
                process.wait()


def _end(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-LOG_LINES:])
