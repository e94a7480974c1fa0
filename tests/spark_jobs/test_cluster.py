"""A standalone cluster of real processes: same rows as here, also when a worker dies on the way."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr
from pyspark.sql import SparkSession

from infra.local import processes, spark
from infra.local.services import CLUSTER
from infra.setup import credentials
from ingestion.errors import LakeError
from ingestion.settings import ROOT, LakeSettings, ProjectSettings, StoreSettings
from spark_jobs import session
from spark_jobs.schemas import COMPACTED, METRICS, TRADES
from tests.conftest import RunningStack, StackFactory
from tests.spark_jobs.conftest import Lake, open_lake
from tests.spark_jobs.messages import OPEN, action, bar, trade
from tests.spark_jobs.worker_loss import JOBS

_OWN = ("compacted_at", "computed_at")


@pytest.fixture
def cluster(stack_factory: StackFactory) -> Iterator[RunningStack]:
    running = stack_factory.make("cluster", CLUSTER, LAKE_EXECUTOR_MEMORY="512m")
    yield running
    running.stack.down()


def master(running: RunningStack) -> str:
    return f"spark://127.0.0.1:{running.layout.lake.cluster_port}"


def send(lake: Lake) -> None:
    """Records of every kind, duplicates, conflicts and rejects among them."""
    values = [bar(), bar("2013-02-27"), bar(), action(), bar(open="x")]
    lake.send_batch([*values, bar() | {"data": bar(close="1")["data"]}])
    for partition in range(2):
        numbers = range(partition * 300, partition * 300 + 300)
        times = [OPEN + timedelta(seconds=61 * (n % 300)) for n in numbers]
        trades = [trade(n, at, price=f"4{n % 97}.25") for n, at in zip(numbers, times, strict=True)]
        lake.send_trades([*trades, trades[0]], partition=partition)


def content(lake: Lake) -> dict[str, Counter[tuple[str, ...]]]:
    found = {}
    for table in (*COMPACTED, *METRICS):
        names = [name for name in table.columns if name not in _OWN]
        rows = lake.rows(table).select(*names).collect()
        found[table.name] = Counter(tuple(str(value) for value in row) for row in rows)
    return found


def of_cluster(running: RunningStack, name: str) -> list[psutil.Process]:
    found = []
    for process in processes.of_stack(running.state_dir):
        with suppress(psutil.NoSuchProcess):
            if name in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill_a_worker_that_works(running: RunningStack) -> None:
    executor = of_cluster(running, "CoarseGrainedExecutorBackend")[0]
    worker = executor.parent()
    assert worker is not None
    assert "worker.Worker" in " ".join(worker.cmdline())
    for process in (worker, *executor.children(recursive=True), executor):
        process.kill()


@contextmanager
def job_on(cluster: RunningStack, there: Path, *jobs: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run jobs there, and give the process when the first has rows on a branch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.spark_jobs.worker_loss", str(there), master(cluster), *jobs],
        cwd=ROOT,
        env=os.environ | cluster.environment | {"PYTHONPATH": str(ROOT)},
    )
    try:
        while not (there / "staged").exists():
            assert process.poll() is None, f"the job ended with {process.returncode}"
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def there(lake: Lake, tmp_path: Path) -> Path:
    """Another lake over the bronze of ``lake``."""
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "bronze").symlink_to(lake.bronze.root)
    return folder


@pytest.mark.long
def test_a_job_on_a_cluster_finds_code_and_store_there_and_shows_nobody_a_secret(
    cluster: RunningStack, root_session: SparkSession, lake: Lake, there: Path
) -> None:
    assert spark.state(cluster.layout)["aliveworkers"] == 2
    send(lake)
    with job_on(cluster, there, "compact") as job:
        nobody_sees_secrets_or_reaches_it(cluster, job.pid)
        (there / "go").touch()
        assert job.wait(300) == 0

    found = open_lake(root_session, there)
    assert found.rows(TRADES).select("event_id").distinct().count() == 600
    done = cluster.run("infra.local", "cluster", "stop")
    assert done.returncode == 0, done.stderr
    assert processes.of_stack(cluster.state_dir) == []


@pytest.mark.cluster
@pytest.mark.skipif("SPARK_TEST_CLUSTER" not in os.environ, reason="a minute: `make test-cluster`")
def test_jobs_outlive_a_worker_and_their_rows_are_the_same(
    cluster: RunningStack, root_session: SparkSession, lake: Lake, there: Path
) -> None:
    send(lake)
    with job_on(cluster, there, *JOBS) as job:
        executors = of_cluster(cluster, "CoarseGrainedExecutorBackend")
        assert len(executors) == 2, "both workers work"
        kill_a_worker_that_works(cluster)
        (there / "go").touch()
        lake.compact()
        lake.bars()
        lake.daily()
        lake.windows()
        lake.anomalies()
        assert job.wait(300) == 0

    found = content(open_lake(root_session, there))
    assert all(found[table.name] for table in METRICS)
    assert len(found["trades"]) == 600
    assert found == content(lake)


def nobody_sees_secrets_or_reaches_it(running: RunningStack, job: int) -> None:
    values = credentials.values(running.env_file)
    secrets = [values[name] for name in credentials.credentials()]
    family = [psutil.Process(job), *psutil.Process(job).children(recursive=True)]
    listening, lines = set[str](), []
    for process in (*family, *processes.of_stack(running.state_dir)):
        with suppress(psutil.NoSuchProcess):  # short-lived helpers of Hadoop's end meanwhile
            lines.append(" ".join(process.cmdline()))
            listening |= {
                connection.laddr.ip.removeprefix("::ffff:")
                for connection in process.net_connections(kind="inet")
                if connection.status == psutil.CONN_LISTEN
            }
    assert listening
    assert all(ip_address(address).is_loopback for address in listening), listening
    shown = "\n".join(lines)
    assert "SparkSubmit" in shown
    assert "master.Master" in shown
    assert not [secret for secret in secrets if secret in shown]
    assert (running.layout.run / spark.PROPERTIES).stat().st_mode & 0o077 == 0


@pytest.mark.cluster
@pytest.mark.skipif("SPARK_TEST_CLUSTER" not in os.environ, reason="a minute: `make test-cluster`")
def test_the_cluster_takes_nobody_in_without_its_secret(
    a_cluster: tuple[str, SecretStr | None], tmp_path: Path
) -> None:
    there, _ = a_cluster
    asked = {
        name: stranger(tmp_path / name, there, *given)
        for name, given in (("wrong", ("x" * 40,)), ("none", ()))
    }
    for name, process in asked.items():
        out, error = process.communicate(timeout=300)
        assert (process.returncode, out) == (1, ""), (name, error)
        assert error.startswith(f"error: the Spark master at {there} does not take this session in")
        assert "LAKE_CLUSTER_SECRET" in error
        assert error.count("\n") == 1, (name, error)


def stranger(state: Path, there: str, *secret: str) -> "subprocess.Popen[str]":
    state.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "tests.spark_jobs.stranger", str(state), there],
        cwd=ROOT,
        env=os.environ | dict(zip(["LAKE_CLUSTER_SECRET"], secret, strict=False)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_master_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    plan = session.SessionPlan(
        ProjectSettings(state_dir=tmp_path),
        StoreSettings(),
        LakeSettings(),
        master="spark://127.0.0.1:1",
        warehouse=f"file://{tmp_path}",
    )
    with pytest.raises(
        LakeError, match=r"no Spark master answers at spark://127\.0\.0\.1:1; `make"
    ):
        session.start(plan)
