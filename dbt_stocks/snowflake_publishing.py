"""Gold on Snowflake: schema ``gold``, which one statement replaces as a whole.

Snowflake commits with every DDL, so no transaction holds a publication together. What does is
``alter schema gold swap with gold_next``: before it readers have the build before, after it the new
one, and ``gold.published_build``, a table of the schema, says which. That table is the truth;
``ops.builds`` follows it, at once or by ``heal``. The order is

1. ``gold_next``: a clone of the candidate, with its views made anew over tables of their own
   schema, the build's id stamped over every row, and ``published_build``;
2. ``gold_kept_<publication>``, a clone of that for a rollback, and the state of its tables;
3. READER's rights on ``gold_next``: a swap takes rights along;
4. the swap, if the lease (``lease.py``) is still held and ``gold_next`` is the build's own;
5. the books; ``gold_next``, which is the build before now, and clones of long ago are dropped.

A clone of a schema takes along what was granted on its tables. So nothing is ever granted on the
candidate and on kept clones, and READER's rights come last.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from snowflake.connector import Error, SnowflakeConnection

from dbt_stocks import books, catalog, lease, state, views
from dbt_stocks.books import Build, Outcome
from dbt_stocks.engine import CANDIDATE, GOLD, refill_candidate
from dbt_stocks.lease import Lease
from ingestion.errors import BuildError
from ingestion.settings import SnowflakeSettings, WarehouseSettings
from ingestion.snowflake import diagnosis
from ingestion.snowflake.connection import connection

NEXT: Final = "gold_next"
_KEPT: Final = "gold_kept_"
_RECORD: Final = catalog.RECORD
# What is replaced or dropped here is paid for no longer: the way back is a kept clone, not Time
# Travel. The tables of a schema have its time, dbt's among them.
_NO_TRAVEL: Final = "data_retention_time_in_days = 0"
_DDL: Final = (
    *(*books.DDL, state.DDL, *lease.DDL),
    f"create schema if not exists {GOLD} {_NO_TRAVEL}",
    f"create schema if not exists {CANDIDATE} {_NO_TRAVEL}",
)
_TAG: Final = "gate"
_WORDS: Final = 6


@dataclass(frozen=True)
class SnowflakeWarehouse:
    """A database of a Snowflake account; implements ``Warehouse``."""

    settings: SnowflakeSettings

    def lock(self) -> Path:
        return self.settings.lock()

    def lock_timeout_s(self) -> float:
        return WarehouseSettings.load().lock_timeout_s

    def dbt_environment(self) -> dict[str, str]:
        settings = self.settings
        key, passphrase = settings.key("transformer")
        return {
            "DBT_TARGET": "snowflake",
            "SNOWFLAKE_ACCOUNT": settings.account_name(),
            "SNOWFLAKE_DATABASE": settings.database,
            "SNOWFLAKE_TRANSFORMER_PRIVATE_KEY_PATH": str(key),
            "SNOWFLAKE_TRANSFORMER_PRIVATE_KEY_PASSPHRASE": (passphrase or b"").decode(),
            "SNOWFLAKE_HOST": settings.host or "",
            "SNOWFLAKE_PORT": str(settings.port),
            "SNOWFLAKE_PROTOCOL": settings.protocol,
            "SNOWFLAKE_QUERY_TAG": settings.query_tag,
            "SNOWFLAKE_SILVER_WAREHOUSE": settings.silver_warehouse or "",
            "SNOWFLAKE_GOLD_WAREHOUSE": settings.gold_warehouse or "",
        }

    @contextmanager
    def opened(self) -> Iterator["SnowflakeGold"]:
        with open_gold(
            lambda: connection(self.settings, "transformer", _TAG),
            self.settings.role("reader"),
            lease.holder(self.lock().with_suffix(".holder")),
        ) as gold:
            yield gold


@contextmanager
def open_gold(
    connect: Callable[[], SnowflakeConnection], reader: str, holder: str
) -> Iterator["SnowflakeGold"]:
    """Log in for a gate command, and out at its end; ``reader`` is the role that sees gold.

    ``holder`` is who takes the lease.

    Raises:
        SnowflakeError: the login is refused, or a statement; SnowflakeAwayError: nobody answers.
    """
    with closing(connect()) as session:
        db = SnowflakeSession(session)
        gold = SnowflakeGold(db, reader, Lease(db, holder))
        for statement in _DDL:
            gold.db.execute(statement)
        yield gold


@dataclass(frozen=True)
class Rows:
    """The rows of a statement, all of them fetched."""

    rows: list[tuple[Any, ...]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return them."""
        return self.rows


@dataclass(frozen=True)
class SnowflakeSession:
    """An open connection; implements ``Session``."""

    connection: SnowflakeConnection

    def execute(self, statement: str, parameters: Sequence[object] = (), /) -> Rows:
        """Run one statement; the connector writes the parameters into it as literals.

        Raises:
            SnowflakeError: it is refused; SnowflakeAwayError: its outcome is unknown.
        """
        try:
            with self.connection.cursor() as cursor:
                if parameters:
                    # No statement of ours has either character in a text.
                    cursor.execute(statement.replace("?", "%s"), tuple(parameters))
                else:
                    cursor.execute(statement)
                return Rows([tuple(row) for row in cursor.fetchall()])
        except Error as error:
            what = " ".join(statement.split()[:_WORDS])
            raise diagnosis.of_statement(error, what) from error


