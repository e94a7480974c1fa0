"""Gold on Snowflake without dbt: published, taken back, killed and left without answers.

The emulator has no transactions, and does not swap schemas itself (`tests/emulator/schemas.py`).
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from snowflake.connector import SnowflakeConnection
from snowflake.connector.cursor import SnowflakeCursor
from snowflake.connector.errors import OperationalError
from sqlglot import exp

from dbt_stocks import books, catalog, comparison, engine, lease, scorecard, state, views
from dbt_stocks.books import Outcome
from dbt_stocks.comparison import Bands
from dbt_stocks.runner import NodeResult
from dbt_stocks.snowflake_publishing import Rows, SnowflakeGold, SnowflakeSession, open_gold
from ingestion.errors import (
    BuildError,
    SnowflakeAwayError,
    SnowflakeError,
    WarehouseLockedError,
)
from ingestion.snowflake import diagnosis, rights
from tests.emulator.process import Emulator

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = 20
READER = "STOCKS_MDS_READER"
GOLDEN = Path(__file__).with_name("publication.sql")
_NUMBERS = count(1)
_SEEN = (
    "select a.value, a.build_id, b.value, b.build_id, v.build_id, p.build_id, count(*) "
    "from gold.mart_a as a inner join gold.mart_b as b on a.id = b.id "
    "inner join gold.mart_view as v on a.id = v.id cross join gold.published_build as p "
    "group by 1, 2, 3, 4, 5, 6"
)


class Killed(BaseException):
    """What a killed process does: nothing more."""


@dataclass
class Fault:
    """Counts statements; at number ``at`` something happens, and after a kill nothing more does."""

    statements: list[str] = field(default_factory=list)
    at: int | None = None
    loses_the_answer: bool = False

    def plan(self, at: int | None, loses_the_answer: bool = False) -> None:
        self.statements, self.at, self.loses_the_answer = [], at, loses_the_answer

    def around(self, run: Callable[[], Any], statement: str) -> Any:
        number = len(self.statements)
        self.statements.append(statement)
        if self.at is None or number < self.at:
            return run()
        if not self.loses_the_answer:
            raise Killed
        self.at = None
        run()
        raise diagnosis.of_statement(OperationalError("no answer", errno=250001), "lost")


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    found = Fault()
    execute = SnowflakeSession.execute

    def counting(self: SnowflakeSession, statement: str, parameters: Any = (), /) -> Any:
        return found.around(lambda: execute(self, statement, parameters), statement)

    monkeypatch.setattr(SnowflakeSession, "execute", counting)
    return found


@dataclass(frozen=True)
class Place:
    """A database, and what its readers see."""

    emulator: Emulator
    database: str
    reading: SnowflakeConnection

    def opened(self, holder: str = "here/1") -> AbstractContextManager[SnowflakeGold]:
        return open_gold(lambda: self.emulator.connect(self.database), READER, holder)

    def seen(self) -> int:
        """Return the number of the one build that a reader sees, all of it."""
        rows = self.rows(_SEEN)
        number = int(rows[0][0]) if rows else 0
        name = f"b{number}"
        assert rows == [(number, name, number, name, name, name, ROWS)]
        return number

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.reading.cursor() as cursor:
            return [tuple(row) for row in cursor.execute(sql).fetchall()]

    def schemas(self) -> set[str]:
        rows = self.rows(
            "select lower(schema_name) from information_schema.schemata "
            "where catalog_name = current_database()"
        )
        return {name for (name,) in rows if name.startswith("gold")}


def new_place(emulator: Emulator) -> Place:
    database = f"GOLD_{next(_NUMBERS)}"
    return Place(emulator, database, emulator.connect(database))


@pytest.fixture
def place(emulator: Emulator) -> Iterator[Place]:
    found = new_place(emulator)
    with found.reading:
        yield found


def candidate(gold: SnowflakeGold, number: int) -> None:
    """Make the candidate as dbt would: names in full, some rows of another build, the state."""
    execute = gold.db.execute
    [(database,)] = execute("select current_database()").fetchall()
    for mart in ("mart_a", "mart_b"):
        execute(
            f"create or replace transient table {database}.gold_candidate.{mart} as "
            f"select seq4() as id, {number} as value, cast('earlier' as varchar) as build_id "
            f"from table(generator(rowcount => {ROWS}))"
        )
        execute(f"delete from ops.model_state where kept_for = '' and model_name = '{mart}'")
        execute(
            "insert into ops.model_state (schema_name, model_name, covered_batch, generation, "
            f"build_id, kept_for) select 'gold_candidate', '{mart}', {number}, 1, 'adhoc', ''"
        )
    execute(
        f"create or replace view {database}.gold_candidate.mart_view as (\n    select id, build_id"
        f" from {database}.gold_candidate.mart_a\n)"
    )


def begun(gold: SnowflakeGold, number: int) -> None:
    books.begin(gold.db, f"b{number}", NOW)
    candidate(gold, number)


def published(gold: SnowflakeGold, *numbers: int) -> None:
    for number in numbers:
        begun(gold, number)
        gold.publish(f"b{number}", Outcome(NOW, NOW, number))


def held(gold: SnowflakeGold) -> tuple[set[tuple[int, str]], list[tuple[str, int]]]:
    """Return the values and build ids of the candidate's marts, and the batches of its state."""
    rows = gold.db.execute(
        "select distinct value, build_id from gold_candidate.mart_a "
        "union select distinct value, build_id from gold_candidate.mart_b"
    ).fetchall()
    batches = gold.db.execute(
        "select model_name, covered_batch from ops.model_state where kept_for = '' order by 1"
    ).fetchall()
    return set(rows), batches


