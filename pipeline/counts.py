"""Rows of silver and gold, and records set aside as copies: compared before and after a run."""

from dataclasses import dataclass

import duckdb

from ingestion.lock import held
from ingestion.settings import WarehouseSettings

_DEDUPLICATED = (
    "select count(*) from common.rejects_raw where reason = 'duplicate'",
    "select count(*) from verdicts.silver_quotes_deduplicated",
)


@dataclass(frozen=True)
class Counts:
    """Rows by relation of each schema; ``deduplicated`` is records known to be sent again."""

    silver: dict[str, int]
    gold: dict[str, int]
    deduplicated: int


def read() -> Counts:
    """Count; a warehouse that is not there yet holds nothing."""
    settings = WarehouseSettings.load()
    if not settings.file().is_file():
        return Counts({}, {}, 0)
    with (
        held(settings.lock(), settings.lock_timeout_s, lambda _: None),
        duckdb.connect(settings.file(), read_only=True) as db,
    ):
        return Counts(_rows(db, "silver"), _rows(db, "gold"), _deduplicated(db))


def _rows(db: duckdb.DuckDBPyConnection, schema: str) -> dict[str, int]:
    names = db.execute(
        "select table_name from information_schema.tables "
        "where table_schema = ? order by table_name",
        [schema],
    ).fetchall()
    return {name: _one(db, f"select count(*) from {schema}.{name}") for (name,) in names}  # noqa: S608 - names of the catalog


def _deduplicated(db: duckdb.DuckDBPyConnection) -> int:
    try:
        return sum(_one(db, query) for query in _DEDUPLICATED)
    except duckdb.CatalogException:
        return 0  # loaded, and not yet built


def _one(db: duckdb.DuckDBPyConnection, query: str) -> int:
    row = db.execute(query).fetchone()
    return int(row[0]) if row else 0
