"""The moment in which a transaction of PostgreSQL may change what several tables show."""

import time
from collections.abc import Sequence
from typing import Any, Final

from psycopg2 import errors

from ingestion.errors import ServingAwayError

# Longer than PostgreSQL's deadlock_timeout (1 s), after which an autovacuum makes room.
_WAIT_MS: Final = 2_000
# Readers that queued behind an attempt go first.
_PAUSE_S: Final = 0.5
_READERS: Final = """
select distinct a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'no name'), a.state
from pg_locks as l
inner join pg_stat_activity as a on l.pid = a.pid
where l.relation = to_regclass(%s) and l.granted and a.pid <> pg_backend_pid()
order by a.pid
"""


def hold(cursor: Any, tables: Sequence[str], wait_s: float) -> None:  # noqa: ANN401 - psycopg2's
    """Lock tables until the transaction ends, once none that is open has read one of them.

    It waits for one table at a time and holds none meanwhile: a reader on its way from one table to
    the next would otherwise wait for us, and we for it.

    Raises:
        ServingAwayError: there was no such moment within ``wait_s``; the text has who reads.
    """
    until = time.monotonic() + wait_s
    busy = tables[0]
    cursor.execute(f"set local lock_timeout = {_WAIT_MS}")
    cursor.execute("savepoint unlocked")
    while True:
        try:
            cursor.execute(f"lock table {busy} in access exclusive mode")
            for table in tables:
                busy = table
                cursor.execute(f"lock table {table} in access exclusive mode nowait")
        except errors.LockNotAvailable:
            cursor.execute("rollback to savepoint unlocked")
        else:
            return
        if time.monotonic() >= until:
            raise ServingAwayError(_told(cursor, busy, wait_s))
        time.sleep(_PAUSE_S)


def _told(cursor: Any, table: str, wait_s: float) -> str:  # noqa: ANN401 - psycopg2's
    cursor.execute(_READERS, [table])
    who = [f"{user} ({name}, pid {pid}, {state})" for pid, user, name, state in cursor.fetchall()]
    return (
        f"{table}: expected a moment without readers within {wait_s:g} s, "
        f"found transactions of {', '.join(who) or 'others'}; nothing was changed"
    )