def of(number: int) -> tuple[set[tuple[int, str]], list[tuple[str, int]]]:
    return {(number, f"b{number}")}, [("mart_a", number), ("mart_b", number)]


def test_readers_see_a_build_stamped_and_whole_with_its_views(place: Place) -> None:
    with place.opened() as gold:
        published(gold, 1)
        assert place.seen() == 1
        begun(gold, 2)
        assert place.seen() == 1, "a candidate is nobody's to see"
        gold.publish("b2", Outcome(NOW, NOW, 7, ["accepted: a"]))
        candidate(gold, 3)

        assert place.seen() == 2, "and its views are of gold, whatever the candidate becomes"
        build, reason = books.recorded_in(gold.db, "gold.published_build")
        assert (build, reason) == (books.find(gold.db, "b2"), None)
        assert (build.note, build.load_batch_id, build.publication) == ("accepted: a", 7, 2)
        assert books.published(gold.db) == ["b2", "b1"]
    assert place.schemas() == {"gold", "gold_candidate", "gold_kept_1", "gold_kept_2"}


def test_a_failed_build_leaves_gold_and_gives_the_candidate_back(place: Place) -> None:
    with place.opened() as gold:
        published(gold, 1)
        begun(gold, 2)
        gold.db.execute("create table gold_candidate.new_mart as select 1 as a, '' as build_id")

        assert not gold.settle("b2", "a test failed", NOW)

        assert place.seen() == 1
        assert held(gold) == of(1)
        assert books.status(gold.db, "b2") == "failed"
        assert "new_mart" not in [name for _, name in catalog.relations(gold.db, "gold_candidate")]
        published(gold, 3)
        assert place.seen() == 3


def test_a_mart_of_other_columns_is_made_anew(place: Place) -> None:
    with place.opened() as gold:
        published(gold, 1)
        begun(gold, 2)
        gold.db.execute("alter table gold_candidate.mart_b add column more decimal(18, 6)")

        gold.settle("b2", "a test failed", NOW)

        assert ("table", "mart_b") not in catalog.relations(gold.db, "gold_candidate")
        assert gold.db.execute(
            "select model_name from ops.model_state where kept_for = ''"
        ).fetchall() == [("mart_a",)]


def test_only_the_last_builds_are_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "KEEP", 2)
    with place.opened() as gold:
        published(gold, 1, 2, 3, 4)

        states = gold.db.execute("select distinct kept_for from ops.model_state").fetchall()
    kept = {name for name in place.schemas() if name.startswith("gold_kept")}
    assert kept == {"gold_kept_3", "gold_kept_4"}
    # One more than the builds: it is written before the swap, when the last one was still shown.
    assert {name for (name,) in states} == {"", "b2", "b3", "b4"}


