"""Real daily bars as the lake's files would hold them, loaded by the load's own writer.

The source is a Parquet file of daily bars as traded (symbol, session_date, open, high, low, close,
adjusted_close, volume, dividend_amount, split_coefficient). What is known of a session is known 15
minutes after its close, its dividend and split with it.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb
import pyarrow.parquet as pq

from ingestion.clock import SystemClock
from ingestion.errors import LoadError
from ingestion.load.duckdb_warehouse import DuckDBWarehouse, open_warehouse
from ingestion.load.model import Added, LineFile, Listed, TableFile
from ingestion.load.run import batches
from ingestion.settings import ROOT

SESSIONS: Final = ROOT / "dbt_stocks" / "seeds" / "sessions.csv"
_SECTORS: Final = (
    "Energy", "Materials", "Industrials", "Consumer Discretionary", "Consumer Staples",
    "Health Care", "Financials", "Information Technology", "Utilities", "Real Estate",
)  # fmt: skip
_TABLES: Final = ("bars", "corporate_actions", "daily_stock_metrics")


@dataclass(frozen=True)
class Commit:
    """Files that one commit added to each of the lake's tables, and how many bars are in them."""

    number: int
    files: dict[str, list[Added]]
    bars: int


def write(rows: str, folder: Path) -> list[Commit]:
    """Write lake files below ``folder``: all sessions but the last as one commit, then the last.

    ``rows`` is SQL of a relation with the source's columns and ``source``.
    """
    with duckdb.connect() as db:
        db.execute(
            "create table days as select given.*, sessions.open_at, sessions.close_at "  # noqa: S608
            f"from ({rows}) as given "
            f"inner join read_csv('{SESSIONS}') as sessions using (session_date)"
        )
        db.execute(Path(__file__).with_name("lake.sql").read_text())
        [(last,)] = db.execute("select max(session_date) from days").fetchall()
        return [
            _commit(db, folder, 1, f"session_date < date '{last}'"),
            _commit(db, folder, 2, f"session_date = date '{last}'"),
        ]


def opened(warehouse: Path) -> AbstractContextManager[DuckDBWarehouse]:
    """Open a warehouse as the load does, and create what is missing in it."""
    return open_warehouse(warehouse, _no_lines, _read, SystemClock())


def load(warehouse: Path, commit: Commit) -> None:
    """Load a commit's files as the product does: one batch and its ledger per list of files."""
    with opened(warehouse) as writer:
        for table, files in commit.files.items():
            lists = list(batches(files))
            for number, batch in enumerate(lists, start=1):
                head = commit.number if number == len(lists) else None
                writer.load_rows(f"common.{table}_raw", batch, head)


def instruments(symbols: Iterable[str], seed: Path) -> None:
    """Write the seed of instruments: each symbol one instrument, known all the time."""
    header = seed.read_text().partition("\n")[0]
    lines = [
        f"{name}@1999-01-01,{name.lower()},{name},{name} Inc.,XNYS,USD,"
        f"{_SECTORS[number % len(_SECTORS)]},Benchmark,true,1999-01-01,,1999-01-01,"
        for number, name in enumerate(sorted(symbols))
    ]
    seed.write_text("\n".join([header, *lines]) + "\n")


def _commit(db: duckdb.DuckDBPyConnection, folder: Path, number: int, sessions: str) -> Commit:
    files: dict[str, list[Added]] = {}
    for table in _TABLES:
        target = folder / f"{number}" / table
        target.mkdir(parents=True)
        years = db.execute(
            f"select distinct year(session_date) from {table} where {sessions} order by 1"  # noqa: S608
        ).fetchall()
        files[table] = [
            _file(
                db.sql(
                    f"from {table} where {sessions} and year(session_date) = {year} "
                    "order by session_date, symbol"
                ),
                target / f"{year}.parquet",
                number,
            )
            for (year,) in years
        ]
    return Commit(number, files, sum(added.records for added in files["bars"]))


def _file(rows: duckdb.DuckDBPyRelation, path: Path, number: int) -> Added:
    rows.write_parquet(str(path))
    return Added(str(path), number, path.stat().st_size, pq.read_metadata(path).num_rows)


def _read(added: Added) -> TableFile:
    return TableFile(added, pq.read_table(added.file))


def _no_lines(files: Sequence[Listed]) -> list[LineFile]:
    raise LoadError(f"expected no quotes, found {len(files)} files")