@dataclass(frozen=True)
class SnowflakeGold:
    """Gold of an open session; implements ``Gold``."""

    db: catalog.Session
    reader: str
    lease: Lease

    def take(self, what: str) -> None:
        self.lease.take(what)

    def give_back(self) -> None:
        self.lease.give_back()

    def publish(self, build_id: str, outcome: Outcome) -> None:
        build = books.finished(self.db, build_id, outcome)
        self._prepare(build)
        self._show(build_id)
        build.record(self.db)
        self._drop_next()
        self._prune()

    def settle(self, build_id: str, reason: str, finished_at: datetime) -> bool:
        # First of all: a swap without an answer may still be done, unless it finds nothing.
        self._drop_next()
        shown = self._shown()
        if shown == build_id:
            self.heal()
            return True
        self._refill(shown)
        books.fail(self.db, build_id, reason, finished_at)
        return False

    def rollback(self, to: str | None, at: datetime, why: str) -> tuple[str, str]:
        before, target = books.before(self.db, to)
        kept = self._kept(target)
        self.db.execute(f"create or replace schema {NEXT} clone {kept} {_NO_TRAVEL}")
        self.db.execute(
            f"update {NEXT}.{_RECORD} set reason = ?",  # noqa: S608 - names of ours
            [books.way(before, target.build_id, at, why)],
        )
        self._show(target.build_id)
        self._follow()
        self._drop_next()
        return before, target.build_id

    def heal(self) -> list[str]:
        self._drop_next()
        said = self._follow()
        killed = books.running(self.db)
        if killed:
            # Before it is noted: a second kill in between leaves builds that run, and this again.
            self._refill(self._shown())
            books.interrupt(self.db)
            said.append(books.healed(killed))
        return said

    def _prepare(self, build: Build) -> None:
        execute = self.db.execute
        execute(f"create or replace schema {NEXT} clone {CANDIDATE} {_NO_TRAVEL}")
        for name, text in views.texts(self.db, CANDIDATE, place="").items():
            execute(f"create or replace view {NEXT}.{name} as {text}")
        for mart in catalog.tables(self.db, CANDIDATE):
            # In place: a clone has the constraints of the mart's contract.
            execute(
                f"update {NEXT}.{mart} set build_id = ? where build_id is distinct from ?",  # noqa: S608 - names of the catalog
                [build.build_id, build.build_id],
            )
        build.record_in(self.db, f"{NEXT}.{_RECORD}")
        execute(f"create or replace schema {_KEPT}{build.publication} clone {NEXT} {_NO_TRAVEL}")
        state.keep(self.db, CANDIDATE, build.build_id, books.published(self.db)[: books.KEEP])

    def _show(self, build_id: str) -> None:
        for statement in grants(self.reader):
            self.db.execute(statement)
        # Taken once more: it now outlasts the swap, and nobody else has made or dropped gold_next.
        self.lease.take(build_id)
        found = books.recorded_in(self.db, f"{NEXT}.{_RECORD}")[0].build_id
        if found != build_id:
            raise BuildError(f"{NEXT}: expected build {build_id}, found {found}: it is not shown")
        self.db.execute(f"alter schema {GOLD} swap with {NEXT}")

    def _follow(self) -> list[str]:
        """Write in the books what readers are shown, where they say another build."""
        if not self._has_record():
            return []
        build, reason = books.recorded_in(self.db, f"{GOLD}.{_RECORD}")
        name = build.build_id
        if name in books.published(self.db)[:1]:
            return []
        if books.status(self.db, name) in ("published", "withdrawn"):
            self._refill(name)
            books.show(self.db, name, reason or "")
        else:
            build.record(self.db)
        return [f"build {name} is what readers are shown: the books say so now"]

    def _shown(self) -> str | None:
        if not self._has_record():
            return None
        return books.recorded_in(self.db, f"{GOLD}.{_RECORD}")[0].build_id

    def _has_record(self) -> bool:
        return ("table", _RECORD) in catalog.relations(self.db, GOLD)

    def _kept(self, build: Build) -> str:
        """Return the schema in which a build is kept.

        Raises:
            BuildError: there is none, or another build is in it.
        """
        schema = f"{_KEPT}{build.publication}"
        if schema not in self._schemas():
            raise BuildError(
                f"expected schema {schema} with build {build.build_id}, found none: only "
                f"{books.KEEP} are kept"
            )
        found = books.recorded_in(self.db, f"{schema}.{_RECORD}")[0].build_id
        if found != build.build_id:
            raise BuildError(f"{schema}: expected build {build.build_id}, found {found}")
        return schema

    def _schemas(self) -> list[str]:
        rows = self.db.execute(
            "select lower(schema_name) from information_schema.schemata "
            "where catalog_name = current_database() order by 1"
        ).fetchall()
        return [name for (name,) in rows if name.startswith(_KEPT)]

    def _prune(self) -> None:
        """Drop the clones of builds that are withdrawn, were never shown, or are of long ago."""
        published = books.published(self.db)[: books.KEEP]
        kept = {f"{_KEPT}{books.find(self.db, one).publication}" for one in published}
        for schema in self._schemas():
            if schema not in kept:
                self.db.execute(f"drop schema if exists {schema} cascade")

    def _drop_next(self) -> None:
        self.db.execute(f"drop schema if exists {NEXT} cascade")

    def _refill(self, build_id: str | None) -> None:
        refill_candidate(self.db, build_id, _refill)


def grants(reader: str) -> list[str]:
    """Return what gives a role the rights on ``gold_next`` that it has on gold."""
    return [
        f"grant usage on schema {NEXT} to role {reader}",
        f"grant select on all tables in schema {NEXT} to role {reader}",
        f"grant select on all views in schema {NEXT} to role {reader}",
    ]


def _refill(mart: str) -> list[str]:
    # Transient as all that dbt makes: of such a table there is no permanent clone.
    return [f"create or replace transient table {CANDIDATE}.{mart} clone {GOLD}.{mart}"]
