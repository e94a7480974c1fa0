"""Kill this process before its n-th step: an SQL statement, or a change of a name in a folder.

Between two of them nothing of ours becomes visible to anybody; what a statement does inside is the
engine's own matter.
"""

import os
import signal
import sys
from typing import Any, Final, cast

import duckdb

from dbt_stocks.publishing import DuckDBGold

_NAMES: Final = frozenset({"os.rename", "os.remove", "os.symlink", "os.chmod"})


class Killer:
    """Counts the steps of this process from now on, and kills it before one of them."""

    def __init__(self, at: int) -> None:
        """Begin to count; the first step is 1."""
        self._at = at
        self._taken = 0
        sys.addaudithook(self._on_event)

    def __call__(self) -> None:
        """Take a step."""
        self._taken += 1
        if self._taken == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _on_event(self, event: str, _: tuple[Any, ...]) -> None:
        if event in _NAMES:
            self()


class _Stepwise:
    """A connection whose every statement is a step."""

    def __init__(self, db: duckdb.DuckDBPyConnection, step: Killer) -> None:
        self._db, self._step = db, step

    def execute(self, *arguments: Any) -> duckdb.DuckDBPyConnection:  # noqa: ANN401 - DuckDB's own
        self._step()
        return self._db.execute(*arguments)


def stepwise(gold: DuckDBGold, kill_at: int) -> DuckDBGold:
    """Return gold on which this process is killed before one of its steps."""
    return DuckDBGold(
        cast("duckdb.DuckDBPyConnection", _Stepwise(gold.db, Killer(kill_at))), gold.folder
    )
