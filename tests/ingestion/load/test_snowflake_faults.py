"""Kills and lost answers at every statement: nothing is doubled, nothing is lost.

The emulator has no transactions: what was sent before a kill stays there. So these tests see the
recovery from rows without a ledger entry, which Snowflake itself would have rolled back.
"""

from collections.abc import Callable
from typing import Any

import pytest
from snowflake.connector.errors import OperationalError

from ingestion.errors import LoadError, SnowflakeAwayError, SnowflakeError
from ingestion.load.model import Loaded
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_warehouse import SnowflakeWarehouse
from ingestion.snowflake import diagnosis
from tests.ingestion.load.account import (
    BARS,
    LEDGER,
    QUOTES,
    Account,
    Buckets,
    PatientClock,
    Stage,
)
from tests.ingestion.load.lake import bars
from tests.ingestion.load.objects import line

Load = Callable[[SnowflakeWarehouse], Loaded]
# A list of quotes with a refused line, a list of data files; both ways to Snowflake.
CASES: list[tuple[str, Stage]] = [
    ("quotes", "internal"),
    ("quotes", "external"),
    ("bars", "internal"),
    ("bars", "external"),
]


class Killed(BaseException):
    """What a killed process does: nothing more."""


class Fault:
    """Counts statements; ``number`` is the one at which something happens, none by default."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []
        self.number: int | None = None
        self.happens: Callable[[Callable[[], Any]], Any] = lambda run: run()
        execute = Session.execute

        def counting(session: Session, statement: str) -> Any:
            self.statements.append(statement)
            if self.number is None or len(self.statements) - 1 < self.number:
                return execute(session, statement)
            return self.happens(lambda: execute(session, statement))

        monkeypatch.setattr(Session, "execute", counting)

    def plan(self, number: int | None, happens: Callable[[Callable[[], Any]], Any]) -> None:
        self.statements, self.number, self.happens = [], number, happens


def killed(_: object) -> None:
    raise Killed


def lost_once(fault: Fault) -> Callable[[Callable[[], Any]], Any]:
    """The statement is done, its answer never comes; what follows is as ever."""

    def happens(run: Callable[[], Any]) -> Any:
        fault.number = None
        run()
        told = diagnosis.of_statement(OperationalError("no answer", errno=250001), "lost")
        raise told

    return happens


@pytest.fixture
def fault(monkeypatch: pytest.MonkeyPatch) -> Fault:
    return Fault(monkeypatch)


def a_list(buckets: Buckets, kind: str) -> Load:
    if kind == "quotes":
        files = [
            buckets.put(0, [line(0), line(1)]),
            buckets.put(2, [b"no json", line(3)]),
            buckets.put(4, []),
        ]
        return lambda warehouse: warehouse.load_lines(QUOTES, files)
    added = [buckets.add(f"bars/{n}.parquet", bars("AAPL", f"S{n}"), snapshot=n) for n in (1, 2)]
    return lambda warehouse: warehouse.load_rows(BARS, added, 3)


def undisturbed(account: Account, buckets: Buckets, load: Load, stage: Stage) -> Any:
    account.empty()
    with account.open(buckets.source(stage)) as warehouse:
        loaded = load(warehouse)
    found = account.contents()
    account.empty()
    return found, loaded


@pytest.mark.long
@pytest.mark.parametrize(("kind", "stage"), CASES)
def test_a_kill_before_any_statement_loses_and_doubles_nothing(
    account: Account, buckets: Buckets, fault: Fault, kind: str, stage: Stage
) -> None:
    load = a_list(buckets, kind)
    expected, _ = undisturbed(account, buckets, load, stage)
    steps = list(fault.statements)
    assert {"begin", "commit"} <= set(steps) and len(steps) > 12

    # What a killed load has sent stays for a day.
    expected.pop("staged")
    for number, statement in enumerate(steps):
        account.empty()
        fault.plan(number, killed)
        with pytest.raises(Killed), account.open(buckets.source(stage)) as warehouse:
            load(warehouse)
        fault.plan(None, killed)
        with account.open(buckets.source(stage)) as warehouse:
            load(warehouse)

        found = account.contents()
        found.pop("staged")
        assert found == expected, statement


@pytest.mark.long
@pytest.mark.parametrize(("kind", "stage"), CASES)
def test_a_lost_answer_to_any_statement_is_looked_up(
    account: Account, buckets: Buckets, fault: Fault, kind: str, stage: Stage
) -> None:
    load = a_list(buckets, kind)
    expected, loaded = undisturbed(account, buckets, load, stage)
    steps = list(fault.statements)

    for number, statement in enumerate(steps):
        account.empty()
        clock = PatientClock()
        fault.plan(number, lost_once(fault))
        with account.open(buckets.source(stage), clock=clock) as warehouse:
            assert load(warehouse) == loaded, statement

        assert account.contents() == expected, statement
        assert len(clock.slept) == 1


def test_a_commit_whose_answer_is_lost_is_not_done_twice(
    account: Account, buckets: Buckets, fault: Fault
) -> None:
    def happens(run: Callable[[], Any]) -> Any:
        return lost_once(fault)(run) if fault.statements[-1] == "commit" else run()

    fault.plan(0, happens)
    with account.open(buckets.source("internal")) as warehouse:
        assert a_list(buckets, "quotes")(warehouse) == Loaded(3, 3, 1)

    assert len([s for s in fault.statements if s.startswith("insert into common.bronze")]) == 2
    after = fault.statements[fault.statements.index("commit") + 1 :]
    assert any(LEDGER in statement for statement in after)
    assert not any(statement.startswith(("insert", "merge", "put")) for statement in after)


def test_a_snowflake_that_goes_away_is_an_error_after_some_patience(
    account: Account, buckets: Buckets, fault: Fault
) -> None:
    clock = PatientClock()
    logins = 0

    def connect() -> Any:
        nonlocal logins
        logins += 1
        if logins > 1:
            raise SnowflakeAwayError("nobody answers")
        return account.connect()

    fault.plan(10, lost_once(fault))
    with (
        account.open(buckets.source("internal"), connect, clock) as warehouse,
        pytest.raises(SnowflakeAwayError, match="nobody answers"),
    ):
        a_list(buckets, "bars")(warehouse)

    assert clock.slept == [1.0, 10.0, 60.0]
    assert account.query(f"select count(*) from {LEDGER}") == [(0,)]


def test_a_snowflake_that_was_never_there_is_told_at_once(
    account: Account, buckets: Buckets
) -> None:
    clock = PatientClock()

    def connect() -> Any:
        raise SnowflakeAwayError("nobody answers")

    with (
        account.open(buckets.source("internal"), connect, clock) as warehouse,
        pytest.raises(SnowflakeAwayError, match="nobody answers"),
    ):
        a_list(buckets, "bars")(warehouse)

    assert clock.slept == []


def test_what_is_refused_for_good_is_not_tried_again(
    changed_account: Account, buckets: Buckets
) -> None:
    clock = PatientClock()
    changed_account.query(f"drop table {LEDGER}")

    with (
        changed_account.open(buckets.source("internal"), clock=clock) as warehouse,
        pytest.raises(SnowflakeError, match="bootstrap"),
    ):
        a_list(buckets, "bars")(warehouse)

    assert clock.slept == []


def left_without_entry(account: Account, buckets: Buckets, kind: str, fault: Fault) -> Load:
    """Kill a load before it enters its list into the ledger: its rows are in the raw table."""
    load = a_list(buckets, kind)

    def happens(run: Callable[[], Any]) -> Any:
        return killed(run) if fault.statements[-1].startswith(("merge", "rollback")) else run()

    fault.plan(0, happens)
    with pytest.raises(Killed), account.open(buckets.source("external")) as warehouse:
        load(warehouse)
    fault.plan(None, killed)
    return load


@pytest.mark.parametrize("kind", ["quotes", "bars"])
def test_rows_left_behind_are_not_taken_for_those_of_a_modified_file(
    account: Account, buckets: Buckets, fault: Fault, kind: str
) -> None:
    load = left_without_entry(account, buckets, kind, fault)
    if kind == "quotes":
        account.query(f"update {QUOTES} set v = parse_json('{{}}') where v['offset']::bigint = 1")
    else:
        account.query(f"update {BARS} set volume = 8 where symbol = 'S2'")

    with (
        account.open(buckets.source("external")) as warehouse,
        pytest.raises(LoadError, match="without a ledger entry, found others: modified"),
    ):
        load(warehouse)

    assert account.query(f"select count(*) from {LEDGER}") == [(0,)]


@pytest.mark.parametrize("kind", ["quotes", "bars"])
def test_a_file_of_which_rows_are_missing_is_not_entered(
    account: Account, buckets: Buckets, fault: Fault, kind: str
) -> None:
    load = left_without_entry(account, buckets, kind, fault)
    table = QUOTES if kind == "quotes" else BARS
    account.query(f"delete from {table} where file in (select min(file) from {table})")
    load_again = account.open(buckets.source("external"))

    with load_again as warehouse:
        load(warehouse)

    found, expected = account.contents(), undisturbed(account, buckets, load, "external")[0]
    for contents in (found, expected):
        contents.pop("staged")  # what a killed load has sent stays for a day
    assert found == expected, "a whole file comes again"


@pytest.mark.parametrize("kind", ["quotes", "bars"])
def test_rows_that_were_doubled_by_others_are_seen_before_the_commit(
    account: Account, buckets: Buckets, fault: Fault, kind: str
) -> None:
    load = left_without_entry(account, buckets, kind, fault)
    table = QUOTES if kind == "quotes" else BARS
    account.query(f"insert into {table} select * from {table}")

    with (
        account.open(buckets.source("external")) as warehouse,
        pytest.raises(LoadError, match=r"expected 2 rows, found 4|expected 2 rows, found 3"),
    ):
        load(warehouse)

    assert "commit" not in fault.statements
