"""The moment in which a transaction of PostgreSQL may change what several tables show."""

import time
from collections.abc import Sequence
from typing import Any, Final

from psycopg2 import errors

from ingestion.errors import ServingAwayError

# A look that waits for nothing is in nobody's way: so it may come often.
_PAUSE_S: Final = 0.02
# Where reading never pauses, an attempt now and then lets new readers queue. One of them may hold a
# table that we wait for, and wait for one that we hold: we give up before PostgreSQL would end one
# of us (deadlock_timeout, 1 s).
_PATIENCE_S: Final = 0.5
_PATIENT_EVERY_S: Final = 2.0
_READERS: Final = """
select distinct a.pid, a.usename
from pg_locks as l
inner join pg_stat_activity as a on l.pid = a.pid
where l.relation = to_regclass(%s) and l.granted and a.pid <> pg_backend_pid()
order by a.pid
"""


def hold(cursor: Any, tables: Sequence[str], wait_s: float) -> None:  # noqa: ANN401 - psycopg2's
    """Lock tables until the transaction ends, once none that is open has read one of them.

    Raises:
        ServingAwayError: there was no such moment within ``wait_s``; the text has who reads.
    """
    now = time.monotonic()
    until, patient_at = now + wait_s, now + _PATIENT_EVERY_S
    cursor.execute("savepoint unlocked")
    while True:
        is_patient = time.monotonic() >= patient_at
        busy = _locked_out(cursor, tables, _PATIENCE_S if is_patient else 0.0)
        if busy is None:
            return
        cursor.execute("rollback to savepoint unlocked")
        now = time.monotonic()
        if now >= until:
            raise ServingAwayError(_told(cursor, busy, wait_s))
        if is_patient:
            patient_at = now + _PATIENT_EVERY_S
        time.sleep(_PAUSE_S)


def _locked_out(cursor: Any, tables: Sequence[str], patience_s: float) -> str | None:  # noqa: ANN401 - psycopg2's
    """Lock one table after the other; return the first that somebody else holds for too long."""
    until = time.monotonic() + patience_s
    for table in tables:
        left_ms = int((until - time.monotonic()) * 1000)
        wait = "" if left_ms > 0 else "nowait"
        if left_ms > 0:
            cursor.execute(f"set local lock_timeout = {left_ms}")
        try:
            cursor.execute(f"lock table {table} in access exclusive mode {wait}")
        except errors.LockNotAvailable:
            return table
    return None


def _told(cursor: Any, table: str, wait_s: float) -> str:  # noqa: ANN401 - psycopg2's
    cursor.execute(_READERS, [table])
    who = [f"{user} (pid {pid})" for pid, user in cursor.fetchall()]
    return (
        f"{table}: expected a moment without readers within {wait_s:g} s, "
        f"found transactions of {', '.join(who) or 'others'}; nothing was changed"
    )
