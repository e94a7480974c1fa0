"""One run of the main job at a time: runs share the stack, the reports and the machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ingestion.errors import TapehouseError
from ingestion.settings import ProjectSettings


class RunInProgressError(TapehouseError):
    """Another run of the main job has not ended; the text names its lock and its process."""

    transient = True


@contextmanager
def alone(project: ProjectSettings) -> Iterator[None]:
    """Hold the run's lock of the project's state folder.

    The system gives a process's lock back when it ends, so the file that a killed run leaves
    behind keeps nobody out.

    Raises:
        RunInProgressError: another process holds it; nothing waits for it.
    """
    path = project.state("run", "pipeline.lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # as the stack makes it
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise RunInProgressError(
            f"another run of the main job holds {path} ({_holder(path)}): wait for its end"
        ) from None
    try:
        path.write_text(f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    pid = path.read_text().strip()
    return f"process {pid}" if pid else "a process that began just now"
