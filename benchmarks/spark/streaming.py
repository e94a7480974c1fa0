"""The stream as the product's command, on a lake of its own, and what a reader sees of it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import IO, Final

from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.table import Table

from benchmarks import stack
from ingestion.errors import LoadError
from ingestion.load.lake import open_catalog
from ingestion.settings import ROOT, LakeSettings, StoreSettings
from spark_jobs.epochs import STREAM, Epoch
from spark_jobs.schemas import STREAM_WINDOWS

_numbers: Final = count(1)


def fresh(home: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a lake that nobody has used yet."""
    number = next(_numbers)
    own = {
        **environment,
        "STORE_LAKE_BUCKET": f"lake-{number}",
        "LAKE_CATALOG_URI": f"sqlite:///{home}/lake-{number}.db",
    }
    stack.command(own, "provision")
    return own


def start(environment: Mapping[str, str], log: IO[bytes], *words: str) -> "subprocess.Popen[bytes]":
    """Start ``python -m spark_jobs stream``."""
    line = [sys.executable, "-m", "spark_jobs", "stream", *words]
    settings = os.environ | dict(environment)
    return subprocess.Popen(line, cwd=ROOT, env=settings, stdout=log, stderr=log)


def windows() -> Table | None:
    """Return the stream's windows as they are now; None where there are none yet."""
    try:
        catalog = open_catalog(LakeSettings.load(), StoreSettings.load())
        return catalog.load_table(f"{STREAM_WINDOWS.namespace}.{STREAM_WINDOWS.name}")
    except (LoadError, NoSuchNamespaceError, NoSuchTableError):
        return None


def revision() -> int | None:
    """Return the revision of the windows that were written last; None where none were."""
    table = windows()
    snapshot = None if table is None else table.current_snapshot()
    text = snapshot.summary.get(STREAM) if snapshot and snapshot.summary else None
    return None if text is None else Epoch.read(text).revision
