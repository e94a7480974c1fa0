"""The batch pipeline on real services: Kafka, store, lander, Spark, dbt, the gate, the auditor."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from infra.local.services import SERVICES
from ingestion.settings import ROOT, WarehouseSettings
from orchestration import lineage
from orchestration import manifest as manifests
from orchestration.landed import Bronze
from tests.conftest import RunningStack, StackFactory, in_force
from tests.orchestration.conftest import DECLARED, SETTINGS, python

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_200)]

BATCH = "stock_market_batch_pipeline"
CONF = {
    "provider": "recorded",
    "start": "2013-02-25",
    "end": "2013-03-01",
    "symbols": ["AAPL", "IBM"],
}


class World:
    """A stack with a lander, and an Airflow home of its own whose runs are by ``dag.test()``.

    In one metadata database with the DAGs of ``test_dags.py``, whose manifest is a smaller one,
    each DAG would have two versions.
    """

    def __init__(self, stack: RunningStack, home: Path) -> None:
        self.stack, self.home = stack, home

    def run(self, dag_id: str, **conf: object) -> tuple[str, dict[str, str], str]:
        """Return a run's state, its tasks' states, and what was said."""
        report = self.home / "report.json"
        done = subprocess.run(
            [sys.executable, "-m", "tests.orchestration.run_dag", dag_id, json.dumps(conf), report],
            cwd=ROOT,
            env=os.environ | self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0, said[-3000:]
        found = json.loads(report.read_text())
        tasks = {name: one["state"] for name, one in found["tasks"].items()}
        return found["state"], tasks, said

    def environment(self) -> dict[str, str]:
        warehouse = WarehouseSettings.load().file()
        lineage.folder().mkdir(parents=True, exist_ok=True)
        events = lineage.folder() / "events.jsonl"
        transport = {"type": "file", "log_file_path": str(events), "append": True}
        return SETTINGS | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__COSMOS__CACHE_DIR": str(self.home / "cosmos"),
            "WAREHOUSE_PATH": str(warehouse),
            "DBT_MODULE_PATH": str(ROOT / "dbt_stocks"),
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        }

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(WarehouseSettings.load().file(), read_only=True) as db:
            return db.execute(sql).fetchall()

    def gold(self) -> Path:
        return (WarehouseSettings.load().published() / "current").resolve()


@pytest.fixture(scope="module")
def world(stack_factory: StackFactory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = stack_factory.make("airflow", SERVICES)
    with pytest.MonkeyPatch.context() as patch:
        in_force(running, patch)
        home = tmp_path_factory.mktemp("airflow")
        python("orchestration.manifest")
        python("orchestration.database", DECLARED, home=home)
        yield World(running, home)
    running.stack.down()


@pytest.fixture(scope="module")
def green(world: World) -> tuple[str, dict[str, str], str]:
    return world.run(BATCH, **CONF)


def test_the_batch_pipeline_ends_green_with_every_model_a_task(
    green: tuple[str, dict[str, str], str],
) -> None:
    state, tasks, said = green

    assert state == "success", said[-3000:]
    assert {name for name, end in tasks.items() if end != "success"} == {"restore"}
    manifest = json.loads(manifests.path().read_text())
    models = {n["name"] for n in manifest["nodes"].values() if n["resource_type"] == "model"}
    assert models <= {name.rpartition(".")[2] for name in tasks if name.startswith("dbt.")}


def test_gold_is_published_and_the_run_is_in_the_books(
    world: World, green: tuple[str, dict[str, str], str]
) -> None:
    del green
    [(builds,)] = world.query("select count(*) from ops.builds where status = 'published'")
    [(state, text)] = world.query("select state, summary from ops.runs")
    counts = json.loads(text)["counts"]

    assert (builds, state) == (1, "success")
    assert counts["records sent"] == counts["records compacted"] > 0
    assert (counts["reconciliation"], counts["gap"]) == ("ok", 0)
    with duckdb.connect(world.gold(), read_only=True) as db:
        [(rows,)] = db.execute("select count(*) from gold.gold_daily_metrics").fetchall()
    assert rows == 10  # five sessions of two symbols


@pytest.mark.long
def test_a_failing_test_fails_model_and_run_and_gold_stays(
    world: World, green: tuple[str, dict[str, str], str]
) -> None:
    """T6 and T14, through Airflow."""
    del green
    before = world.gold().read_bytes()
    with duckdb.connect(WarehouseSettings.load().file()) as db:
        db.execute(
            "insert into gold_candidate.gold_daily_metrics from gold_candidate.gold_daily_metrics"
        )

    state, tasks, said = world.run(BATCH, **CONF)

    assert state == "failed"
    failed = {name.rpartition(".")[2] for name, end in tasks.items() if end == "failed"}
    assert failed == {"gold_daily_metrics"}, said[-3000:]
    assert (tasks["publish"], tasks["restore"]) == ("upstream_failed", "success")
    assert world.gold().read_bytes() == before
    [(rows,)] = world.query("select count(*) from gold_candidate.gold_daily_metrics")
    assert rows == 10
    [(state, reason)] = world.query("select status, reason from ops.builds where status = 'failed'")
    assert "gold_daily_metrics failed" in reason


@pytest.mark.parametrize("panel", ["power_bi_stocks", "market_page"])
def test_a_panel_is_followed_to_the_offsets_of_kafka(
    world: World, green: tuple[str, dict[str, str], str], panel: str
) -> None:
    del green
    events = lineage.Events(lineage.read(lineage.folder()))

    origins = [events.origin(mart, lineage.shown()) for mart in lineage.marts_of(panel)]

    assert [one.mart for one in origins if one.unexplained] == []
    held = {place: end for one in origins for place, end in one.offsets.items()}
    logs = {one.place: one.end for one in Bronze().ends(["stock-market-batch"])}
    assert logs.items() <= held.items()
    assert sum(logs.values()) == 10


def test_an_event_that_has_not_landed_is_waited_for(world: World) -> None:
    """The sensor asks a real Kafka and a real store."""
    bronze = Bronze()
    targets = bronze.ends()
    beyond = [one._replace(end=one.end + 3) for one in targets]

    assert bronze.behind(targets) == []
    assert [row.missing for row in bronze.behind(beyond)] == [3] * len(targets)
