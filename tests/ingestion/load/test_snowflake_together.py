"""Loads that are at work at once, from machines that share no lock but Snowflake's.

The emulator's temporary tables are not a session's own, so another load of other files is played by
what it leaves.
"""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ingestion.errors import LoadError
from ingestion.load.model import Loaded
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_stage import Incoming
from tests.ingestion.load.account import BARS, LEDGER, QUOTES, Account, Buckets, PatientClock
from tests.ingestion.load.lake import bars
from tests.ingestion.load.objects import line

LOCK = "ops.load_lock"


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], object]], None]:
    """Have something happen once, before the first statement that begins so."""
    execute = Session.execute
    planned: list[tuple[str, Callable[[], object]]] = []

    def executing(session: Session, statement: str) -> Any:
        if planned and statement.startswith(planned[0][0]):
            planned.pop()[1]()
        return execute(session, statement)

    monkeypatch.setattr(Session, "execute", executing)
    return lambda start, happens: planned.append((start, happens))


def test_a_batch_has_a_number_after_all_that_were_committed_while_it_was_staged(
    account: Account, buckets: Buckets, before: Callable[[str, Callable[[], object]], None]
) -> None:
    """A build that covers batch 2 never looks for rows of batch 1 again."""

    def another() -> None:
        account.query(f"insert into {LEDGER} values ('{QUOTES}', 'x', null, 0, 0, 2, sysdate())")

    added = buckets.add("bars/a.parquet", bars("AAPL"))
    before("begin", another)
    with account.open(buckets.source("internal")) as warehouse:
        warehouse.load_rows(BARS, [added], 1)

    assert account.query(f"select batch_id from {BARS}") == [(3,)]
    assert account.query(f"select batch_id from {LEDGER} where target = '{BARS}'") == [(3,)]


def test_no_load_reads_or_removes_what_another_one_has_sent(
    account: Account, buckets: Buckets, before: Callable[[str, Callable[[], object]], None]
) -> None:
    """Two files of one name in the stage, with as many rows: the count would not tell."""
    mine = buckets.add("bars/a.parquet", bars("AAPL"))
    theirs = buckets.add("bars/b.parquet", bars("IBM"))
    source = buckets.source("internal")
    with closing(Session(account.connect, "other")) as session:
        other, later = (Incoming(session, load, PatientClock()) for load in ("other", "later"))

        def another() -> None:
            for incoming in (other, later):
                incoming.send_files(BARS, [("00000.parquet", source.open_file(theirs))])
            other.clear(BARS)

        before("copy into common.loading_rows", another)
        with account.open(source) as warehouse:
            warehouse.load_rows(BARS, [mine], 1)

    assert account.query(f"select symbol, file from {BARS}") == [("AAPL", mine.file)]
    [(name, *_)] = account.query("list @common.incoming")
    assert name.endswith("bars_raw/later/00000.parquet")


def test_a_list_that_another_load_has_taken_meanwhile_is_left_to_it(
    account: Account, buckets: Buckets, before: Callable[[str, Callable[[], object]], None]
) -> None:
    listed = [buckets.put(0, [line(0)])]

    def another() -> None:
        with account.open(buckets.source("internal")) as other:
            other.load_lines(QUOTES, listed)

    before("begin", another)
    with (
        account.open(buckets.source("internal")) as warehouse,
        pytest.raises(LoadError, match="another load has taken them"),
    ):
        warehouse.load_lines(QUOTES, listed)

    with account.open(buckets.source("internal")) as warehouse:
        assert warehouse.load_lines(QUOTES, listed) == Loaded()
    assert account.query(f"select count(*) from {QUOTES}") == [(1,)]


def test_after_a_transaction_that_snowflake_has_ended_nothing_is_entered(
    account: Account, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator is in none: to a load that believes to be in one that is the same."""
    listed = [buckets.put(0, [line(0)])]
    execute = Session.execute

    def executing(session: Session, statement: str) -> Any:
        return [(17,)] if "select current_tr" in statement else execute(session, statement)

    with (
        monkeypatch.context() as patch,
        account.open(buckets.source("internal")) as warehouse,
        pytest.raises(LoadError, match="or Snowflake has ended the transaction"),
    ):
        patch.setattr(Session, "execute", executing)
        warehouse.load_lines(QUOTES, listed)

    assert account.query(f"select count(*) from {LEDGER}") == [(0,)]
    with account.open(buckets.source("internal")) as warehouse:
        warehouse.load_lines(QUOTES, listed)
    assert account.query(f"select count(*) from {QUOTES}") == [(1,)]


def test_without_the_lock_s_row_nothing_is_written(
    changed_account: Account, buckets: Buckets
) -> None:
    changed_account.query(f"delete from {LOCK}")

    with (
        changed_account.open(buckets.source("external")) as warehouse,
        pytest.raises(LoadError, match=f"{LOCK}: expected one row, found 0: .*bootstrap"),
    ):
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])

    assert changed_account.query(f"select count(*) from {QUOTES}") == [(0,)]


@pytest.mark.parametrize(("days", "kept"), [(0, 1), (2, 0)])
def test_what_a_killed_load_has_sent_goes_a_day_later(
    account: Account,
    buckets: Buckets,
    before: Callable[[str, Callable[[], object]], None],
    days: int,
    kept: int,
) -> None:
    def killed() -> None:
        raise KeyboardInterrupt

    before("copy", killed)
    with (
        pytest.raises(KeyboardInterrupt),
        account.open(buckets.source("internal")) as warehouse,
    ):
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])

    class Later(PatientClock):
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(days=days)

    with account.open(buckets.source("internal"), clock=Later()) as warehouse:
        warehouse.load_rows(BARS, [buckets.add("bars/a.parquet", bars("AAPL"))], 1)

    assert len(account.query("list @common.incoming")) == kept
