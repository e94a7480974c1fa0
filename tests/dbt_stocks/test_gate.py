"""The gate's commands on a whole project: what a failure leaves, and what a fix shows."""

import hashlib
import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from dbt_stocks.reader import GoldReader
from ingestion.lock import project_lock
from tests.dbt_stocks.conftest import Project
from tests.dbt_stocks.raw import bar


@pytest.fixture
def project(two_batches: Project, tmp_path: Path) -> Project:
    """A copy of the built project, to spoil."""
    shutil.copytree(two_batches.state, tmp_path / "state", symlinks=True)
    (tmp_path / "state" / "env").write_text(f"TAPEHOUSE_STATE_DIR={tmp_path / 'state'}\n")
    return Project(tmp_path / "state")


def digest(project: Project) -> tuple[str, str]:
    """Return the published file's name and checksum."""
    current = (project.gold / "current").resolve()
    return current.name, hashlib.sha256(current.read_bytes()).hexdigest()


def metrics(project: Project) -> list[tuple[object, ...]]:
    return project.raw.query(
        "select * exclude (build_id) from gold_candidate.daily_stock_metrics order by all"
    )


def test_a_failing_test_leaves_gold_as_it_was_and_fails_the_command(project: Project) -> None:
    before = digest(project)
    shown = project.raw.query("select * from gold.gold_kpi order by symbol")
    candidate = metrics(project)
    raw = project.raw
    # A metric whose change contradicts its prices: the identity test on the mart has to see it.
    raw.batch, raw.offsets = 3, {"stock-market-batch": 200}
    raw.bars([bar("IBM", date(2013, 2, 26), ("10", "12", "9", "11"))])
    raw.query("update common.daily_stock_metrics_raw set daily_change = 77 where symbol = 'IBM'")

    report = project.state / "report.json"
    failed = project.dbt_stocks("build", "--build-id", "bad", "--report", str(report))

    assert failed.returncode == 1
    assert "daily_stock_metrics_change" in failed.stderr and "1 failing rows" in failed.stderr
    assert json.loads(report.read_text())["status"] == "failed"
    assert digest(project) == before
    assert project.raw.query("select * from gold.gold_kpi order by symbol") == shown
    assert metrics(project) == candidate
    assert project.raw.value("select status from ops.builds where build_id = 'bad'") == "failed"


def test_the_next_good_build_is_seen_by_a_reader_that_stayed(project: Project) -> None:
    with GoldReader(project.gold) as reader:
        assert reader.build_id() == "second"

        project.build("--build-id", "third")

        assert reader.build_id() == "third"


def test_publish_tests_the_whole_project_first(project: Project) -> None:
    before = digest(project)
    project.raw.query("update gold_candidate.gold_kpi set current_price = -1 where symbol = 'AAPL'")

    failed = project.dbt_stocks("publish")

    assert failed.returncode == 1
    assert "gold_kpi_positive" in failed.stderr
    assert digest(project) == before
    assert project.raw.value("select min(current_price) from gold_candidate.gold_kpi") > 0


def test_a_missing_warehouse_is_one_readable_line(tmp_path: Path) -> None:
    (tmp_path / "env").write_text(f"TAPEHOUSE_STATE_DIR={tmp_path}\n")

    failed = Project(tmp_path).dbt_stocks("build")

    assert failed.returncode == 1
    assert failed.stderr.startswith("error: expected a warehouse at")
    assert failed.stderr.count("\n") == 1


def test_dbt_by_hand_waits_for_the_lock_and_says_so(project: Project) -> None:
    warehouse = project.raw.path
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, 'dbt_stocks')\n"
        "from lock_plugin import _acquire\n"
        "from filelock import FileLock\n"
        "path = Path(sys.argv[1])\n"
        "_acquire(FileLock(path, is_singleton=True, thread_local=False), path)\n"
        "print('got it')"
    )
    lock = warehouse.with_suffix(".lock")
    command = [sys.executable, "-c", script, str(lock)]
    with project_lock(lock):
        waiting = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert waiting.stderr is not None
        assert "waiting for the warehouse lock" in waiting.stderr.readline()
        assert waiting.poll() is None

    assert waiting.communicate(timeout=20)[0] == "got it\n"