def test_a_rollback_shows_the_build_before_and_the_next_one_goes_on_from_it(place: Place) -> None:
    with place.opened() as gold:
        published(gold, 1, 2, 3)

        assert gold.rollback(None, NOW, "it's wrong? 5%") == ("b3", "b2")
        assert (place.seen(), held(gold)) == (2, of(2))
        assert gold.db.execute(
            "select build_id, status, reason from ops.builds where build_id <> 'b1' order by 1"
        ).fetchall() == [
            ("b2", "published", None),
            ("b3", "withdrawn", "went from b3 to b2 at 2026-11-01 00:00:00Z: it's wrong? 5%"),
        ]
        assert gold.heal() == []

        assert gold.rollback("b3", NOW, "it was right") == ("b2", "b3")
        assert (place.seen(), held(gold)) == (3, of(3))
        assert gold.rollback("b1", NOW, "")[1] == "b1"
        published(gold, 4)
        assert place.seen() == 4
        assert books.published(gold.db) == ["b4", "b1"]
        assert place.schemas() == {"gold", "gold_candidate", "gold_kept_1", "gold_kept_4"}


def test_a_rollback_that_cannot_be_leaves_everything(place: Place) -> None:
    with place.opened() as gold:
        published(gold, 1, 2, 3)
        gold.db.execute("drop schema gold_kept_1 cascade")
        gold.db.execute("update gold_kept_2.published_build set build_id = 'other'")

        for to, complaint in {
            "b3": "expected another build than the one shown, found b3",
            "b9": "expected a published build, found b9; published are: b3, b2, b1",
            "b1": "expected schema gold_kept_1 with build b1, found none",
            "b2": "gold_kept_2: expected build b2, found other",
        }.items():
            with pytest.raises(BuildError, match=complaint):
                gold.rollback(to, NOW, "")
            assert place.seen() == 3
            assert books.published(gold.db)[0] == "b3"


@dataclass(frozen=True)
class Operation:
    """Something that may be cut short on a place that is shown build n, and has shown others."""

    begin: Callable[[SnowflakeGold, int], None]
    act: Callable[[SnowflakeGold, int], object]
    shows: Callable[[int, int], int]
    """From n, and the number of the build before, to what is shown in the end."""


def interrupted(gold: SnowflakeGold, number: int) -> None:
    """Leave a swap whose books were never written."""
    published(gold, number + 1)
    gold.db.execute(f"update ops.builds set status = 'running' where build_id = 'b{number + 1}'")
    gold.db.execute("create schema gold_next")


OPERATIONS = {
    "publish": Operation(
        lambda gold, n: begun(gold, n + 1),
        lambda gold, n: gold.publish(f"b{n + 1}", Outcome(NOW)),
        lambda n, _: n + 1,
    ),
    "failed build": Operation(
        lambda gold, n: begun(gold, n + 1),
        lambda gold, n: gold.settle(f"b{n + 1}", "a test failed", NOW),
        lambda n, _: n,
    ),
    "rollback": Operation(
        lambda gold, n: None,
        lambda gold, n: gold.rollback(None, NOW, "wrong"),
        lambda _, before: before,
    ),
    "heal": Operation(
        lambda gold, n: begun(gold, n + 1), lambda gold, n: gold.heal(), lambda n, _: n
    ),
    "heal after a swap": Operation(interrupted, lambda gold, n: gold.heal(), lambda n, _: n + 1),
}


def cut_short(place: Place, fault: Fault, operation: Operation, number: int, at: int) -> bool:
    """Publish, do something and kill it before a statement; return whether it came so far."""
    with place.opened() as gold:
        before = place.seen()
        published(gold, number)
        operation.begin(gold, number)
        shown = place.seen()
        fault.plan(at)
        try:
            operation.act(gold, number)
        except Killed:
            assert place.seen() in {shown, operation.shows(number, before)}
            return True
        finally:
            fault.plan(None)
    return False


