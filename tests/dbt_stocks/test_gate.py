"""The gate's commands on a whole project: what a failure leaves, and what a fix shows."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from dbt_stocks import asof, gate
from dbt_stocks.__main__ import app
from dbt_stocks.reader import GoldReader
from ingestion.clock import SystemClock
from ingestion.lock import project_lock
from tests.dbt_stocks.conftest import Project
from tests.dbt_stocks.raw import RawWarehouse, bar

CLOCK = SystemClock()


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
    judged = project.raw.query(
        "select status, failing_rows, model_name, dimension from ops.test_results "
        "where build_id = 'bad' and test_name = 'daily_stock_metrics_change'"
    )
    assert judged == [("fail", 1, "daily_stock_metrics", "validity")]


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


def test_publish_takes_no_now_since_marts_have_theirs() -> None:
    refused = CliRunner().invoke(app, ["publish", "--now", "2013-03-01T21:15:00"])

    assert refused.exit_code == 2
    assert "No such option: --now" in re.sub(r"\x1b\[[0-9;]*m", "", refused.output)


def marts_of(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of a published file; when tests ran is the wall clock's."""
    with duckdb.connect(file, read_only=True) as db:
        names = db.execute(
            "select table_name from duckdb_tables() where schema_name = 'gold'"
        ).fetchall()
        return {
            name: db.execute(
                f"select columns(lambda c: c <> 'tested_at') from gold.{name} order by all"
            ).fetchall()
            for (name,) in names
        }


def test_gold_as_of_a_build_is_what_that_build_published(project: Project) -> None:
    before = digest(project)
    past = project.state / "past"

    found = project.dbt_stocks("as-of", "--build", "first", "--into", str(past))

    assert found.returncode == 0, found.stdout + found.stderr
    expected = marts_of(project.gold / "gold-first.duckdb")
    rebuilt = marts_of(past / "gold" / "gold-first.duckdb")
    assert len(expected) >= 12
    assert sum(map(len, expected.values())) > 7000
    assert rebuilt.keys() == expected.keys()
    for mart, rows in expected.items():
        assert rebuilt[mart] == rows, mart
    assert digest(project) == before
    again = project.dbt_stocks("as-of", "--build", "first", "--into", str(past))
    assert again.returncode == 1
    assert "expected a folder without a warehouse" in again.stderr


def test_as_of_a_moment_holds_what_was_known_by_then(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was loaded later: the bar of 19:00 came with the second batch."""
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(project.state / "env"))
    monkeypatch.setattr(gate, "build", lambda *_: None)

    asof.of_moment(
        datetime(2013, 2, 25, 21, tzinfo=UTC), tmp_path / "past", gate.Report("x"), CLOCK, print
    )

    past = RawWarehouse(tmp_path / "past" / "warehouse" / "stocks_mds.duckdb")
    bars = past.query(
        "select close::double, batch_id from common.bars_raw "
        "where symbol = 'AAPL' and session_date = '2013-02-25' order by as_of"
    )
    assert bars == [(11.0, 1), (11.2, 2)]
    fetched = past.query(
        "select max(v['value']['fetched_at']::varchar), count(*) "
        "from common.bronze_stock_quotes_raw"
    )
    assert fetched[0][0] < "2013-02-25T21:00:00" and fetched[0][1] > 5
    for table in ("daily_stock_metrics_raw", "corporate_actions_raw"):
        assert past.value(f"select max(as_of) <= '2013-02-25 21:00:00' from common.{table}"), table


def test_a_rollback_and_the_next_build_give_the_same_as_no_rollback(project: Project) -> None:
    back = project.dbt_stocks("rollback", "--why", "looked wrong")

    assert back.returncode == 0, back.stderr
    assert back.stdout == "build first is shown, second is withdrawn\n"
    assert digest(project)[0] == "gold-first.duckdb"
    expected = marts_of(project.gold / "gold-second.duckdb")

    with GoldReader(project.gold) as reader:
        assert reader.build_id() == "first"
        project.build("--build-id", "third")
        assert reader.build_id() == "third"

    found = marts_of(project.gold / "gold-third.duckdb")
    assert found.keys() == expected.keys()
    for mart, rows in expected.items():
        if mart != "gold_dq_scorecard":  # it has a run more
            assert without_build(found[mart]) == without_build(rows), mart


def without_build(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    return [tuple(value for value in row if value not in ("second", "third")) for row in rows]


def test_a_wanted_loss_of_rows_is_accepted_by_name_and_noted(project: Project) -> None:
    project.raw.query(
        "delete from gold_candidate.dim_instrument where symbol = "
        "(select max(symbol) from gold_candidate.dim_instrument)"
    )

    published = project.dbt_stocks("publish", "--build-id", "less", "--accept", "dim_instrument")

    assert published.returncode == 0, published.stderr
    note = project.raw.value("select note from ops.builds where build_id = 'less'")
    assert note.startswith("accepted: dim_instrument: 14")
    assert "accepted: dim_instrument" in published.stderr


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
