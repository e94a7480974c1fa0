"""Peak memory of the run: this process, its children and the local stack."""

import time
from pathlib import Path

import psutil

MIB = 2**20
SAMPLE_S = 0.5  # walking the process table costs about 10 ms


class PeakMemory:
    """Samples resident memory; shared pages count once per process, so the sum errs upwards."""

    def __init__(self, supervisor_pid_file: Path) -> None:
        self.supervisor_pid_file = supervisor_pid_file
        self.stack_mib = 0.0
        self.total_mib = 0.0
        self._next = 0.0

    def sample(self) -> None:
        """Take a sample, unless the last one is younger than half a second."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SAMPLE_S
        stack = self._stack()
        run = _tree(psutil.Process())
        self.stack_mib = max(self.stack_mib, _resident_mib(stack))
        self.total_mib = max(self.total_mib, _resident_mib(stack | run))

    def _stack(self) -> set[psutil.Process]:
        try:
            return _tree(psutil.Process(int(self.supervisor_pid_file.read_text())))
        except (OSError, ValueError, psutil.NoSuchProcess):
            return set()  # the stack is not up yet


def _tree(root: psutil.Process) -> set[psutil.Process]:
    try:
        return {root, *root.children(recursive=True)}
    except psutil.NoSuchProcess:
        return set()


def _resident_mib(processes: set[psutil.Process]) -> float:
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue  # ended between the listing and the reading
    return total / MIB
