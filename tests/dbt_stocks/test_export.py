"""Published gold as Parquet, read back by another reader than the one that wrote it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dbt_stocks import books, export, publishing
from dbt_stocks.books import Outcome
from ingestion.errors import BuildError
from tests.dbt_stocks.conftest import Project

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def publish(project: Project, number: int) -> None:
    with publishing.open_gold(project.raw.path, project.gold) as gold:
        gold.db.execute(
            "create or replace table gold_candidate.mart as select range as id, "
            f"{number}::decimal(38, 18) as price, 'adhoc' as build_id from range({100 + number}); "
            "create or replace view gold_candidate.mart_view as select id from gold_candidate.mart "
            "where id < 7"
        )
        moment = NOW + timedelta(minutes=number)
        books.begin(gold.db, f"b{number}", moment)
        gold.publish(f"b{number}", Outcome(moment))


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "export"


def shown(to: Path) -> set[str]:
    return {one.name for one in to.iterdir() if one.name != ".lock"}


def exported(project: Project, to: Path) -> export.Export:
    return export.export(project.gold, to, lambda _: None)


def test_tables_and_views_are_there_with_the_types_they_have(gold_only: Project, to: Path) -> None:
    publish(gold_only, 1)

    found = exported(gold_only, to)

    assert (found.build_id, found.rows) == ("b1", {"mart": 101, "mart_view": 7})
    table = pq.read_table(to / "current" / "mart.parquet")
    assert table.num_rows == 101
    assert str(table.schema.field("price").type).startswith("decimal128")
    assert set(table["build_id"].to_pylist()) == {"b1"}
    assert pq.read_table(to / "current" / "mart_view.parquet")["id"].to_pylist() == [*range(7)]


def test_a_build_that_is_there_is_not_written_again(gold_only: Project, to: Path) -> None:
    publish(gold_only, 1)
    first = exported(gold_only, to)
    before = (to / "current" / "mart.parquet").stat().st_ino

    assert exported(gold_only, to) == first
    assert (to / "current" / "mart.parquet").stat().st_ino == before


def test_the_build_before_stays_for_who_reads_it_and_no_more(gold_only: Project, to: Path) -> None:
    for number in (1, 2, 3):
        publish(gold_only, number)
        exported(gold_only, to)

    assert shown(to) == {"gold-b2", "gold-b3", "current"}
    assert (to / "current").readlink() == Path("gold-b3")


def test_what_a_killed_export_left_is_taken_for_nothing(gold_only: Project, to: Path) -> None:
    publish(gold_only, 1)
    left = to / ".gold-b1.tmp"
    left.mkdir(parents=True)
    (left / "mart.parquet").write_text("half")

    assert exported(gold_only, to).rows["mart"] == 101
    assert not left.exists()


def test_an_export_that_fails_shows_what_was_shown(
    gold_only: Project, to: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(gold_only, 1)
    exported(gold_only, to)
    publish(gold_only, 2)

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "durable", full)
    with pytest.raises(OSError, match="No space left"):
        exported(gold_only, to)

    assert (to / "current").readlink() == Path("gold-b1")
    assert shown(to) == {"gold-b1", "current"}


def test_two_exports_at_once_are_one(gold_only: Project, to: Path) -> None:
    publish(gold_only, 1)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: exported(gold_only, to), range(4)))

    assert found == [found[0]] * 4
    assert found[0].rows == {"mart": 101, "mart_view": 7}


def test_a_folder_that_lacks_a_mart_is_not_shown(gold_only: Project, to: Path) -> None:
    publish(gold_only, 1)
    exported(gold_only, to)
    (to / "gold-b1" / "mart.parquet").unlink()

    with pytest.raises(BuildError, match="expected files of mart, mart_view, found 1"):
        exported(gold_only, to)


def test_without_a_build_the_error_says_so(gold_only: Project, to: Path) -> None:
    with pytest.raises(BuildError, match="found no build yet"):
        exported(gold_only, to)
    assert not to.exists()
