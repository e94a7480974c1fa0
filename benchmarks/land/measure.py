"""Processor time and memory of processes, sampled from outside while they run."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from infra.local.status import family
from ingestion.errors import TapehouseError

_PERIOD_S: Final = 0.05  # measurements take seconds; between two samples is interpolated
_TIMEOUT_S: Final = 900.0  # many times what the slowest row takes, also on a slow machine
_END_S: Final = 10.0  # in which a lander lands what it holds
_LOG_LINES: Final = 40  # room for a traceback and what was said before it


@dataclass(frozen=True)
class Sample:
    """Wall clock (seconds since the epoch), processor seconds of all, memory of the largest."""

    at: float
    cpu_s: float
    rss: int


@dataclass(frozen=True)
class Run:
    """One measurement: records between two moments, and what they cost."""

    records: int
    seconds: float
    cpu_s: float
    peak_rss: int

    @property
    def rate(self) -> float:
        """Records a second."""
        return self.records / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor microseconds a record."""
        return self.cpu_s / self.records * 1e6


def watch(
    processes: Sequence["subprocess.Popen[bytes]"],
    is_over: Callable[[], bool] = lambda: False,
    begin: Callable[[], None] = lambda: None,
    helpers: Sequence[int] = (),
) -> list[Sample]:
    """Sample until all have ended or ``is_over``; then end what is left.

    ``begin`` is called after the first sample: what was used before it can be told from the rest.
    ``helpers`` are other processes' ids: what they and their children use is the first one's.

    Raises:
        TapehouseError: they take too long.
    """
    try:
        members = _members(processes, helpers)
        samples, began = [_sample(members)], time.monotonic()
        begin()
        while not is_over() and any(process.poll() is None for process in processes):
            if time.monotonic() - began > _TIMEOUT_S:
                raise TapehouseError(f"not over after {_TIMEOUT_S:.0f} s")
            time.sleep(_PERIOD_S)
            if len(samples) % 20 == 0:  # looking for children reads every process of the machine
                members = _members(processes, helpers)
            samples.append(_sample(members))
    finally:
        for process in processes:
            end(process)
    return samples


def run_of(samples: Sequence[Sample], records: int, begin: float, end: float) -> Run:
    """Return what was used between two moments (seconds since the epoch).

    Raises:
        TapehouseError: the first sample is later than ``begin``.
    """
    used = _cpu_at(samples, end) - _cpu_at(samples, begin)
    return Run(records, end - begin, used, max(sample.rss for sample in samples))


def require_success(process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Raise TapehouseError with the end of its log where a process failed."""
    if process.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        raise TapehouseError(f"{process.args!r} ended with {process.returncode}:\n{end}")


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and wait for it; nothing where it has ended."""
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:  # Connect may wait for ever for its own tasks
        process.kill()
        process.wait()


def _members(
    processes: Sequence["subprocess.Popen[bytes]"], helpers: Sequence[int]
) -> list[list[psutil.Process]]:
    first, *others = [family(process.pid) for process in processes]
    helping = (member for pid in helpers for member in family(pid))
    return [list(dict.fromkeys([*first, *helping])), *others]


def _sample(members: Sequence[Sequence[psutil.Process]]) -> Sample:
    used = [_used(family) for family in members]
    return Sample(time.time(), sum(cpu for cpu, _ in used), max(rss for _, rss in used))


def _used(family: Sequence[psutil.Process]) -> tuple[float, int]:
    cpu, rss = 0.0, 0
    for process in family:
        try:
            times = process.cpu_times()
            cpu += times.user + times.system
            rss += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return cpu, rss


def _cpu_at(samples: Sequence[Sample], moment: float) -> float:
    """Interpolate; a process that has ended shows less than it used, so the most seen counts."""
    before = [sample for sample in samples if sample.at <= moment]
    if not before:
        late = samples[0].at - moment
        raise TapehouseError(f"expected a sample before the measurement, found one {late:.3f} s on")
    known = max(sample.cpu_s for sample in before)
    after = next((s for s in samples if s.at > moment and s.cpu_s >= known), None)
    if after is None:
        return known
    last = before[-1]
    share = (moment - last.at) / (after.at - last.at)
    return known + share * (after.cpu_s - known)
