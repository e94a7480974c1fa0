"""A warehouse with two small marts whose rows all carry their build's number: a mixture shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from dbt_stocks import books, catalog, engine, publishing
from dbt_stocks.books import Outcome
from dbt_stocks.publishing import DuckDBGold
from dbt_stocks.reader import PinnedBuild
from ingestion.errors import BuildError

MARTS: Final = ("mart_a", "mart_b")
ROWS: Final = 200
# One row where both marts and the file's own record are of one build, and every row is there.
_SEEN: Final = (
    "select a.value, a.build_id, b.value as other, b.build_id as other_build, "
    "o.build_id as build, count(*) as n from gold.mart_a a join gold.mart_b b using (id) "
    "cross join ops.builds o group by all"
)


@dataclass(frozen=True)
class World:
    """Where the drill's warehouse and its published files are."""

    folder: Path

    @property
    def warehouse(self) -> Path:
        """The DuckDB file."""
        return self.folder / "warehouse.duckdb"

    @property
    def gold(self) -> Path:
        """The folder of published files."""
        return self.folder / "gold"

    @property
    def lock(self) -> Path:
        """The project lock of this warehouse."""
        return self.folder / "warehouse.lock"

    def create(self) -> None:
        """Make an empty warehouse."""
        self.folder.mkdir(parents=True)
        duckdb.connect(self.warehouse).close()

    @contextmanager
    def opened(self) -> Iterator[DuckDBGold]:
        """Open both places of gold."""
        with publishing.open_gold(self.warehouse, self.gold) as gold:
            yield gold


def build_id(number: int) -> str:
    """Return the name of a build."""
    return f"b{number}"


def prepare(gold: DuckDBGold, number: int) -> None:
    """Begin a build and make its candidate, as dbt would."""
    books.begin(gold.db, build_id(number), datetime.now(UTC))
    for mart in MARTS:
        gold.db.execute(
            f"create or replace table gold_candidate.{mart} as "  # noqa: S608 - names of ours
            f"select range as id, {number} as value, 'adhoc' as build_id from range({ROWS})"
        )


def publish(gold: DuckDBGold, number: int) -> None:
    """Publish what was prepared."""
    gold.publish(build_id(number), Outcome(datetime.now(UTC)))


def seen(build: PinnedBuild) -> int:
    """Return the number of the build that a reader sees.

    Raises:
        BuildError: its rows are of more than one build, or not all there.
    """
    rows = build.query(_SEEN)
    number = rows[0]["value"] if rows else 0
    name = build_id(number)
    one = {"value": number, "build_id": name, "other": number, "other_build": name, "build": name}
    if rows != [one | {"n": ROWS}]:
        raise BuildError(f"expected {ROWS} rows of one build, found {rows[:3]}")
    return int(number)


def inside(gold: DuckDBGold) -> list[tuple[str, int, str, int]]:
    """Return schema, rows, build id and number of what the warehouse itself holds."""
    found = []
    for schema in (engine.GOLD, engine.CANDIDATE):
        for mart in catalog.tables(gold.db, schema):
            rows = gold.db.execute(
                f"select count(*), build_id, value from {schema}.{mart} group by all"  # noqa: S608
            ).fetchall()
            found += [(schema, *row) for row in rows]
    return found
