"""Publishing without dbt: kills between any two steps, and readers in a loop."""

import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from dbt_stocks import publishing
from dbt_stocks.publishing import Gold
from dbt_stocks.reader import GoldReader
from ingestion.errors import BuildError
from tests.dbt_stocks.conftest import Project

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = 200


class KilledError(Exception):
    """Stands for a kill: nothing of ours catches it."""


def opened(project: Project) -> AbstractContextManager[Gold]:
    return publishing.open_gold(project.raw.path, project.gold)


def candidate(gold: Gold, value: int) -> None:
    """Make two marts whose rows all carry the build's number: a mixture would show."""
    for mart in ("mart_a", "mart_b"):
        gold.db.execute(
            f"create or replace table gold_candidate.{mart} as "
            f"select range as id, {value} as value, 'adhoc' as build_id from range({ROWS})"
        )


def published(gold: Gold, number: int) -> None:
    moment = NOW.replace(minute=number % 60, hour=number // 60)
    candidate(gold, number)
    publishing.begin(gold, f"b{number}", moment)
    publishing.publish(gold, f"b{number}", None, moment)


def shown(project: Project) -> tuple[str, set[int]]:
    """Return the build and the values that a fresh reader sees."""
    with GoldReader(project.gold) as reader:
        values = reader.query("select value from gold.mart_a union select value from gold.mart_b")
        return reader.build_id(), {row["value"] for row in values}


@pytest.mark.parametrize("step", ["write_file", "commit", "point", "prune", "_durable"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_anywhere_leaves_one_whole_build_and_the_next_command_heals(
    gold_only: Project, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)
    with opened(gold_only) as gold, monkeypatch.context() as patch, pytest.raises(KilledError):
        patch.setattr(publishing, step, killing(getattr(publishing, step), when))
        published(gold, 2)
    assert shown(gold_only) in [("b1", {1}), ("b2", {2})]

    with opened(gold_only) as gold:
        publishing.heal(gold)
        truth = gold.db.execute(
            "select build_id from ops.builds where status = 'published' "
            "order by finished_at desc limit 1"
        ).fetchall()[0][0]
        inside = gold.db.execute("select distinct build_id, value from gold.mart_a").fetchall()
        running = gold.db.execute(
            "select count(*) from ops.builds where status = 'running'"
        ).fetchall()

    build_id, values = shown(gold_only)
    assert build_id == truth
    assert inside == [(build_id, values.pop())]
    assert running == [(0,)]
    with opened(gold_only) as gold:
        published(gold, 3)
    assert shown(gold_only) == ("b3", {3})
    assert not list(gold_only.gold.glob(".*"))


def killing(step: Callable[..., object], when: str) -> Callable[..., object]:
    def killed(*arguments: object) -> object:
        if when == "after":
            step(*arguments)
        raise KilledError

    return killed


def test_an_interrupted_build_s_candidate_goes_back_to_gold(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)
        publishing.begin(gold, "b2", NOW)
        candidate(gold, 2)
        gold.db.execute("create table gold_candidate.new_mart as select 2 as value")

    with opened(gold_only) as gold:
        said = publishing.heal(gold)
        values = gold.db.execute("select distinct value from gold_candidate.mart_a").fetchall()
        marts = gold.db.execute(
            "select table_name from duckdb_tables() where schema_name = 'gold_candidate'"
        ).fetchall()

    assert values == [(1,)]
    assert ("new_mart",) not in marts
    assert "b2 was interrupted" in said[0]


def test_a_published_file_is_read_only_and_tells_its_build(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 7)

    path = (gold_only.gold / "current").resolve()
    with duckdb.connect(path, read_only=True) as db:
        found = db.execute("select build_id, status from ops.builds").fetchall()
        stamped = db.execute("select distinct build_id from gold.mart_a").fetchall()
    assert path.stat().st_mode & 0o222 == 0
    assert found == [("b7", "published")]
    assert stamped == [("b7",)]


def test_only_the_last_files_are_kept(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        for number in range(1, publishing.KEEP + 3):
            published(gold, number)

    names = sorted(path.name for path in gold_only.gold.glob("gold-*.duckdb"))
    assert names == [f"gold-b{n}.duckdb" for n in range(3, publishing.KEEP + 3)]


def test_a_build_id_is_used_once(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)

        with pytest.raises(BuildError, match="published already"):
            publishing.begin(gold, "b1", NOW)
        with pytest.raises(BuildError, match="expected a build id"):
            publishing.begin(gold, "../b", NOW)


def test_readers_in_a_loop_never_fail_nor_see_a_mixture(gold_only: Project) -> None:
    stop, seen, problems = threading.Event(), set(), []

    def read() -> None:
        with GoldReader(gold_only.gold) as reader:
            while not stop.is_set():
                try:
                    rows = reader.query(
                        "select distinct a.value, a.build_id, b.value as other, "
                        "o.build_id as build from gold.mart_a a join gold.mart_b b using (id) "
                        "cross join ops.builds o"
                    )
                except Exception as error:
                    problems.append(repr(error))
                    return
                row = rows[0]
                if (
                    len(rows) != 1
                    or row["value"] != row["other"]
                    or row["build_id"] != row["build"]
                ):
                    problems.append(str(rows))
                seen.add(row["value"])

    with opened(gold_only) as gold:
        published(gold, 1)
    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(2, 14):
        with opened(gold_only) as gold:
            published(gold, number)
    stop.set()
    for reader in readers:
        reader.join(timeout=30)

    assert problems == []
    assert len(seen) > 1, "the readers saw no build come"


def test_a_reader_in_another_process_sees_the_next_build(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)
    script = (
        "import sys, time; from pathlib import Path; from dbt_stocks.reader import GoldReader\n"
        "reader, last, end = GoldReader(Path(sys.argv[1])), '', time.monotonic() + 30\n"
        "while time.monotonic() < end and last != 'b2':\n"
        "    found = reader.build_id()\n"
        "    if found != last: print(found, flush=True)\n"
        "    last = found\n"
    )
    command = [sys.executable, "-c", script, str(gold_only.gold)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reading:
        assert reading.stdout is not None
        assert reading.stdout.readline() == "b1\n"

        with opened(gold_only) as gold:
            published(gold, 2)
        done = datetime.now(UTC)
        assert reading.stdout.readline() == "b2\n"
        assert (datetime.now(UTC) - done).total_seconds() < 5
        assert reading.wait(timeout=10) == 0


def test_nothing_published_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="found no build yet"):
        GoldReader(tmp_path).build_id()


def test_a_view_is_published_as_text_over_the_published_rows(gold_only: Project) -> None:
    sql = "select distinct value, build_id from gold.doubled"
    with opened(gold_only) as gold:
        gold.db.execute("create table gold_candidate.mart_a as select 0 as value, '' as build_id")
        gold.db.execute(
            "create view gold_candidate.doubled as "
            "select 2 * value as value, build_id from stocks_mds.gold_candidate.mart_a"
        )
        published(gold, 1)
        published(gold, 2)
        candidate(gold, 9)
        inside = gold.db.execute(sql).fetchall()

    with GoldReader(gold_only.gold) as reader:
        found = reader.query(sql)
    assert inside == [(4, "b2")], "neither the candidate's rows nor the build before"
    assert found == [{"value": 4, "build_id": "b2"}]
    with opened(gold_only) as gold:
        gold.db.execute("drop view gold_candidate.doubled")
        published(gold, 3)
        assert publishing.views.texts(gold.db, "gold") == {}
