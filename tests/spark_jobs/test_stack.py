"""The jobs as commands over the real store, read back through pyiceberg as the load reads."""

import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
import zstandard

from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.load.lake import open_catalog
from ingestion.settings import LakeSettings, StoreSettings
from tests.conftest import RunningStack
from tests.spark_jobs.folder_bronze import GENERATION, value_line
from tests.spark_jobs.messages import OPEN, bar, trade

pytestmark = pytest.mark.integration
JOBS = ("compact", "bars", "daily-metrics", "window-metrics", "anomalies")
CONTENT = {
    "silver.bars": 2,
    "silver.corporate_actions": 0,
    "silver.trades": 3,
    "silver.rejects": 2,
    "metrics.daily_stock_metrics": 2,
    "metrics.realtime_stock_analytics": 78,
    "metrics.trade_bars": 5,
    "metrics.anomalies": 3,
}


def land(topic: str, values: list[Any]) -> None:
    """Put one object as the lander does."""
    settings = StoreSettings.load()
    access_key, secret_key = settings.keys("lander")
    client = boto3.client(
        "s3",
        endpoint_url=settings.url(),
        region_name=settings.region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    lines = b"".join(value_line(i, value) + b"\n" for i, value in enumerate(values))
    client.put_object(
        Bucket=settings.bronze_bucket,
        Key=f"{topic}/g={GENERATION}/p=00000/{0:020d}.jsonl.zst",
        Body=zstandard.ZstdCompressor(level=1).compress(lines),
        Metadata={"next": str(len(values)), "count": str(len(values)), "kind": "data"},
        IfNoneMatch="*",
    )


def rows() -> dict[str, int]:
    catalog = open_catalog(LakeSettings.load(), StoreSettings.load())
    return {name: catalog.load_table(name).scan().to_arrow().num_rows for name in CONTENT}


def run(stack: RunningStack, report: Path, *arguments: str) -> dict[str, Any]:
    found = stack.run("spark_jobs", "run", *arguments, "--report", str(report))
    assert found.returncode == 0, found.stderr
    return json.loads(report.read_text())


# `tests/pipeline` runs the same commands on more records.
@pytest.mark.long
def test_the_jobs_run_as_commands_and_running_them_again_changes_nothing(
    lone_stack: RunningStack, tmp_path: Path
) -> None:
    land(BATCH, [bar("2013-02-27"), bar(), bar(), bar(open=1)])
    land(REALTIME, [trade(i, OPEN) for i in range(3)])
    report = tmp_path / "report.json"

    first = run(lone_stack, report, *JOBS)

    assert first["complete"] is True
    assert first["jobs"]["compact"]["rejected"] == {"contract": 1, "duplicate": 1}
    assert rows() == CONTENT
    again = run(lone_stack, report, *JOBS)
    assert [job["commits"] for job in again["jobs"].values()] == [0] * len(JOBS)
    assert rows() == CONTENT


def test_wrong_credentials_are_one_line_and_soon(
    lone_stack: RunningStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lone_stack.environment, "STORE_LAKE_SECRET_KEY", "wrong" * 8)
    began = time.monotonic()
    found = lone_stack.run("spark_jobs", "compact")
    assert found.returncode == 1
    assert found.stderr.startswith("error: bucket bronze: the store refuses the role `lake`")
    assert found.stderr.count("\n") == 1
    assert time.monotonic() - began < 60


def test_what_fails_inside_spark_is_one_line(
    lone_stack: RunningStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = tmp_path / "catalog.db"
    catalog.write_text("no database " * 100)
    monkeypatch.setitem(lone_stack.environment, "LAKE_CATALOG_URI", f"sqlite:///{catalog}")
    found = lone_stack.run("spark_jobs", "compact")
    assert found.returncode == 1
    assert found.stderr.startswith("error: ")
    assert "file is not a database" in found.stderr
    assert found.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def lone_stack(stack_factory: Any) -> Any:
    """A store of this module's own: the shared one may hold other tests' bronze."""
    running = stack_factory.make("spark-jobs", ("store",))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running
