"""What is old goes, of logs and of a real metadata database; what is not stays."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingestion.errors import StackError
from orchestration import prune
from tests import postgres
from tests.orchestration.conftest import HOME, python

NOW = datetime.now(UTC)
RUN = """
insert into dag_run (
    dag_id, run_id, run_type, run_after, start_date, end_date, state, queued_at, clear_number,
    created_at, updated_at
)
values ('d', '{name}', 'manual', '{at}', '{at}', '{at}', 'success', '{at}', 0, '{at}', '{at}')
"""
RUNS = [
    RUN.format(name=name, at=f"{at:%Y-%m-%d %H:%M:%S.%f}")
    for name, at in {"old": NOW - timedelta(days=60), "new": NOW, "last": NOW}.items()
]
LEFT = "select run_id from dag_run where dag_id = 'd'"


def test_logs_of_old_runs_and_days_go(tmp_path: Path) -> None:
    old, new = (tmp_path / f"dag_id=d/run_id={name}/task_id=t" for name in ("old", "new"))
    days = [tmp_path / "dag_processor" / day for day in ("2020-01-01", "2020-01-02")]
    for folder in (old, new, *days):
        folder.mkdir(parents=True)
        (folder / "a.log").write_text("x")
    (tmp_path / "dag_processor" / "latest").symlink_to(days[1])
    for folder in (old, days[0]):
        _age(folder.parent if folder is old else folder)

    assert prune.remove_logs(tmp_path, NOW - timedelta(days=30)) == 2

    assert not old.parent.exists()
    assert not days[0].exists()
    assert (new / "a.log").is_file()
    assert (days[1] / "a.log").is_file()


def _age(folder: Path) -> None:
    long_ago = (NOW - timedelta(days=60)).timestamp()
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (long_ago, long_ago))


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Makes a task's process of this one, in an Airflow whose configuration names a database."""

    def configure(database: str) -> None:
        config = tmp_path / "airflow.cfg"
        config.write_text(f"[database]\nsql_alchemy_conn = {database}\n")
        monkeypatch.setenv("AIRFLOW_CONFIG", str(config))
        for section in ("DATABASE", "CORE"):
            name = f"AIRFLOW__{section}__SQL_ALCHEMY_CONN"
            monkeypatch.setenv(name, "airflow-db-not-allowed:///")
        # Its services have the URL in their configuration alone.
        monkeypatch.delenv("AIRFLOW_DATABASE_URL", raising=False)

    return configure


@pytest.fixture
def database(airflow_database: None, configured: Callable[[str], None]) -> Path:
    path = HOME / "airflow.db"
    configured(f"sqlite:///{path}")
    return path


def test_old_runs_leave_the_metadata_and_new_ones_stay(database: Path) -> None:
    with closing(sqlite3.connect(database)) as db, db:
        for run in RUNS:
            db.execute(run)

    prune.clean_database(NOW - timedelta(days=30))

    with closing(sqlite3.connect(database)) as db, db:
        runs = {run for (run,) in db.execute(LEFT)}
        db.execute("delete from dag_run where dag_id = 'd'")
    assert runs == {"new", "last"}


@pytest.mark.long
@pytest.mark.integration
def test_old_runs_leave_the_metadata_in_postgresql_too(
    configured: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.started() as cluster:
        cluster.role("airflow")
        cluster.run("create database airflow owner airflow")
        url = cluster.url("airflow", "airflow").replace("postgresql:", "postgresql+psycopg2:")
        monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url)
        python("airflow", "db", "migrate")
        cluster.run(*RUNS, user="airflow", database="airflow")
        configured(url)

        prune.clean_database(NOW - timedelta(days=30))

        assert {run for (run,) in cluster.rows(LEFT, database="airflow")} == {"new", "last"}


def test_a_database_that_cannot_be_cleaned_is_an_error(
    configured: Callable[[str], None], tmp_path: Path
) -> None:
    configured(f"sqlite:///{tmp_path}/none/airflow.db")

    with pytest.raises(StackError, match="airflow db clean ended with 1"):
        prune.clean_database(NOW)


def test_without_a_configuration_nothing_is_taken_for_the_metadata(
    database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONFIG", str(tmp_path / "none.cfg"))

    with pytest.raises(StackError, match=r"found no .*/none\.cfg"):
        prune.clean_database(NOW)
    assert not (tmp_path / "none.cfg").exists()
