"""What Superset's charts use of gold, read from the SQL of their datasets."""

from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from infra.superset import bundle


def uses(sql: str) -> dict[str, set[str]]:
    """Return the columns that a query takes from each table of gold; columns have to be named."""
    found: dict[str, set[str]] = {}
    for scope in traverse_scope(sqlglot.parse_one(sql, dialect="duckdb")):
        for column in scope.columns:
            if column.table and column.table not in scope.sources:
                continue  # the query around has it, too
            # A query over several sources says of which each column is; over one it need not.
            source = scope.sources[column.table or next(iter(scope.sources))]
            if isinstance(source, exp.Table):
                found.setdefault(source.name, set()).add(column.name)
    return found


def panels(files: bundle.Bundle) -> dict[str, dict[str, set[str]]]:
    """Return for each chart, by its name, the tables and columns of its dataset."""
    datasets = {one["uuid"]: uses(one["sql"]) for one in files.values() if "sql" in one}
    return {
        one["slice_name"]: datasets[one["dataset_uuid"]]
        for one in files.values()
        if "slice_name" in one
    }


EXPOSURE: Final = "superset_markets"
PANELS: Final = panels(bundle.read())
