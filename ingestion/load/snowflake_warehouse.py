"""Snowflake as the load sees it: a list is staged and counted, then written in one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TypeVar
from uuid import uuid4

from snowflake.connector import SnowflakeConnection

from ingestion.clock import Clock
from ingestion.errors import LoadError, SnowflakeError, TapehouseError
from ingestion.load import snowflake_sql as sql
from ingestion.load.model import Added, Ledger, Listed, Loaded
from ingestion.load.snowflake_cost import Bill, Cost, NoCost, estimate
from ingestion.load.snowflake_lines import Lines
from ingestion.load.snowflake_rows import Rows
from ingestion.load.snowflake_session import Session
from ingestion.load.snowflake_stage import Incoming, Source, Staged, compare

Answer = TypeVar("Answer")

# The client has repeated a request for minutes before it is given up here.
_WAITS_S = (1.0, 10.0, 60.0)


@contextmanager
def open_warehouse(
    connect: Callable[[], SnowflakeConnection],
    source: Source,
    clock: Clock,
    tag: str,
    bill: Bill | None = None,
) -> Iterator["SnowflakeWarehouse"]:
    """Log in when it is first needed, and log out at the end.

    Statements are tagged ``tag``, a colon and the target; ``bill`` is what ``cost`` is told for.

    Raises:
        SnowflakeError: the login is refused; SnowflakeAwayError: nobody answers.
    """
    with closing(Session(connect, tag)) as session:
        yield SnowflakeWarehouse(session, source, clock, bill)


class SnowflakeWarehouse:
    """The load's writer for Snowflake; implements ``Warehouse``.

    What Snowflake refuses is a ``SnowflakeError``, and nothing of the list was kept. After a
    ``SnowflakeAwayError`` that is unknown: the next load asks the ledger.
    """

    def __init__(
        self, session: Session, source: Source, clock: Clock, bill: Bill | None = None
    ) -> None:
        self._load = uuid4().hex
        incoming = Incoming(session, self._load, clock)
        self._session = session
        self._incoming = incoming
        self._lines = Lines(session, source, incoming)
        self._rows = Rows(session, source, incoming)
        self._clock = clock
        self._bill = bill

    def last_keys(self, target: str) -> dict[str, str]:
        rows = self._persist(target, lambda: self._session.execute(sql.last_files(target)))
        return {file.rpartition("/")[0] + "/": file for (file,) in rows}

    def ledger(self, target: str) -> Ledger:
        rows = self._persist(target, lambda: self._session.execute(sql.all_files(target)))
        return Ledger(
            frozenset(file for file, _ in rows),
            frozenset(snapshot for _, snapshot in rows if snapshot is not None),
        )

    def load_lines(self, target: str, files: Sequence[Listed]) -> Loaded:
        def stage(missing: set[str]) -> Staged:
            batch = self._next_batch(target, (target, sql.rejects_of(target)))
            return self._lines.stage(batch, [f for f in files if f.file in missing])

        return self._settle(target, {listed.file: listed.size for listed in files}, stage)

    def load_rows(self, target: str, files: Sequence[Added], head: int | None) -> Loaded:
        reached = {f.file: None if f.is_base else f.snapshot_id for f in files}
        sizes = {added.file: added.size for added in files}
        if head is not None and head not in reached.values():
            reached[f"#{head}"], sizes[f"#{head}"] = head, 0

        def stage(missing: set[str]) -> Staged:
            batch = self._next_batch(target, (target,))
            return self._rows.stage(
                batch,
                [f for f in files if f.file in missing],
                {file: snapshot for file, snapshot in reached.items() if file in missing},
            )

        return self._settle(target, sizes, stage)

    def cost(self) -> Cost | NoCost | None:
        if self._bill is None:
            return None
        seconds = self._session.seconds
        try:
            shown = self._session.show(sql.show_warehouse(self._bill.warehouse))
        except SnowflakeError as error:  # what was loaded is loaded: the estimate says it is none
            return NoCost(str(error))
        return estimate(self._bill, shown, seconds)

    def _settle(
        self, target: str, sizes: Mapping[str, int], stage: Callable[[set[str]], Staged]
    ) -> Loaded:
        """Stage and write what the ledger lacks of a list, until it lacks nothing."""
        loaded = Loaded()

        def attempt() -> None:
            nonlocal loaded
            if missing := self._missing(target, sizes):
                staged = stage(missing)
                # Before the commit: if its answer is lost, the ledger alone says that it was done.
                loaded = staged.loaded
                self._write(staged, len(missing))
                self._confirm(target, sizes)
            self._incoming.clear(target)

        self._persist(target, attempt)
        return loaded

    def _persist(self, target: str, attempt: Callable[[], Answer]) -> Answer:
        """Make an attempt, and again in a new session where an answer is lost.

        A statement without an answer may have been done, COMMIT too: an attempt looks first. A
        first login that nobody answers is told at once: the client has been patient with it.
        """
        waits, is_lost = iter(_WAITS_S), False
        while True:
            try:
                if is_lost:
                    self._session.begin_anew()
                self._session.tag(target)
                return attempt()
            except TapehouseError as error:
                wait = next(waits, None)
                if wait is None or not (error.transient and self._session.has_begun):
                    raise
                is_lost = True
                self._clock.sleep(wait)

    def _missing(self, target: str, sizes: Mapping[str, int]) -> set[str]:
        """Return what the ledger lacks of a list; refuse a file that it has with another size."""
        if not sizes:
            return set()
        known = dict(self._session.execute(sql.known_files(target, sizes)))
        for file, size in known.items():
            if size != sizes[file]:
                raise LoadError(
                    f"{file}: expected {size} bytes as when it was loaded, found {sizes[file]}: "
                    "modified"
                )
        return sizes.keys() - known.keys()

    def _confirm(self, target: str, sizes: Mapping[str, int]) -> None:
        if missing := self._missing(target, sizes):
            raise LoadError(
                f"{target}: expected {len(sizes)} files in the ledger after the commit, found "
                f"{len(sizes) - len(missing)}"
            )

    def _next_batch(self, target: str, tables: tuple[str, ...]) -> sql.Batch:
        """Number batches by what is there, not by a clock.

        dbt's increments rely on their order, and on none coming later with an earlier number:
        rows are written with a number that was asked for under the lock.
        """
        [(last, of_target)] = self._session.execute(sql.last_batches(target, tables))
        now = self._clock.now().replace(tzinfo=None)
        return sql.Batch(target, tables, last + 1, of_target, now)

    def _write(self, staged: Staged, files: int) -> None:
        target = staged.batch.target
        with self._session.transaction() as transaction:
            [(locked, *_)] = self._session.execute(sql.lock(self._load))
            if locked != 1:
                raise LoadError(
                    f"{sql.LOCK}: expected one row, found {locked}: "
                    "`python -m ingestion snowflake bootstrap` makes it"
                )
            now = self._next_batch(target, staged.batch.tables)
            batch = replace(staged.batch, number=now.number, loaded_at=now.loaded_at)
            writes = staged.writes(batch)
            self._session.execute_all([*writes, sql.merge_ledger(batch, transaction)])
            [(entered,)] = self._session.execute(sql.count_entered(batch))
            if entered != files:
                raise LoadError(
                    f"{target}: expected {files} files entered into the ledger by this load, "
                    f"found {entered}: another load has taken them, or Snowflake has ended the "
                    "transaction"
                )
            compare(staged.expected, dict(self._session.execute(sql.count_written(batch))))
