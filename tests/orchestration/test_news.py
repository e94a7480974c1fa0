"""When the minute path builds: decided by the warehouse's own books."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped

from dbt_stocks import books
from ingestion.load import duckdb_warehouse
from ingestion.settings import WarehouseSettings
from orchestration.news import NewsOperator, look
from orchestration.summary import summarise, write
from tests.orchestration.ti import Ti, context

NOON = datetime(2026, 11, 25, 12)  # noqa: DTZ001 - as the engine has it


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[WarehouseSettings]:
    """A warehouse with the loader's own tables, and no build."""
    found = WarehouseSettings(path=tmp_path / "w.duckdb")
    ddl = Path(duckdb_warehouse.__file__).with_name("duckdb.sql").read_text()
    with duckdb.connect(found.file()) as db:
        db.execute(ddl)
    yield found


def load(settings: WarehouseSettings, at: datetime, rows: int = 10) -> None:
    with duckdb.connect(settings.file()) as db:
        db.execute(
            "insert into ops.load_ledger by name select 'common.x' as target, ? as file, "
            "null as snapshot_id, ? as rows, 1 as bytes, 1 as batch_id, ? as loaded_at",
            [f"{at:%H%M%S}-{rows}", rows, at],
        )


def build(settings: WarehouseSettings, at: datetime, status: str) -> None:
    with duckdb.connect(settings.file()) as db:
        for statement in books.DDL:
            db.execute(statement)
        db.execute(
            "insert into ops.builds by name select ? as build_id, ? as status, ? as started_at",
            [f"{at:%H%M%S}", status, at],
        )


def due(settings: WarehouseSettings) -> bool:
    return look(settings, Ti.dag_id, lambda _: None).is_due


def test_before_the_first_build_everything_is_news(settings: WarehouseSettings) -> None:
    assert due(settings)


def test_what_was_loaded_before_the_published_build_is_none(settings: WarehouseSettings) -> None:
    load(settings, NOON)
    build(settings, NOON + timedelta(seconds=1), "published")

    assert not due(settings)


def test_what_was_loaded_after_it_is(settings: WarehouseSettings) -> None:
    build(settings, NOON, "published")
    load(settings, NOON + timedelta(seconds=1))

    assert due(settings)


def test_a_file_without_rows_is_none(settings: WarehouseSettings) -> None:
    build(settings, NOON, "published")
    load(settings, NOON + timedelta(seconds=1), rows=0)

    assert not due(settings)


@pytest.mark.parametrize("status", ["failed", "interrupted", "running", "withdrawn"])
def test_rows_of_a_build_that_did_not_come_through_stay_news(
    settings: WarehouseSettings, status: str
) -> None:
    build(settings, NOON, "published")
    load(settings, NOON + timedelta(seconds=1))
    build(settings, NOON + timedelta(seconds=2), status)

    assert due(settings)


def told(settings: WarehouseSettings, at: datetime, state: str, dag_id: str = Ti.dag_id) -> None:
    run = (dag_id, f"{at:%H%M%S}", None)
    write(summarise(run, {"load": state}, {}, at.replace(tzinfo=UTC)), settings)


def asked(settings: WarehouseSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_PATH", str(settings.file()))
    NewsOperator(task_id="news", skips="build").execute(context(Ti()))


def test_without_news_all_that_follows_is_skipped(
    settings: WarehouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(settings, NOON, "published")
    told(settings, NOON, "failed")
    told(settings, NOON + timedelta(minutes=1), "success")
    told(settings, NOON + timedelta(minutes=2), "failed", dag_id="another")

    with pytest.raises(AirflowSkipException):
        asked(settings, monkeypatch)


def test_without_news_a_page_that_tells_of_a_failure_is_followed_by_another(
    settings: WarehouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the newest page would tell of it until something is loaded: a weekend long."""
    build(settings, NOON, "published")
    told(settings, NOON, "success")
    told(settings, NOON + timedelta(minutes=1), "failed")

    with pytest.raises(DownstreamTasksSkipped) as skipped:
        asked(settings, monkeypatch)
    assert skipped.value.tasks == ["build"]


def test_with_news_nothing_is_skipped(
    settings: WarehouseSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(settings, NOON, "published")
    load(settings, NOON + timedelta(seconds=1))
    told(settings, NOON, "failed")

    asked(settings, monkeypatch)
