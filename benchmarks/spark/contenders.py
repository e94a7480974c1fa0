"""What is timed, each in a process of its own that is watched from outside."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks import stack
from benchmarks.land import measure
from benchmarks.land.measure import Run, Sample
from benchmarks.spark.data import Made
from infra.local import processes
from infra.local.layout import Layout
from infra.local.ports import HOST
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT
from spark_jobs.schemas import TRADES

# The seconds of each step of a compaction, a run at a time.
Steps = dict[str, list[float]]

_THREADS: Final = psutil.cpu_count() or 1


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tapehouse-bench-spark-") as folder:
        yield Path(folder)


def duckdb(bronze: Path, made: Made) -> Run:
    """Measure DuckDB, from the open connection to the counted output."""
    with scratch() as home:
        words = [str(bronze), str(home / "out"), str(_THREADS)]
        samples, said = watched("benchmarks.spark.duckdb_job", words, home)
        return _checked(samples, said[0], made)


def polars(bronze: Path, made: Made) -> Run:
    """Measure Polars, from after its import to the counted output."""
    with scratch() as home:
        words = [str(bronze), str(home / "out")]
        samples, said = watched("benchmarks.spark.polars_job", words, home)
        return _checked(samples, said[0], made)


def spark(bronze: Path, made: Made, steps: Steps, java_options: str = "") -> Run:
    """Measure the compaction job on an empty lake, from after the session's start.

    The seconds of each of its steps go to ``steps``.
    """
    with scratch() as home, stack.in_force({"LAKE_JAVA_OPTIONS": java_options}):
        return _compaction(bronze, made, home, steps)


def on_cluster(bronze: Path, made: Made, steps: Steps) -> Run:
    """Measure the same on a cluster of two workers on this machine, with all its processes."""
    with scratch() as home, stack.temporary(cluster=True) as (_, environment):
        with stack.in_force(environment):
            layout = Layout.load()
        cluster = {
            "LAKE_MASTER": f"spark://{HOST}:{layout.lake.cluster_port}",
            "LAKE_CLUSTER_SECRET": layout.lake.secret(),
        }
        with stack.in_force({**environment, **cluster}):
            helpers = [process.pid for process in processes.of_stack(layout.state)]
            return _compaction(bronze, made, home, steps, helpers)


def _compaction(
    bronze: Path, made: Made, home: Path, steps: Steps, helpers: Sequence[int] = ()
) -> Run:
    lakes = [{"bronze": str(bronze), "state": str(home / "lake")}]
    samples, [said] = jobs(lakes, home, helpers)
    for name, seconds in said["steps"].items():
        steps.setdefault(name, []).append(seconds)
    return _checked(samples, _kept(said), made)


def jobs(
    lakes: Sequence[Mapping[str, Any]], home: Path, helpers: Sequence[int] = ()
) -> tuple[list[Sample], list[dict[str, Any]]]:
    """Run jobs over lakes in one session (`ours`); return samples, and what each job said."""
    return watched("benchmarks.spark.ours", [json.dumps(lakes)], home, helpers)


def watched(
    module: str, words: Sequence[str], home: Path, helpers: Sequence[int] = ()
) -> tuple[list[Sample], list[dict[str, Any]]]:
    """Run a module to its end; return samples of it, and the lines of JSON that it printed.

    ``helpers`` are processes that work for it.

    Raises:
        TapehouseError: it failed.
    """
    log = home / "errors.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        samples = measure.watch([process], helpers=helpers)
    measure.require_success(process, log)
    return samples, [json.loads(line) for line in process.stdout or ()]


def run_of(samples: Sequence[Sample], said: Mapping[str, Any]) -> Run:
    """Return what a job that said so took."""
    return measure.run_of(samples, _kept(said)["kept"], said["begin"], said["end"])


def _kept(said: Mapping[str, Any]) -> dict[str, Any]:
    return {"kept": said["written"].get(TRADES.name, 0), **said}


def _checked(samples: Sequence[Sample], said: Mapping[str, Any], made: Made) -> Run:
    """Return a run that did what it was to do.

    Raises:
        TapehouseError: it kept or refused other records than were made.
    """
    found, expected = (said["kept"], said["rejected"]), (made.kept, dict(made.rejected))
    if found != expected:
        raise TapehouseError(f"expected {expected} trades and rejects, found {found}")
    return measure.run_of(samples, said["kept"], said["begin"], said["end"])
