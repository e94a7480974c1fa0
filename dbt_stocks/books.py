"""``ops.builds``: every build and what became of it. It is the truth about what is published.

A build is ``running``, then ``failed``, ``interrupted`` (its process was killed) or ``published``;
a published one that a rollback has passed over is ``withdrawn``. Readers are shown the published
build with the highest ``publication``: a number and not a time, since a clock may be set back.
"""

import re
from dataclasses import dataclass, field, fields
from datetime import datetime

import duckdb

from ingestion.errors import BuildError

# Builds become names of files and texts in SQL; nothing else may stand there.
_BUILD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
DDL = """
create schema if not exists ops;
create table if not exists ops.builds (
    build_id varchar not null primary key,
    status varchar not null,
    reason varchar,
    as_of timestamp,
    started_at timestamp not null,
    finished_at timestamp
);
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
_ROW = (
    "by name select ? as build_id, 'published' as status, null as reason, ?::timestamp as as_of, "
    "?::timestamp as started_at, ?::timestamp as finished_at, ? as note, "
    "?::bigint as load_batch_id, ?::bigint as publication"
)


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

    def record(self, db: duckdb.DuckDBPyConnection) -> None:
        """Write the build as published into the warehouse's books."""
        self._insert(db, "insert or replace into ops.builds")

    def record_in(self, db: duckdb.DuckDBPyConnection, table: str) -> None:
        """Write the build into an empty table of the same columns: its own file's record."""
        self._insert(db, f"insert into {table}")

    def _insert(self, db: duckdb.DuckDBPyConnection, insert: str) -> None:
        db.execute(f"{insert} {_ROW}", [getattr(self, name) for name in _FIELDS])


_FIELDS = tuple(one.name for one in fields(Build))


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


def begin(db: duckdb.DuckDBPyConnection, build_id: str, started_at: datetime) -> None:
    """Record that a build has started.

    Raises:
        BuildError: the id is malformed, or readers have been shown that build already.
    """
    if not _BUILD_ID.fullmatch(build_id):
        raise BuildError(f"expected a build id of letters, digits, - _ ., found {build_id!r}")
    if status(db, build_id) in ("published", "withdrawn"):
        raise BuildError(f"expected a new build id, found {build_id} published already")
    db.execute(
        # Of an earlier attempt under this name nothing is to stay.
        "insert or replace into ops.builds by name select ? as build_id, 'running' as status, "
        "null as reason, null as as_of, ?::timestamp as started_at, null as finished_at, "
        "null as note, null as load_batch_id, null as publication",
        [build_id, naive(started_at)],
    )


def finished(db: duckdb.DuckDBPyConnection, build_id: str, outcome: Outcome) -> Build:
    """Return the record of a running build as it will be published; nothing is written."""
    rows = db.execute("select started_at from ops.builds where build_id = ?", [build_id]).fetchall()
    if not rows:
        raise BuildError(f"expected build {build_id} in ops.builds, found no such build")
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


def fail(db: duckdb.DuckDBPyConnection, build_id: str, reason: str, finished_at: datetime) -> None:
    """Record that a build has failed."""
    db.execute(
        "update ops.builds set status = 'failed', reason = ?, finished_at = ? where build_id = ?",
        [reason, naive(finished_at), build_id],
    )


def interrupt(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Record that builds which are still running were killed, and return their ids."""
    found = _ids(db, "where status = 'running'")
    if found:
        db.execute("update ops.builds set status = 'interrupted' where status = 'running'")
    return found


def show(db: duckdb.DuckDBPyConnection, build_id: str, reason: str) -> None:
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


def published(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the published builds, the one that readers are shown first."""
    return _ids(db, "where status = 'published' order by publication desc")


def find(db: duckdb.DuckDBPyConnection, build_id: str) -> Build:
    """Return a build that is or was published.

    Raises:
        BuildError: there is no such build, or it never was.
    """
    rows = db.execute(
        f"select {', '.join(_FIELDS)} from ops.builds where build_id = ? "  # noqa: S608 - names of ours
        "and status in ('published', 'withdrawn')",
        [build_id],
    ).fetchall()
    if not rows:
        found = ", ".join(published(db)) or "none"
        raise BuildError(f"expected a published build, found {build_id}; published are: {found}")
    return Build(*rows[0])


def status(db: duckdb.DuckDBPyConnection, build_id: str) -> str | None:
    """Return what became of a build, None where there is none of that name."""
    rows = db.execute("select status from ops.builds where build_id = ?", [build_id]).fetchall()
    return str(rows[0][0]) if rows else None


def naive(moment: datetime) -> datetime:
    """Return a moment (UTC) as the warehouse keeps it, without its zone."""
    return moment.replace(tzinfo=None)


def _ids(db: duckdb.DuckDBPyConnection, condition: str) -> list[str]:
    rows = db.execute(f"select build_id from ops.builds {condition}").fetchall()  # noqa: S608
    return [str(row[0]) for row in rows]
