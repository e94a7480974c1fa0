"""A dbt-duckdb plugin that takes the project lock before dbt opens the warehouse file.

Without it `dbt run` in a shell would fail with an engine error while another command writes, and
would make that command fail in turn. In a process that holds the lock already it does nothing.
"""

import sys
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt_common.exceptions import DbtRuntimeError
from filelock import FileLock, Timeout

_TRY_S = 0.2
_TIMEOUT_S = 600.0


class Plugin(BasePlugin):
    """Holds the lock from the first connection to the end of the process."""

    def initialize(self, config: dict[str, Any]) -> None:
        del config
        if self.creds is None or self.creds.path == ":memory:":
            return
        path = Path(self.creds.path).resolve().with_suffix(".lock")
        path.parent.mkdir(parents=True, exist_ok=True)
        # The same object as ingestion.lock gives in this process: one lock per path, all threads.
        lock = FileLock(path, is_singleton=True, thread_local=False)
        if not lock.is_locked:
            _acquire(lock, path)


def _acquire(lock: FileLock, path: Path) -> None:
    try:
        lock.acquire(timeout=_TRY_S)
    except Timeout:
        sys.stderr.write(f"waiting for the warehouse lock {path} (at most {_TIMEOUT_S:.0f} s)\n")
        try:
            lock.acquire(timeout=_TIMEOUT_S)
        except Timeout:
            raise DbtRuntimeError(f"{path}: another process holds the warehouse lock") from None
