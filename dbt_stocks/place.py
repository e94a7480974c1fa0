"""Where a gate command works, and what a build there is called."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dbt_stocks.engine import Warehouse
from dbt_stocks.publishing import DuckDBWarehouse
from ingestion import lock
from ingestion.clock import Clock
from ingestion.settings import (
    ProjectSettings,
    SnowflakeSettings,
    WarehouseEngine,
    WarehouseSettings,
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where a gate command works: the warehouse with its gold, and dbt's own folder."""

    warehouse: Warehouse
    dbt: Path

    @classmethod
    def load(cls, engine: WarehouseEngine | None = None) -> Self:
        """Return the project's own; of the configured engine unless another is named."""
        settings = WarehouseSettings.load()
        folder = ProjectSettings.load().state("dbt")
        if (engine or settings.engine) == "duckdb":
            return cls(DuckDBWarehouse(settings), folder)
        # Its connector takes as long to import as dbt itself.
        import ingestion.snowflake  # noqa: F401 - the first to import it: a warning is kept away there
        from dbt_stocks.snowflake_publishing import SnowflakeWarehouse

        return cls(SnowflakeWarehouse(SnowflakeSettings.load()), folder)

    @contextmanager
    def held(self, say: Say) -> Iterator[None]:
        """Keep this machine's other commands from the warehouse meanwhile."""
        warehouse = self.warehouse
        with lock.held(warehouse.lock(), warehouse.lock_timeout_s(), say):
            yield


def new_build_id(clock: Clock) -> str:
    """Return an id that sorts by time and that no other build has."""
    return f"{clock.now():%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:6]}"
