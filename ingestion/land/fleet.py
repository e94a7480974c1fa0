"""N lander processes under one parent: started, restarted where one dies, stopped together.

The parent lands nothing and holds no client. Each lander is a process of its own that was started,
not forked, and ends when the parent does, however that ends: its standard input is a pipe from the
parent, and `follow_parent` waits for the end of it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ingestion import logs
from ingestion.clock import Clock
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT, LandSettings

RESTARTS: Final = 5  # in a row, half a second to eight apart; then something is wrong for good
_FIRST_DELAY_S: Final = 0.5
_STEADY_S: Final = 60.0  # who ran for so long has its restarts again
_START_S: Final = 20.0  # longer than Kafka and the store are waited for at the start
_STOP_S: Final = 9.5  # a lander takes 8.5 s, plus what it is kept from by a busy machine
_POLL_S: Final = 0.1
_STDIN: Final = 0
_STDOUT: Final = 1


class FleetError(TapehouseError):
    """A lander process failed; its own log, above, says why."""


@dataclass(frozen=True)
class Plan:
    """How to start one lander process; what it has done is a line of JSON on its output."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


def plans(settings: LandSettings, count: int, name: str, once: bool) -> list[Plan]:
    """Return the plans of ``count`` landers: the same command, a name and a port for each."""
    command = [sys.executable, "-m", "ingestion", "land", "--processes", "1", "--follow-parent"]
    port = settings.metrics_port
    return [
        Plan(
            name=f"{name}-{index}",
            command=[*command, "--name", f"{name}-{index}", *(["--once"] if once else [])],
            environment={} if port is None else {"LAND_METRICS_PORT": str(port + index)},
        )
        for index in range(count)
    ]


def follow_parent() -> None:
    """End this process as SIGTERM does when the parent is gone; by SIGKILL where that hangs."""

    def wait() -> None:
        while os.read(_STDIN, 1):
            continue
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_STOP_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="parent", daemon=True).start()


def tell_parent(done: Mapping[str, Any]) -> None:
    """Tell what this lander has done; a parent that is gone does not want to know."""
    with suppress(BrokenPipeError):
        os.write(_STDOUT, json.dumps(done).encode() + b"\n")


class Fleet:
    """The parent of the landers of some plans."""

    def __init__(self, plans: Sequence[Plan], clock: Clock, once: bool = False) -> None:
        """Start nothing yet; with ``once``, a lander that ends is not started again."""
        self._members = [_Member(plan) for plan in plans]
        self._clock = clock
        self._once = once
        self._is_stopped = False
        self._log = logs.get("land.fleet")

    def run(self) -> None:
        """Run the landers until SIGTERM or SIGINT, or until all have ended by themselves.

        Raises:
            FleetError: one of them failed for good; all are gone then as well.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self._is_stopped and self._tend():
                self._clock.sleep(_POLL_S)
        finally:
            self._end()
        self._judge()

    def done(self) -> dict[str, Any]:
        """Return the sums of what the landers that ended in peace report."""
        reports = [report for one in self._members for report in one.reports]
        alarms: Counter[str] = Counter()
        for report in reports:
            alarms.update(report["alarms"])
        sums = {key: sum(report[key] for report in reports) for key in ("objects", "records")}
        return {**sums, "alarms": dict(alarms)}

    def _stop(self, *_: object) -> None:
        self._is_stopped = True

    def _tend(self) -> bool:
        """Start what is due, look after what died; return whether there is more to wait for."""
        now = self._clock.monotonic()
        for one in self._members:
            if one.process is None and now >= one.due:
                one.start(now)
            elif (code := one.code()) is not None and not self._once:
                self._died(one, code, now)
        return any(one.code() is None for one in self._members)

    def _judge(self) -> None:
        # One that was stopped before it had anything to lose was ended by the signal itself.
        peaceful = {None, 0, -signal.SIGTERM} if self._is_stopped else {0}
        ends = {one.plan.name: one.code() for one in self._members}
        failed = [f"{name} {_words(code)}" for name, code in ends.items() if code not in peaceful]
        if failed:
            raise FleetError(f"expected every lander to end with 0, found: {', '.join(failed)}")

    def _died(self, one: "_Member", code: int, now: float) -> None:
        lived = now - one.started
        if one.lives == 1 and code == 1 and lived < _START_S:
            raise FleetError(f"lander {one.plan.name} did not start: its own log says why")
        one.deaths = 1 if lived >= _STEADY_S else one.deaths + 1
        if one.deaths > RESTARTS:
            raise FleetError(
                f"lander {one.plan.name} died {one.deaths} times in a row, the last time it "
                f"{_words(code)}: giving up"
            )
        delay_s = _FIRST_DELAY_S * 2.0 ** (one.deaths - 1)
        self._log.error("died", lander=one.plan.name, how=_words(code), restart_in_s=delay_s)
        one.bury(now + delay_s)

    def _end(self) -> None:
        """Stop the landers that run and wait for them, but never longer than `_STOP_S`."""
        deadline = self._clock.monotonic() + _STOP_S
        running = [one.process for one in self._members if one.process and one.code() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(max(0.0, deadline - self._clock.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for one in self._members:
            one.close()


class _Member:
    """One lander process, over its lives."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.process: subprocess.Popen[bytes] | None = None
        self.started = self.due = 0.0
        self.lives = self.deaths = 0
        self.reports: list[dict[str, Any]] = []

    def start(self, now: float) -> None:
        """Begin a life. It has a process group of its own: Ctrl+C is for the parent to pass on."""
        self.lives += 1
        self.started = now
        self.process = subprocess.Popen(
            self.plan.command,
            cwd=ROOT,
            env=os.environ | self.plan.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )

    def bury(self, due: float) -> None:
        """End a life; the next one may begin when ``due``."""
        self.close()
        self.process, self.due = None, due

    def close(self) -> None:
        """Take what a process that ended has told, and give back its pipes."""
        if self.process:
            told, _ = self.process.communicate()
            self.reports += map(json.loads, told.splitlines())

    def code(self) -> int | None:
        """Return the exit code; None while it runs, and before it does."""
        return self.process.poll() if self.process else None


def _words(code: int | None) -> str:
    if code is None:
        return "never ran"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
