"""A stack that lives as long as a measurement, and what a result says of the machine."""

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from infra.local import scratch
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT


@contextmanager
def temporary(*services: str, cluster: bool = False) -> Iterator[tuple[Path, dict[str, str]]]:
    """Start an empty stack, all services where none is named; yield its folder and environment.

    With ``cluster`` it is a Spark cluster instead.

    Raises:
        TapehouseError: it does not start or stop.
    """
    with tempfile.TemporaryDirectory(prefix="tapehouse-bench-") as folder:
        home = Path(folder) / "stack"
        environment = scratch.prepare(home)
        try:
            command(environment, *(("cluster",) if cluster else ("up", *services)))
            yield home, environment
        finally:
            command(environment, "down")


def command(environment: Mapping[str, str], *words: str) -> None:
    """Run a command of ``infra.local``.

    Raises:
        TapehouseError: it failed; the text is its standard error.
    """
    line = [sys.executable, "-m", "infra.local", *words]
    done = subprocess.run(
        line, cwd=ROOT, env=os.environ | dict(environment), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stderr.strip()
        raise TapehouseError(f"stack {' '.join(words)} ended with {done.returncode}: {said}")


def machine() -> dict[str, Any]:
    """Return what a figure depends on."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


@contextmanager
def in_force(environment: Mapping[str, str]) -> Iterator[None]:
    """Have this process read these settings, too."""
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