def healed(place: Place) -> int:
    """Heal, and require that readers, books, candidate and state are of one build."""
    with place.opened() as gold:
        gold.heal()
        number = place.seen()
        assert books.published(gold.db)[0] == f"b{number}"
        assert books.running(gold.db) == []
        rows, state_of_marts = held(gold)
        assert {value for value, _ in rows} == {number}
        assert [batch for _, batch in state_of_marts] == [number, number]
        assert gold.heal() == []
    assert "gold_next" not in place.schemas()
    return number


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_before_each_statement_readers_see_one_whole_build(
    place: Place, fault: Fault, name: str
) -> None:
    """The next command brings everything to order, and the next build is published."""
    operation = OPERATIONS[name]
    with place.opened() as gold:
        published(gold, 1)
    ends: list[bool] = []
    for at in count():
        number, before = 10 * (at + 1), place.seen()
        is_cut = cut_short(place, fault, operation, number, at)
        end, wanted = healed(place), operation.shows(number, before)
        assert end in {number, wanted}
        ends.append(end == wanted)
        if not is_cut:
            break

    sys.stdout.write(f"{name}: killed before each of {len(ends) - 1} statements: {ends}\n")
    assert ends[-1] and ends == sorted(ends), "a build, once seen, stays"


def test_killed_before_and_after_the_swap(place: Place, fault: Fault) -> None:
    """The two statements that matter most; each of the others is a long test."""
    operation = OPERATIONS["publish"]
    with place.opened() as gold:
        begun(gold, 1)
        fault.plan(1000)
        gold.publish("b1", Outcome(NOW))
        swap = fault.statements.index("alter schema gold swap with gold_next")
        fault.plan(None)

    assert cut_short(place, fault, operation, 10, swap)
    assert healed(place) == 10
    assert cut_short(place, fault, operation, 20, swap + 1)
    assert healed(place) == 21


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_an_answer_is_lost_at_each_statement_of_a_publication(place: Place, fault: Fault) -> None:
    """As the gate does: it settles in a new session and believes that alone."""
    ends = []
    for at in count():
        number = 10 * (at + 1)
        with place.opened() as gold:
            published(gold, number)
            begun(gold, number + 1)
            fault.plan(at, loses_the_answer=True)
            try:
                gold.publish(f"b{number + 1}", Outcome(NOW))
            except SnowflakeAwayError:
                pass
            else:
                break
            finally:
                fault.plan(None)
        with place.opened() as gold:
            is_published = gold.settle(f"b{number + 1}", "no answer", NOW)
        ends.append(healed(place) - number)
        assert is_published == (ends[-1] == 1)

    sys.stdout.write(f"answers lost at {len(ends)} statements, then shown: {ends}\n")
    assert ends == sorted(ends) and set(ends) == {0, 1}


def test_a_swap_that_comes_late_finds_nothing_to_swap_with(place: Place, fault: Fault) -> None:
    """A statement without an answer may be done after the next command has begun."""
    with place.opened() as gold:
        published(gold, 1)
        begun(gold, 2)
        gold.db.execute("create schema gold_next clone gold_candidate")

    with place.opened() as gold:
        assert not gold.settle("b2", "no answer", NOW)
        with pytest.raises(SnowflakeError):
            gold.db.execute("alter schema gold swap with gold_next")
        assert (place.seen(), held(gold)) == (1, of(1))


def lapsed(gold: SnowflakeGold) -> None:
    """Let the time of the lease pass."""
    gold.db.execute("update ops.lease set held_until = dateadd('second', -1, sysdate())")


def test_another_machine_is_kept_out_and_told_by_whom(place: Place) -> None:
    with place.opened() as gold, place.opened("there/2") as another:
        published(gold, 1)
        gold.take("b2")
        begun(gold, 2)

        with pytest.raises(WarehouseLockedError, match=r"found here/1 at it \(b2\) until 20.+Z"):
            another.take("b3")

        gold.take("b2")
        gold.publish("b2", Outcome(NOW))
        gold.give_back()
        assert place.seen() == 2
        another.take("b3")
        with pytest.raises(WarehouseLockedError, match=r"found there/2 at it \(b3\)"):
            gold.take("b4")


def test_what_a_dead_machine_has_left_is_mended_once_its_lease_is_over(place: Place) -> None:
    with place.opened() as gold, place.opened("there/2") as another:
        published(gold, 1)
        gold.take("b2")
        begun(gold, 2)
        with pytest.raises(WarehouseLockedError):
            another.take("b3")
        lapsed(gold)

        another.take("b3")

        assert another.heal() == [books.healed(["b2"])]
        assert (place.seen(), held(another)) == (1, of(1))
        another.give_back()
        # It was not dead: its build is lost, and nobody is shown any of it.
        gold.take("b2")
        with pytest.raises(BuildError, match="expected build b2 to be running, found it interr"):
            gold.publish("b2", Outcome(NOW))
        assert place.seen() == 1


