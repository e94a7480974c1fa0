"""The rows of accounts and requests. All moments are microseconds since 1970."""

import sqlite3
from dataclasses import dataclass
from typing import Final

from ingestion.limits import hold
from ingestion.limits.circuit import Circuit
from ingestion.limits.limit import SECOND, Limit

# A request without an answer is taken to be under way for so long, also when its process died. An
# adapter's time-outs are below it.
LEASE: Final = 60 * SECOND
# No limit looks further back: a day of 25 hours, and the margins.
_KEPT: Final = 26 * 3_600 * SECOND
# Who waits for the file is behind those whose moments it then finds there. Only what lies further
# ahead than anyone waits is the work of a clock that was set back.
_AHEAD: Final = 60 * SECOND


@dataclass(frozen=True)
class State:
    """An account's row."""

    held_until: int
    held_for: str
    refusals: int
    circuit: Circuit


def state_of(db: sqlite3.Connection, account: str) -> State:
    """Return an account's row."""
    held_until, held_for, refusals, *circuit = db.execute(
        "select held_until, held_for, refusals, circuit, failures, next_at "
        "from accounts where account = ?",
        (account,),
    ).fetchone()
    return State(held_until, held_for, refusals, Circuit(*circuit))


def used(db: sqlite3.Connection, account: str, limit: Limit, now: int) -> int:
    """Return how many requests count against a limit at ``now``."""
    counted = "select count(*) from requests where account = ? and ended_at > ?"
    found: int = db.execute(counted, (account, limit.counts_after(now))).fetchone()[0]
    return found


def wait_for(db: sqlite3.Connection, account: str, limit: Limit, now: int) -> int:
    """Return the microseconds until a limit has room, 0 for now.

    It has room when the ``count``-th latest end counts no more. An open request ends now at the
    earliest: asked again then, the answer may be another wait.
    """
    row = db.execute(
        "select min(ended_at, ?) from requests where account = ? and ended_at > ? "
        "order by ended_at desc limit 1 offset ?",
        (now, account, limit.counts_after(now), limit.count - 1),
    ).fetchone()
    return 0 if row is None else limit.free_at(row[0], now) - now


def mend(db: sqlite3.Connection, account: str, now: int, longest_open: int) -> None:
    """Forget what counts no more, and what only a clock that was set back can have written.

    No circuit keeps requests away for longer than ``longest_open``.
    """
    db.execute("delete from requests where account = ? and ended_at <= ?", (account, now - _KEPT))
    db.execute(
        "update requests set ended_at = ? + is_open * ? where account = ? "
        "and ended_at > ? + is_open * ?",
        (now, LEASE, account, now + _AHEAD, LEASE),
    )
    db.execute(
        "update accounts set held_until = min(held_until, ?), next_at = min(next_at, ?) "
        "where account = ?",
        (now + hold.MAX, now + longest_open + _AHEAD, account),
    )


def insert(db: sqlite3.Connection, account: str, ended_at: int, *, is_open: bool) -> int:
    """Add a request; return its number."""
    statement = "insert into requests (account, ended_at, is_open) values (?, ?, ?)"
    number = db.execute(statement, (account, ended_at, is_open)).lastrowid
    assert number is not None  # noqa: S101 - sqlite3 types it for statements that insert nothing
    return number


def end(db: sqlite3.Connection, number: int, ended_at: int) -> None:
    """Note that a request is open no more."""
    statement = "update requests set ended_at = ?, is_open = 0 where number = ?"
    db.execute(statement, (ended_at, number))


def keep_circuit(db: sqlite3.Connection, account: str, circuit: Circuit) -> None:
    """Write an account's circuit."""
    db.execute(
        "update accounts set circuit = ?, failures = ?, next_at = ? where account = ?",
        (circuit.state, circuit.failures, circuit.next_at, account),
    )
