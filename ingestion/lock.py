"""The project lock: one writer of the embedded warehouse at a time, and nobody reading meanwhile.

DuckDB lets one process open a file for writing and shuts every other process out. A second
command therefore waits here, visibly, where it would otherwise fail with an engine error.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ingestion.errors import WarehouseLockedError

_TRY_S = 0.2


def project_lock(path: Path) -> FileLock:
    """Return the process's one lock object for ``path``.

    One object per process and not per thread: dbt runs inside a command that holds the lock, on
    threads of its own, and must find it held and not wait for itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, is_singleton=True, thread_local=False)


@contextmanager
def held(path: Path, timeout_s: float, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the project lock; call ``on_wait`` once with a sentence when another process has it.

    Raises:
        WarehouseLockedError: the lock was not free within ``timeout_s`` seconds.
    """
    lock = project_lock(path)
    try:
        lock.acquire(timeout=_TRY_S)
    except Timeout:
        on_wait(f"waiting for the warehouse lock {path} (at most {timeout_s:.0f} s)")
        _acquire(lock, path, timeout_s)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path, timeout_s: float) -> None:
    try:
        lock.acquire(timeout=timeout_s)
    except Timeout:
        raise WarehouseLockedError(
            f"expected the warehouse lock {path} within {timeout_s:.0f} s, found it held by "
            "another process: wait for it, or raise WAREHOUSE_LOCK_TIMEOUT_S"
        ) from None
