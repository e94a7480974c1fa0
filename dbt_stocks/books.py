"""``ops.builds``: every build and what became of it. It is the truth about what is published.

A build is ``running``, then ``failed``, ``interrupted`` (its process was killed) or ``published``;
a published one that a rollback has passed over is ``withdrawn``. Readers are shown the published
build with the highest ``publication``: a number and not a time, since a clock may be set back.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Final

from dbt_stocks.catalog import Session
from ingestion.errors import BuildError

# Builds become names of files and texts in SQL; nothing else may stand there.
_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
# Published builds that can be shown again.
KEEP: Final = 5
# By name, for a table may have gained columns since it was made.
_COLUMNS: Final = """
    build_id varchar not null primary key,
    status varchar not null,
    reason varchar,
    as_of timestamp,
    started_at timestamp not null,
    finished_at timestamp,
    note varchar,
    load_batch_id bigint,
    publication bigint
"""
DDL: Final = (
    "create schema if not exists ops",
    f"create table if not exists ops.builds ({_COLUMNS})",
)
# Of books that were begun before Snowflake had any.
MIGRATION: Final = """
alter table ops.builds add column if not exists note varchar;
alter table ops.builds add column if not exists load_batch_id bigint;
alter table ops.builds add column if not exists publication bigint;
update ops.builds set publication = numbered.publication
from (
    select build_id, row_number() over (order by finished_at) as publication
    from ops.builds where status = 'published'
) as numbered
where builds.build_id = numbered.build_id and builds.publication is null;
"""


@dataclass(frozen=True)
class Build:
    """A build that is about to be published, or has been; times are naive UTC."""

    build_id: str
    as_of: datetime | None
    started_at: datetime
    finished_at: datetime
    note: str | None
    load_batch_id: int | None
    publication: int

    def record(self, db: Session) -> None:
        """Write in the books that the build, which has been running, is published."""
        db.execute(
            "update ops.builds set status = 'published', reason = null, as_of = ?::timestamp, "
            "started_at = ?::timestamp, finished_at = ?::timestamp, note = ?, "
            "load_batch_id = ?::bigint, publication = ?::bigint where build_id = ?",
            [*self._values()[1:], self.build_id],
        )

    def record_in(self, db: Session, table: str) -> None:
        """Make a table that says which build the rows beside it are."""
        db.execute(f"create table {table} ({_COLUMNS})")
        db.execute(
            f"insert into {table} ({', '.join(_FIELDS)}, status) select ?, ?::timestamp, "
            "?::timestamp, ?::timestamp, ?, ?::bigint, ?::bigint, 'published'",
            self._values(),
        )

    def _values(self) -> list[object]:
        return [getattr(self, name) for name in _FIELDS]


_FIELDS: Final = tuple(one.name for one in fields(Build))


@dataclass(frozen=True)
class Outcome:
    """What a build adds to its record when it is published.

    ``as_of`` is the build's now, ``load_batch_id`` the newest load batch that all of it has seen
    (NULL where that is not known), ``note`` what was accepted on request.
    """

    finished_at: datetime
    as_of: datetime | None = None
    load_batch_id: int | None = None
    note: list[str] = field(default_factory=list)


def begin(db: Session, build_id: str, started_at: datetime) -> None:
    """Record that a build has started.

    Raises:
        BuildError: the id is malformed, or readers have been shown that build already.
    """
    if not _BUILD_ID.fullmatch(build_id):
        raise BuildError(f"expected a build id of letters, digits, - _ ., found {build_id!r}")
    if status(db, build_id) in ("published", "withdrawn"):
        raise BuildError(f"expected a new build id, found {build_id} published already")
    if status(db, build_id) is None:
        db.execute(
            "insert into ops.builds (build_id, status, started_at) "
            "select ?, 'running', ?::timestamp",
            [build_id, naive(started_at)],
        )
    else:  # of an earlier attempt under this name nothing is to stay
        db.execute(
            "update ops.builds set status = 'running', reason = null, as_of = null, "
            "started_at = ?::timestamp, finished_at = null, note = null, load_batch_id = null, "
            "publication = null where build_id = ?",
            [naive(started_at), build_id],
        )


def finished(db: Session, build_id: str, outcome: Outcome) -> Build:
    """Return the record of a running build as it will be published; nothing is written.

    Raises:
        BuildError: it is not running, since another command has taken it for killed.
    """
    found = status(db, build_id)
    if found != "running":
        raise BuildError(
            f"expected build {build_id} to be running, found it {found or 'unknown'} in "
            "ops.builds: another command has been at work"
        )
    rows = db.execute("select started_at from ops.builds where build_id = ?", [build_id]).fetchall()
    [(publication,)] = db.execute(
        "select coalesce(max(publication), 0) + 1 from ops.builds"
    ).fetchall()
    return Build(
        build_id,
        outcome.as_of,
        rows[0][0],
        naive(outcome.finished_at),
        "; ".join(outcome.note) or None,
        outcome.load_batch_id,
        publication,
    )


def fail(db: Session, build_id: str, reason: str, finished_at: datetime) -> None:
    """Record that a build has failed."""
    db.execute(
        "update ops.builds set status = 'failed', reason = ?, "
        "finished_at = ?::timestamp where build_id = ?",
        [reason, naive(finished_at), build_id],
    )


def running(db: Session) -> list[str]:
    """Return the builds that have begun and not ended; with the lock held, they were killed."""
    return _ids(db, "where status = 'running' order by started_at")


def healed(killed: Sequence[str]) -> str:
    """Return what is told of builds that were killed."""
    return f"build {', '.join(killed)} was interrupted: candidate restored from gold"


def interrupt(db: Session) -> None:
    """Record that builds which are still running were killed."""
    db.execute("update ops.builds set status = 'interrupted' where status = 'running'")


def show(db: Session, build_id: str, reason: str) -> None:
    """Make a build the published one: those after it are withdrawn, for a reason."""
    db.execute(
        "update ops.builds set status = 'withdrawn', reason = ? where status = 'published' "
        "and publication > (select publication from ops.builds where build_id = ?)",
        [reason, build_id],
    )
    db.execute(
        "update ops.builds set status = 'published', "
        "reason = case when status = 'withdrawn' then ? else reason end where build_id = ?",
        [reason, build_id],
    )


def published(db: Session) -> list[str]:
    """Return the published builds, the one that readers are shown first."""
    return _ids(db, "where status = 'published' order by publication desc")


def find(db: Session, build_id: str) -> Build:
    """Return a build that is or was published.

    Raises:
        BuildError: there is no such build, or it never was.
    """
    found = _builds(
        db, "ops.builds", "build_id = ? and status in ('published', 'withdrawn')", [build_id]
    )
    if not found:
        names = ", ".join(published(db)) or "none"
        raise BuildError(f"expected a published build, found {build_id}; published are: {names}")
    return found[0]


def recorded_in(db: Session, table: str) -> tuple[Build, str | None]:
    """Return the build of the rows beside a table of ``record_in``, and why it is shown."""
    [build] = _builds(db, table, "true", [])
    [(reason,)] = db.execute(f"select reason from {table}").fetchall()  # noqa: S608 - a name of ours
    return build, reason


def before(db: Session, to: str | None) -> tuple[str, Build]:
    """Return the build that is shown, and the one that a rollback shows: ``to``, or the one before.

    Raises:
        BuildError: there is no such build, or it is the one shown.
    """
    shown, *earlier = published(db) or [""]
    if not shown or (to is None and not earlier):
        raise BuildError(f"expected a build before {shown or 'this one'}, found none published")
    target = find(db, to or earlier[0])
    if target.build_id == shown:
        raise BuildError(f"expected another build than the one shown, found {shown}")
    return shown, target


def way(shown: str, target: str, at: datetime, why: str) -> str:
    """Return what the books say of builds that a rollback has passed over."""
    return f"went from {shown} to {target} at {at:%F %T}Z: {why}"


def status(db: Session, build_id: str) -> str | None:
    """Return what became of a build, None where there is none of that name."""
    rows = db.execute("select status from ops.builds where build_id = ?", [build_id]).fetchall()
    return str(rows[0][0]) if rows else None


def naive(moment: datetime) -> datetime:
    """Return a moment (UTC) as the warehouse keeps it, without its zone."""
    return moment.replace(tzinfo=None)


def _ids(db: Session, condition: str) -> list[str]:
    rows = db.execute(f"select build_id from ops.builds {condition}").fetchall()  # noqa: S608 - names and marks of ours
    return [str(row[0]) for row in rows]


def _builds(db: Session, table: str, condition: str, values: Sequence[object]) -> list[Build]:
    rows = db.execute(
        f"select {', '.join(_FIELDS)} from {table} where {condition}",  # noqa: S608 - names of ours
        values,
    ).fetchall()
    return [Build(*row) for row in rows]
