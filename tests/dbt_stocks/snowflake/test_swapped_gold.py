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
from snowflake.connector.errors import OperationalError
from sqlglot import exp

from dbt_stocks import books, catalog, comparison, engine, scorecard, state
from dbt_stocks.books import Outcome
from dbt_stocks.comparison import Bands
from dbt_stocks.runner import NodeResult
from dbt_stocks.snowflake_publishing import SnowflakeGold, SnowflakeSession, open_gold
from ingestion.errors import BuildError, SnowflakeAwayError, SnowflakeError
from ingestion.snowflake import diagnosis, rights
from tests.emulator import process
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


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with process.running(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@dataclass(frozen=True)
class Place:
    """A database, and what its readers see."""

    emulator: Emulator
    database: str
    reading: SnowflakeConnection

    def opened(self) -> AbstractContextManager[SnowflakeGold]:
        return open_gold(lambda: self.emulator.connect(self.database), READER)

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


def test_only_the_last_builds_are_kept(place: Place) -> None:
    with place.opened() as gold:
        published(gold, *range(1, books.KEEP + 3))

        states = gold.db.execute("select distinct kept_for from ops.model_state").fetchall()
    assert {name for name in place.schemas() if name.startswith("gold_kept")} == {
        f"gold_kept_{number}" for number in range(3, books.KEEP + 3)
    }
    # One more than the builds: it is written before the swap, when the last one was still shown.
    assert {name for (name,) in states} == {"", *(f"b{n}" for n in range(2, books.KEEP + 3))}


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


@pytest.mark.parametrize(
    ("to", "complaint"),
    [
        ("b3", "expected another build than the one shown, found b3"),
        ("b9", "expected a published build, found b9; published are: b3, b2, b1"),
        ("b1", "expected schema gold_kept_1 with build b1, found none"),
        ("b2", "gold_kept_2: expected build b2, found other"),
    ],
)
def test_a_rollback_that_cannot_be_leaves_everything(place: Place, to: str, complaint: str) -> None:
    with place.opened() as gold:
        published(gold, 1, 2, 3)
        gold.db.execute("drop schema gold_kept_1 cascade")
        gold.db.execute("update gold_kept_2.published_build set build_id = 'other'")

        with pytest.raises(BuildError, match=complaint):
            gold.rollback(to, NOW, "")

        assert place.seen() == 3
        assert books.published(gold.db)[0] == "b3"


@dataclass(frozen=True)
class Operation:
    """Something that may be cut short: of a place that is shown build 2, the build it shows."""

    begin: Callable[[SnowflakeGold], None]
    act: Callable[[SnowflakeGold], object]
    shows: int


def interrupted(gold: SnowflakeGold) -> None:
    """Leave a build that runs, and a swap whose books were never written."""
    published(gold, 3)
    gold.db.execute("update ops.builds set status = 'running' where build_id = 'b3'")
    gold.db.execute("create schema gold_next")


OPERATIONS = {
    "publish": Operation(
        lambda gold: begun(gold, 3), lambda gold: gold.publish("b3", Outcome(NOW)), 3
    ),
    "failed build": Operation(
        lambda gold: begun(gold, 3), lambda gold: gold.settle("b3", "a test failed", NOW), 2
    ),
    "rollback": Operation(lambda _: None, lambda gold: gold.rollback(None, NOW, "wrong"), 1),
    "heal": Operation(lambda gold: begun(gold, 3), lambda gold: gold.heal(), 2),
    "heal after a swap": Operation(interrupted, lambda gold: gold.heal(), 3),
}


def whole(place: Place, allowed: set[int]) -> int:
    """Heal, and require that readers, books, candidate and state are of one build."""
    with place.opened() as gold:
        gold.heal()
        number = place.seen()
        assert number in allowed
        assert books.published(gold.db)[0] == f"b{number}"
        assert books.running(gold.db) == []
        assert held(gold) == of(number) or held(gold)[0] == {(number, "earlier")}
        assert [batch for _, batch in held(gold)[1]] == [number, number]
        assert gold.heal() == []
        published(gold, 9)
    assert place.seen() == 9
    assert "gold_next" not in place.schemas()
    return number


def cut_short(place: Place, fault: Fault, operation: Operation, at: int) -> bool:
    """Do something and kill it before a statement; return whether it came so far."""
    with place.opened() as gold:
        published(gold, 1, 2)
        operation.begin(gold)
        shown = place.seen()
        fault.plan(at)
        try:
            operation.act(gold)
        except Killed:
            fault.plan(None)
            assert place.seen() in {shown, operation.shows}
            return True
        finally:
            fault.plan(None)
    return False


@pytest.mark.long
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_before_each_statement_readers_see_one_whole_build(
    emulator: Emulator, fault: Fault, name: str
) -> None:
    operation, ends = OPERATIONS[name], []
    for at in count():
        place = new_place(emulator)
        with place.reading:
            is_cut = cut_short(place, fault, operation, at)
            ends.append(whole(place, {2, operation.shows}))
        if not is_cut:
            break

    sys.stdout.write(f"{name}: killed before each of {len(ends) - 1} statements: {ends}\n")
    assert ends[-1] == operation.shows
    assert ends == sorted(ends, reverse=name == "rollback"), "a build, once seen, stays"


@pytest.mark.parametrize("name", ["publish", "rollback"])
def test_killed_before_and_after_the_swap(emulator: Emulator, fault: Fault, name: str) -> None:
    """The two statements that matter most; each of the others is a long test."""
    operation = OPERATIONS[name]
    for after in (0, 1):
        place = new_place(emulator)
        with place.reading, place.opened() as gold:
            published(gold, 1, 2)
            operation.begin(gold)
            fault.plan(None)
            swap = _swap_of(gold, fault, operation)
        place = new_place(emulator)
        with place.reading:
            assert cut_short(place, fault, operation, swap + after)
            assert whole(place, {2, operation.shows}) == (operation.shows if after else 2)


def _swap_of(gold: SnowflakeGold, fault: Fault, operation: Operation) -> int:
    operation.act(gold)
    return fault.statements.index("alter schema gold swap with gold_next")


@pytest.mark.long
def test_an_answer_is_lost_at_each_statement_of_a_publication(
    emulator: Emulator, fault: Fault
) -> None:
    """As the gate does: it settles in a new session and believes that alone."""
    ends = []
    for at in count():
        place = new_place(emulator)
        with place.reading:
            with place.opened() as gold:
                published(gold, 1, 2)
                begun(gold, 3)
                fault.plan(at, loses_the_answer=True)
                try:
                    gold.publish("b3", Outcome(NOW))
                except SnowflakeAwayError:
                    pass
                else:
                    break
                finally:
                    fault.plan(None)
            with place.opened() as gold:
                is_published = gold.settle("b3", "no answer", NOW)
            ends.append(whole(place, {2, 3}))
            assert is_published == (ends[-1] == 3)

    sys.stdout.write(f"answers lost at {len(ends)} statements, then shown: {ends}\n")
    assert ends == sorted(ends) and set(ends) == {2, 3}


def test_a_swap_that_comes_late_finds_nothing_to_swap_with(place: Place, fault: Fault) -> None:
    with place.opened() as gold:
        published(gold, 1)
        begun(gold, 2)
        fault.plan(None)
        gold.publish("b2", Outcome(NOW))
        at = fault.statements.index("alter schema gold swap with gold_next")
        begun(gold, 3)
        fault.plan(at)
        with pytest.raises(Killed):
            gold.publish("b3", Outcome(NOW))
        fault.plan(None)

    with place.opened() as gold:
        assert not gold.settle("b3", "no answer", NOW)
        with pytest.raises(SnowflakeError):
            gold.db.execute("alter schema gold swap with gold_next")
        assert (place.seen(), held(gold)) == (2, of(2))


def test_a_build_that_was_taken_for_killed_is_not_published(place: Place) -> None:
    with place.opened() as gold:
        published(gold, 1)
        begun(gold, 2)
        with place.opened() as another_machine_s:
            another_machine_s.heal()

        with pytest.raises(BuildError, match="expected build b2 to be running, found it interr"):
            gold.publish("b2", Outcome(NOW))
        assert place.seen() == 1


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


@pytest.fixture
def publication(place: Place, fault: Fault) -> list[str]:
    """The statements of a publication, in turn."""
    with place.opened() as gold:
        published(gold, 1)
        begun(gold, 2)
        fault.plan(None)
        gold.publish("b2", Outcome(NOW))
    return [" ".join(statement.split()) for statement in fault.statements]


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


def test_a_view_names_tables_of_its_own_schema(publication: list[str]) -> None:
    [view] = [sql for sql in publication if sql.startswith("create or replace view")]
    named = [(table.db, table.name) for table in sqlglot.parse_one(view).find_all(exp.Table)]

    assert named == [("gold_next", "mart_view"), ("", "MART_A")]
