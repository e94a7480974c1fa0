"""Publishing and going back without dbt; kills and full disks are `tests/drill/publish`."""

import subprocess
import sys
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from dbt_stocks import books, catalog, comparison, engine, files, publishing, state, views
from dbt_stocks.books import Outcome
from dbt_stocks.comparison import Bands
from dbt_stocks.publishing import DuckDBGold
from dbt_stocks.reader import GoldReader
from ingestion.errors import BuildError
from ingestion.settings import ROOT
from tests.dbt_stocks.conftest import Project
from tests.dbt_stocks.raw import action, bar

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = 200


def opened(project: Project) -> AbstractContextManager[DuckDBGold]:
    return publishing.open_gold(project.raw.path, project.gold)


def candidate(gold: DuckDBGold, value: int) -> None:
    """Make two marts whose rows all carry the build's number: a mixture would show."""
    for mart in ("mart_a", "mart_b"):
        gold.db.execute(
            f"create or replace table gold_candidate.{mart} as "
            f"select range as id, {value} as value, 'adhoc' as build_id from range({ROWS})"
        )


def published(gold: DuckDBGold, number: int) -> None:
    moment = NOW.replace(minute=number % 60, hour=number // 60)
    candidate(gold, number)
    books.begin(gold.db, f"b{number}", moment)
    gold.publish(f"b{number}", Outcome(moment))


def shown(project: Project) -> tuple[str, set[int]]:
    """Return the build and the values that a fresh reader sees."""
    with GoldReader(project.gold) as reader:
        values = reader.query("select value from gold.mart_a union select value from gold.mart_b")
        return reader.build_id(), {row["value"] for row in values}


def test_an_interrupted_build_s_candidate_goes_back_to_gold(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)
        books.begin(gold.db, "b2", NOW)
        candidate(gold, 2)
        gold.db.execute("create table gold_candidate.new_mart as select 2 as value")

    with opened(gold_only) as gold:
        said = gold.heal()
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
        for number in range(1, books.KEEP + 3):
            published(gold, number)

    names = sorted(path.name for path in gold_only.gold.glob("gold-*.duckdb"))
    assert names == [f"gold-b{n}.duckdb" for n in range(3, books.KEEP + 3)]


def test_a_build_id_is_used_once(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)

        with pytest.raises(BuildError, match="published already"):
            books.begin(gold.db, "b1", NOW)
        with pytest.raises(BuildError, match="expected a build id"):
            books.begin(gold.db, "../b", NOW)


def test_a_page_of_several_queries_is_of_one_build(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)

    with GoldReader(gold_only.gold) as reader, reader.pinned() as page:
        assert page.build_id() == "b1"
        for number in range(2, books.KEEP + 3):
            with opened(gold_only) as gold:
                published(gold, number)
        # Somebody else's query on the same reader moves on, and closes the file behind us.
        assert reader.build_id() == f"b{books.KEEP + 2}"

        found = page.query("select distinct value from gold.mart_a")
        assert (page.build_id(), found) == ("b1", [{"value": 1}])


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
        assert views.texts(gold.db, "gold") == {}
    with GoldReader(gold_only.gold) as reader:
        assert reader.query("select count(*) as n from information_schema.views "
                            "where table_schema = 'gold'") == [{"n": 0}]  # fmt: skip

    with opened(gold_only) as gold:
        gold.rollback("b2", NOW, "")
        assert gold.db.execute(sql).fetchall() == [(4, "b2")], "a view comes back with its rows"


def test_a_rollback_shows_the_build_before_and_the_next_one_goes_on_from_it(
    gold_only: Project,
) -> None:
    with opened(gold_only) as gold:
        for number in (1, 2, 3):
            published(gold, number)

    with opened(gold_only) as gold, GoldReader(gold_only.gold) as staying:
        assert staying.build_id() == "b3"
        assert gold.rollback(None, NOW, "wrong volumes") == ("b3", "b2")
        assert staying.build_id() == "b2"
        rows = gold.db.execute(
            "select distinct value, build_id from gold_candidate.mart_a union all "
            "select distinct value, build_id from gold.mart_a"
        ).fetchall()
        status = gold.db.execute(
            "select build_id, status, reason from ops.builds where build_id <> 'b1' order by all"
        ).fetchall()

    assert rows == [(2, "b2")] * 2
    assert status == [
        ("b2", "published", None),
        ("b3", "withdrawn", "went from b3 to b2 at 2026-11-01 00:00:00Z: wrong volumes"),
    ]
    with opened(gold_only) as gold:
        published(gold, 4)
        # The one before is that which readers had before, and not what was withdrawn.
        assert gold.rollback(None, NOW, "")[1] == "b2"
        assert books.published(gold.db) == ["b2", "b1"]


def test_a_rollback_goes_to_any_build_that_has_its_file_and_forth_again(
    gold_only: Project,
) -> None:
    with opened(gold_only) as gold:
        for number in (1, 2, 3):
            published(gold, number)
        gold.rollback("b1", NOW, "")
        assert shown(gold_only) == ("b1", {1})
        assert books.published(gold.db) == ["b1"]

        gold.rollback("b3", NOW, "it was right")
        assert shown(gold_only) == ("b3", {3})
        assert books.published(gold.db) == ["b3", "b1"]


@pytest.mark.parametrize(
    ("to", "complaint"),
    [
        ("b3", "expected another build than the one shown, found b3"),
        ("b9", "expected a published build, found b9; published are: b3, b2, b1"),
        ("b1", "expected the build's file .*gold-b1.duckdb, found none"),
        ("b2", "expected the file of build b2, found .*other"),
    ],
)
def test_a_rollback_that_cannot_be_leaves_everything(
    gold_only: Project, to: str, complaint: str
) -> None:
    with opened(gold_only) as gold:
        for number in (1, 2, 3):
            published(gold, number)
    files.path_of(gold_only.gold, "b1").unlink()
    other = files.path_of(gold_only.gold, "b2")
    other.chmod(0o644)
    with duckdb.connect(other) as db:
        db.execute("update ops.builds set build_id = 'other'")

    with pytest.raises(BuildError, match=complaint), opened(gold_only) as gold:
        gold.rollback(to, NOW, "")

    assert shown(gold_only) == ("b3", {3})
    with opened(gold_only) as gold:
        assert books.published(gold.db)[0] == "b3"


def test_a_first_build_has_none_before_it(gold_only: Project) -> None:
    with opened(gold_only) as gold, pytest.raises(BuildError, match="found none published"):
        gold.rollback(None, NOW, "")
    with opened(gold_only) as gold:
        published(gold, 1)
        with pytest.raises(BuildError, match="expected a build before b1"):
            gold.rollback(None, NOW, "")


def test_a_mart_of_other_columns_is_built_anew_after_a_rollback(gold_only: Project) -> None:
    """Its rows would not fit the model that has changed since; rows of none always do."""
    with opened(gold_only) as gold:
        published(gold, 1)
        candidate(gold, 2)
        gold.db.execute("alter table gold_candidate.mart_a add column more integer")
        gold.db.execute("create table gold_candidate.mart_c as from gold_candidate.mart_b")
        books.begin(gold.db, "b2", NOW)
        gold.publish("b2", Outcome(NOW))

        gold.rollback(None, NOW, "")
        marts = gold.db.execute(
            "select table_name from duckdb_tables() where schema_name = 'gold_candidate'"
        ).fetchall()
        gold_marts = gold.db.execute(
            "select table_name from duckdb_tables() where schema_name = 'gold' order by all"
        ).fetchall()

    assert marts == [("mart_b",)]
    assert gold_marts == [("mart_a",), ("mart_b",)]


def test_a_clock_set_back_does_not_bring_back_an_old_build(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 500)
        published(gold, 1)
        said = gold.heal()

    assert said == []
    assert shown(gold_only) == ("b1", {1})


def test_books_of_before_publications_were_numbered_are_read(gold_only: Project) -> None:
    gold_only.raw.query(
        "create table ops.builds (build_id varchar not null primary key, status varchar not null, "
        "reason varchar, as_of timestamp, started_at timestamp not null, finished_at timestamp)"
    )
    gold_only.raw.query(
        "insert into ops.builds by name select * from (values ('new', '2026-02-02'), "
        "('old', '2026-01-01')) as t(build_id, started_at), (select 'published' as status) "
    )
    gold_only.raw.query("update ops.builds set finished_at = started_at")

    with opened(gold_only) as gold:
        assert books.published(gold.db) == ["new", "old"]
        published(gold, 3)
        assert books.published(gold.db) == ["b3", "new", "old"]


def test_a_commit_that_was_reported_as_failed_is_published(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)
        candidate(gold, 2)
        books.begin(gold.db, "b2", NOW)
        gold.commit(books.finished(gold.db, "b2", Outcome(NOW)))

        assert gold.settle("b2", "an error after the commit", NOW)

    assert shown(gold_only) == ("b2", {2})


def rests_on(gold: DuckDBGold, name: str, batch: int | None, generation: int = 1) -> None:
    """Write down what a table rests on, as dbt's hooks do."""
    schema = "gold_candidate" if name.startswith("mart") else "silver"
    gold.db.execute("delete from ops.model_state where kept_for = '' and model_name = ?", [name])
    gold.db.execute(
        "insert into ops.model_state values (?, ?, ?, ?, null, null, 'adhoc', '')",
        [schema, name, batch, generation],
    )


def states(gold: DuckDBGold) -> list[tuple[object, ...]]:
    return gold.db.execute(
        "select model_name, covered_batch, generation from ops.model_state "
        "where kept_for = '' order by all"
    ).fetchall()


def test_the_state_of_the_candidate_goes_with_its_rows(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        for number in (1, 2):
            rests_on(gold, "silver_a", number, number)
            rests_on(gold, "mart_a", number, number)
            rests_on(gold, "mart_b", number, number)
            published(gold, number)
        second = states(gold)
        gold.db.execute("alter table gold_candidate.mart_b add column more integer")
        rests_on(gold, "mart_a", 3, 3)
        books.begin(gold.db, "b3", NOW)
        assert not gold.settle("b3", "a test failed", NOW)
        assert states(gold) == [("mart_a", 2, 2), ("silver_a", 2, 2)], "mart_b is made anew"

        rests_on(gold, "silver_a", 3, 3)
        gold.rollback(None, NOW, "")
        assert states(gold) == [("mart_a", 1, 1), ("silver_a", 3, 3)], "silver stays as it is"
        candidate(gold, 4)
        gold.rollback("b2", NOW, "it was right")
        assert states(gold) == [*second[:2], ("silver_a", 3, 3)]

        books.begin(gold.db, "b5", NOW)
        rests_on(gold, "mart_a", 5, 5)
    with opened(gold_only) as gold:
        gold.heal()
        assert states(gold) == [*second[:2], ("silver_a", 3, 3)]


def test_states_are_kept_as_long_as_the_files(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        rests_on(gold, "mart_a", 1)
        for number in range(1, books.KEEP + 3):
            published(gold, number)
        kept = gold.db.execute(
            "select kept_for from ops.model_state where kept_for <> '' order by all"
        ).fetchall()

    assert kept == [(f"b{number}",) for number in range(3, books.KEEP + 3)]


def test_what_is_no_mart_is_dropped_and_never_gold(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        candidate(gold, 1)
        gold.db.execute("create table gold_candidate.old_mart as select 1 as n, 'b0' as build_id")
        gold.db.execute("create view gold_candidate.old_view as select 1 as n")
        marts = set(catalog.tables(gold.db, "gold_candidate")) - {"old_mart"}

        assert engine.drop_strangers(gold.db, marts) == ["old_view", "old_mart"]
        assert set(catalog.tables(gold.db, "gold_candidate")) == marts
        assert engine.drop_strangers(gold.db, marts) == []


def test_dbt_and_the_gate_make_the_same_table_of_states() -> None:
    macro = (ROOT / "dbt_stocks/macros/model_state.sql").read_text()
    assert " ".join(state.DDL.split()) in " ".join(macro.split())


PARENTS = {
    "silver_a": (),
    "silver_b": (),
    "mart_a": ("silver_a", "silver_b"),
    "mart_b": ("mart_a",),
}
RAW = {
    "silver_a": {"common.bars_raw"},
    "silver_b": set[str](),
    "mart_a": {"common.bars_raw", "common.corporate_actions_raw"},
    "mart_b": {"common.bars_raw", "common.corporate_actions_raw"},
}


def test_tables_of_different_batches_or_of_before_a_rebuild_are_no_build(
    gold_only: Project,
) -> None:
    raw = gold_only.raw
    raw.bars([bar("AAPL", date(2013, 3, 4), ("1", "1", "1", "1"))])
    raw.batch = 3
    raw.actions([action("AAPL", date(2013, 3, 4), "split", "2")])
    with opened(gold_only) as gold:
        for name, batch in (("silver_a", 3), ("silver_b", None), ("mart_a", 3), ("mart_b", 3)):
            rests_on(gold, name, batch)
        rests_on(gold, "gone", 9, 9)
        assert state.require_one(gold.db, PARENTS, RAW) == 3

        rests_on(gold, "silver_a", 1)  # has all bars; the actions came later
        assert state.require_one(gold.db, PARENTS, RAW) == 3
        rests_on(gold, "silver_a", 0)
        with pytest.raises(BuildError, match="found silver_a without load batch 1; gold"):
            state.require_one(gold.db, PARENTS, RAW)
        rests_on(gold, "silver_a", 3)

        rests_on(gold, "mart_a", 2)
        rests_on(gold, "mart_b", 2)
        with pytest.raises(BuildError, match="found mart_a and 1 more without load batch 3; gold"):
            state.require_one(gold.db, PARENTS, RAW)
        rests_on(gold, "mart_a", 3, 2)
        rests_on(gold, "mart_b", 3, 1)
        with pytest.raises(BuildError, match="found mart_b of before a rebuild of what they read"):
            state.require_one(gold.db, PARENTS, RAW)
        gold.db.execute("delete from ops.model_state where model_name = 'silver_b'")
        with pytest.raises(BuildError, match="found silver_b not built; mart_b of before"):
            state.require_one(gold.db, PARENTS, RAW)


BANDS = Bands.model_validate(
    {
        "default": {
            "lose": {"share": 0.1, "rows": 5, "reason": "few"},
            "gain": {"share": 1, "rows": 50, "reason": "many"},
        },
        "marts": {"strict": {"lose": {"share": 0, "rows": 0, "reason": "none ever"}}},
    }
)


@pytest.mark.parametrize(
    ("mart", "before", "after", "expected"),
    [
        ("mart", 200, 180, None),
        ("mart", 200, 179, "at least 180 (few)"),
        ("mart", 20, 15, None),
        ("mart", 20, 14, "at least 15 (few)"),
        ("mart", 200, 400, None),
        ("mart", 200, 401, "at most 400 (many)"),
        ("mart", 20, 70, None),
        ("mart", 20, 71, "at most 70 (many)"),
        ("mart", 0, 5000, None),
        ("mart", 5, 1, None),
        ("mart", 5, 0, "at least one"),
        ("strict", 200, 199, "at least 200 (none ever)"),
        ("strict", 200, 400, None),
    ],
)
def test_rows_stay_within_a_share_or_a_number(
    mart: str, before: int, after: int, expected: str | None
) -> None:
    found = comparison.rows_changed(BANDS, {mart: before}, {mart: after, "new": 7})

    assert [one.expected for one in found] == ([expected] if expected else [])


def test_an_unexpected_change_stops_unless_it_is_accepted(gold_only: Project) -> None:
    with opened(gold_only) as gold:
        published(gold, 1)
        gold.db.execute("delete from gold_candidate.mart_a where id >= 150")
        gold.db.execute("drop table gold_candidate.mart_b")

        with pytest.raises(BuildError, match="mart_a: 200 rows published, 150 now") as refused:
            comparison.accept(gold.db, BANDS, [])
        assert "mart_b: 200 rows published, the mart is gone" in str(refused.value)
        assert "--accept mart_a --accept mart_b" in str(refused.value)
        with pytest.raises(BuildError, match="mart_b: 200 rows") as refused:
            comparison.accept(gold.db, BANDS, ["mart_a"])
        assert "mart_a" not in str(refused.value)
        with pytest.raises(BuildError, match="expected marts to accept changes of, found mart_x"):
            comparison.accept(gold.db, BANDS, ["mart_x"])
        assert comparison.accept(gold.db, BANDS, ["mart_a", "mart_b"]) == [
            "accepted: mart_a: 200 rows published, 150 now",
            "accepted: mart_b: 200 rows published, the mart is gone",
        ]


def test_a_feed_that_goes_back_in_time_is_found(gold_only: Project) -> None:
    feeds = (
        "create or replace table {}.gold_freshness as select * from (values "
        "('yahoo', 'quotes', {}, false), ('yahoo', 'windows', timestamp '2026-11-02', {}), "
        "('finnhub', 'quotes', timestamp '2026-11-02', false)) "
        "as t(source, feed, last_event_at, simulated)"
    )
    with opened(gold_only) as gold:
        gold.db.execute(feeds.format("gold", "timestamp '2026-11-02'", "true"))
        gold.db.execute(feeds.format("gold_candidate", "timestamp '2026-11-01'", "false"))
        gold.db.execute(
            "update gold_candidate.gold_freshness set last_event_at = '2013-01-01' "
            "where feed = 'windows'"
        )
        gold.db.execute("delete from gold_candidate.gold_freshness where source = 'finnhub'")

        found = [one.change for one in comparison.feeds_gone_back(gold.db)]

    assert found == [
        "finnhub quotes has nothing after the beginning",
        "yahoo quotes has nothing after 2026-11-01 00:00:00",
    ]


def test_the_project_s_bands_are_read_and_nonsense_is_refused(tmp_path: Path) -> None:
    assert comparison.bands().may_lose("dim_session").rows == 0

    (tmp_path / "bands.yml").write_text("default: {lose: {share: -1, rows: 1, reason: x}}\n")
    with pytest.raises(BuildError, match=r"bands\.yml"):
        Bands.read(tmp_path / "bands.yml")
