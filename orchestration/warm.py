"""Libraries that Airflow's processes load before they fork: a child finds them loaded.

As a command, `python -m orchestration.warm SUBCOMMAND`, Airflow's own with them loaded.
"""

import runpy
from collections.abc import Sequence
from pkgutil import resolve_name
from typing import Final

from ingestion.settings import WarehouseSettings

# Not of ours, but the settings: a child reads our modules from their files as they then are.
_LIBRARIES: Final[Sequence[str]] = (
    "cosmos:DbtTaskGroup",
    "cosmos.operators.local",
    # By its name: Cosmos loads the module behind it, of whole FastAPI, when it is asked for.
    "cosmos.plugin:CosmosPlugin",
    "dbt.cli.main",
    # It tries the file system when it is loaded.
    "filelock",
)


def load() -> None:
    """Load them, with dbt's adapter of the configured warehouse."""
    adapter = f"dbt.adapters.{WarehouseSettings.load().engine}"
    for name in (*_LIBRARIES, adapter):
        resolve_name(name)


if __name__ == "__main__":
    load()
    runpy.run_module("airflow", run_name="__main__", alter_sys=True)
