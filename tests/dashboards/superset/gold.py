"""Gold as its contract says: empty in memory, or a small published file made for the charts."""

import duckdb

from dashboards.contract import Contract


def create(db: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Create gold's tables without rows."""
    db.execute("create schema gold")
    for name, table in contract.tables.items():
        columns = ", ".join(f'"{c.name}" {c.type_in("duckdb")}' for c in table.columns.values())
        db.execute(f"create table gold.{name} ({columns})")
