"""What Snowflake has of a target: its ledger, counts by file, rows."""
# ruff: noqa: S608 - names of ours and of the catalog; every value is a ``literal``

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from snowflake.connector import Error, SnowflakeConnection

from ingestion.load.snowflake_sql import LEDGER, LOADS_OWN, columns_of, literal, quoted, rejects_of
from ingestion.snowflake import diagnosis
from ingestion.verify import contents

_ROWS_AT_ONCE = 10_000
_WORDS = 4


@dataclass(frozen=True)
class Entry:
    """What the ledger says of a file; ``times`` is how often it is there."""

    snapshot_id: int | None
    rows: int
    bytes: int
    times: int


@dataclass(frozen=True)
class Counted:
    """The rows of a file, those ``refused`` included, and the snapshots that they name."""

    rows: int
    refused: int = 0
    first_snapshot: int | None = None
    last_snapshot: int | None = None


class Tables:
    """The raw tables of an open session, which may only read them.

    Every method raises ``SnowflakeError`` where a question is refused.
    """

    def __init__(self, session: SnowflakeConnection) -> None:
        self._session = session

    def ledger(self, target: str) -> dict[str, Entry]:
        """Return a target's entries by file."""
        return {
            file: Entry(snapshot, int(rows), int(size), int(times))
            for file, snapshot, rows, size, times in self._rows(
                'select "FILE", max("SNAPSHOT_ID"), max("ROW_COUNT"), max("BYTES"), count(*) '
                f'from {LEDGER} where "TARGET" = {literal(target)} group by "FILE"'
            )
        }

    def counts(self, table: str, *, with_snapshots: bool = False) -> dict[str, Counted]:
        """Return the rows of each file of a table."""
        snapshots = ', min("SNAPSHOT_ID"), max("SNAPSHOT_ID")' if with_snapshots else ""
        return {
            file: Counted(int(rows), 0, *named)
            for file, rows, *named in self._rows(
                f'select "FILE", count(*){snapshots} from {table} group by "FILE"'
            )
        }

    def columns(self, target: str) -> list[str]:
        """Return the columns that a raw table has of the lake's, in lower case."""
        found = [name.lower() for name, *_ in self._rows(columns_of(target))]
        return [name for name in found if name not in LOADS_OWN]

    def lines(self, target: str, files: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Return files' documents, and the lines that were refused, as ``contents.line``."""
        place = '"TOPIC", "GENERATION", "PARTITION"'
        for file, text, *of in self._rows(
            f'select "FILE", to_json("V"), {place} from {target} where {_is_in(files)}'
        ):
            yield file, contents.line(text, *of)
        for file, raw, encoding, *of in self._rows(
            f'select "FILE", "RAW", "RAW_ENCODING", {place} from {rejects_of(target)} '
            f"where {_is_in(files)}"
        ):
            kept = base64.b64decode(raw) if encoding == "base64" else raw
            yield file, contents.line(kept, *of)

    def rows(
        self, target: str, columns: Sequence[str], files: Sequence[str]
    ) -> Iterator[tuple[str, str]]:
        """Return files' rows as ``contents.row``."""
        names = ", ".join(map(quoted, columns))
        for file, *values in self._rows(
            f'select "FILE", {names} from {target} where {_is_in(files)}'
        ):
            yield file, contents.row(dict(zip(columns, values, strict=True)))

    def _rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        with self._session.cursor() as cursor:
            try:
                cursor.execute(statement)
                while fetched := cursor.fetchmany(_ROWS_AT_ONCE):
                    # Rows are tuples: the connection makes no cursors of dictionaries.
                    yield from (tuple(found) for found in fetched)
            except Error as error:
                what = " ".join(statement.split()[:_WORDS])
                raise diagnosis.of_statement(error, what) from error


def _is_in(files: Iterable[str]) -> str:
    return f'"FILE" in ({", ".join(map(literal, files))})'