def test_this_checkout_takes_up_at_once_what_it_has_left(place: Place) -> None:
    with place.opened() as gold:
        published(gold, 1)
        gold.take("b2")
        begun(gold, 2)

    with place.opened() as gold:
        gold.take("b3")
        assert gold.heal() == [books.healed(["b2"])]


@pytest.mark.parametrize("way", ["held by another", "another's gold_next"])
def test_nothing_is_swapped_in_that_is_not_this_build_s(
    place: Place, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Another machine comes between the making of ``gold_next`` and its swap."""
    with place.opened() as gold, place.opened("there/2") as another:
        published(gold, 1)
        gold.take("b2")
        begun(gold, 2)
        keep = state.keep

        def interrupted(*arguments: Any) -> None:
            keep(*arguments)
            lapsed(another)
            another.take("b3")
            if way != "held by another":
                another.db.execute(f"update gold_next.{catalog.RECORD} set build_id = 'b3'")
                another.give_back()

        monkeypatch.setattr(state, "keep", interrupted)
        complaint = "found there/2 at it" if way == "held by another" else "found b3: it is not sh"
        with pytest.raises((WarehouseLockedError, BuildError), match=complaint):
            gold.publish("b2", Outcome(NOW))

        assert place.seen() == 1


def test_a_checkout_keeps_its_name(tmp_path: Path) -> None:
    names = [lease.holder(tmp_path / name) for name in ("a", "a", "b")]

    assert names[0] == names[1] != names[2]


BANDS = Bands.model_validate(
    {
        "default": {
            "lose": {"share": 0, "rows": 0, "reason": "none"},
            "gain": {"share": 1, "rows": 50, "reason": "many"},
        }
    }
)


def test_the_comparison_and_the_scorecard_are_the_same_sql(place: Place) -> None:
    feeds = (
        "create or replace table {}.gold_freshness as select 'yahoo' as source, 'quotes' as feed, "
        "cast('{}' as timestamp) as last_event_at, false as simulated, '' as build_id"
    )
    result = NodeResult("a", "test", "fail", 3, "three?", "mart_a", "unique", "error")
    with place.opened() as gold:
        gold.db.execute(feeds.format("gold_candidate", "2026-11-02"))
        published(gold, 1)
        gold.db.execute(feeds.format("gold_candidate", "2026-11-01 10:00:00"))
        gold.db.execute("delete from gold_candidate.mart_a where id >= 15")

        with pytest.raises(BuildError, match="mart_a: 20 rows published, 15 now") as refused:
            comparison.accept(gold.db, BANDS, [])
        assert "yahoo quotes has nothing after 2026-11-01 10:00:00; expected until 2026" in str(
            refused.value
        )
        assert len(comparison.accept(gold.db, BANDS, ["mart_a", "gold_freshness"])) == 2
        assert engine.drop_strangers(gold.db, {"mart_a", "mart_b", "gold_freshness"}) == [
            "mart_view"
        ]

        gold.db.execute(
            "create table ops.test_results (build_id varchar, test_name varchar, model_name "
            "varchar, dimension varchar, severity varchar, status varchar, failing_rows bigint, "
            "as_of timestamp, loaded_at timestamp)"
        )
        for _ in range(2):
            scorecard.record(gold.db, "b1", None, [result, result], NOW)
        assert gold.db.execute("select * from ops.test_results").fetchall() == [
            ("b1", "a", "mart_a", "uniqueness", "error", "fail", 3, None, NOW.replace(tzinfo=None))
        ]


def test_the_state_is_judged_by_the_same_sql(place: Place) -> None:
    with place.opened() as gold:
        gold.db.execute("create schema common")
        gold.db.execute("create table common.bars_raw as select 2 as batch_id")
        candidate(gold, 2)
        parents = {"mart_a": (), "mart_b": ("mart_a",)}
        raw = {name: {"common.bars_raw"} for name in parents}

        assert state.require_one(gold.db, parents, raw) == 2
        gold.db.execute("update common.bars_raw set batch_id = 3")
        assert state.unfinished(gold.db, parents, raw) == {"mart_a", "mart_b"}
        with pytest.raises(BuildError, match="mart_a and 1 more without load batch 3"):
            state.require_one(gold.db, parents, raw)


@pytest.fixture(scope="module")
def publication(emulator: Emulator) -> list[str]:
    """The statements of a publication as the connector sends them, in turn."""
    sent: list[str] = []
    place = new_place(emulator)
    with pytest.MonkeyPatch.context() as patch, place.reading, place.opened() as gold:
        published(gold, 1)
        begun(gold, 2)
        send = SnowflakeCursor._execute_helper

        def sending(self: SnowflakeCursor, query: str, *rest: Any, **named: Any) -> Any:
            sent.append(" ".join(query.split()))
            return send(self, query, *rest, **named)

        patch.setattr(SnowflakeCursor, "_execute_helper", sending)
        gold.publish("b2", Outcome(NOW, NOW.replace(tzinfo=None), 2, ["it's 5 % of mart_a"]))
    return sent


def test_the_statements_are_those_of_the_golden_file(publication: list[str]) -> None:
    assert [f"{one};" for one in publication] == GOLDEN.read_text().splitlines()


def test_the_statements_are_snowflake_s(publication: list[str]) -> None:
    unread = [
        sql
        for sql in publication
        if isinstance(sqlglot.parse_one(sql, dialect="snowflake"), exp.Command)
    ]

    # What sqlglot does not read, in full: a word too many would be another form.
    assert unread == [
        "create or replace schema gold_next clone gold_candidate data_retention_time_in_days = 0",
        "create or replace schema gold_kept_2 clone gold_next data_retention_time_in_days = 0",
        f"grant select on all tables in schema gold_next to role {READER}",
        f"grant select on all views in schema gold_next to role {READER}",
        "alter schema gold swap with gold_next",
    ]


def test_the_reader_gets_its_rights_on_gold_before_the_swap_and_nowhere_else(
    publication: list[str],
) -> None:
    def granted(right: rights.Right) -> str:
        what = f"{right.kind} in schema" if right.kind.startswith("all ") else "schema"
        return f"grant {right.privilege} on {what} gold_next to role {READER}"

    swap = publication.index("alter schema gold swap with gold_next")
    grants = [number for number, sql in enumerate(publication) if "grant" in sql]
    clones = [number for number, sql in enumerate(publication) if " clone " in sql]
    mine = [one for one in rights.load() if one.role == "READER" and one.place == "gold"]

    assert {publication[number] for number in grants} == {granted(right) for right in mine}
    assert len(grants) == len(mine) == 3
    # A clone takes the rights of what is in a schema along, and a swap those of the schema.
    assert max(clones) < min(grants) and max(grants) < swap
    assert not any("copy grants" in sql for sql in publication)


DBT_S = """create or replace   view STOCKS_MDS.gold_candidate.mart_view
  as (
    -- as the mart has it
    select a.id as id from STOCKS_MDS.gold_candidate.mart_a as a, gold_candidate.mart_b
  )
/* {"app": "dbt"} */;"""


@pytest.mark.parametrize(
    "definition", [DBT_S, DBT_S.partition("as (")[2].rpartition(")\n/*")[0]], ids=["ddl", "query"]
)
def test_a_view_s_text_is_its_query_however_an_engine_tells_it(definition: str) -> None:
    class Told:
        def execute(self, statement: str, parameters: Any = (), /) -> Rows:
            return Rows([("mart_view", definition)])

    text = views.texts(Told(), "gold_candidate", place="")["mart_view"]
    query = sqlglot.parse_one(text, dialect="snowflake")

    assert query.unnest().named_selects == ["id"]
    assert [table.sql() for table in query.find_all(exp.Table)] == ["mart_a AS a", "mart_b"]


def test_a_view_names_tables_of_its_own_schema(publication: list[str]) -> None:
    [view] = [sql for sql in publication if sql.startswith("create or replace view")]
    named = [(table.db, table.name) for table in sqlglot.parse_one(view).find_all(exp.Table)]

    assert named == [("gold_next", "mart_view"), ("", "MART_A")]
