"""dbt's test results in the warehouse's books, from which ``gold_dq_scorecard`` is made."""

from collections.abc import Sequence
from datetime import datetime

import duckdb

from dbt_stocks import books, catalog
from dbt_stocks.runner import NodeResult

# Enough for a session of builds by the minute; the mart holds what is kept here.
KEEP_RUNS = 500
_RESULTS = "test_results"
# What a kind of test asks for. A test may say otherwise (`config: meta: dimension`); one that is
# written for its case compares things with one another, unless it does.
_DIMENSIONS = {
    "not_null": "completeness",
    "same_row_count": "completeness",
    "unique": "uniqueness",
    "unique_combination": "uniqueness",
    "no_overlap": "uniqueness",
    "accepted_values": "validity",
    "expression_is_true": "validity",
    "relationships": "consistency",
}
DIMENSIONS = ("completeness", "uniqueness", "validity", "timeliness", "consistency")


def record(
    db: duckdb.DuckDBPyConnection,
    build_id: str,
    as_of: datetime | None,
    results: Sequence[NodeResult],
    at: datetime,
) -> None:
    """Write what became of a build's tests; of one that ran twice, the last time.

    The table is dbt's own (``on-run-start``): where dbt got to no test there may be none.
    """
    tests = list({one.name: one for one in results if one.kind == "test"}.values())
    if not tests or _RESULTS not in catalog.tables(db, "ops"):
        return
    columns = {
        "test_name": [one.name for one in tests],
        "model_name": [one.model for one in tests],
        "dimension": [dimension(one) for one in tests],
        "severity": [one.severity for one in tests],
        "status": [one.status for one in tests],
        "failing_rows": [one.failures for one in tests],
    }
    unnested = ", ".join(f"unnest(?) as {name}" for name in columns)
    with catalog.transaction(db):
        db.execute("delete from ops.test_results where build_id = ?", [build_id])
        db.execute(
            f"insert into ops.test_results by name select ? as build_id, {unnested}, "
            "?::timestamp as as_of, ?::timestamp as loaded_at",
            [build_id, *columns.values(), as_of, books.naive(at)],
        )
        db.execute(
            "delete from ops.test_results where build_id not in (select build_id from "
            "ops.test_results group by build_id order by max(loaded_at) desc, build_id limit ?)",
            [KEEP_RUNS],
        )


def dimension(test: NodeResult) -> str:
    """Return the dimension of data quality that a test speaks of."""
    return test.dimension or _DIMENSIONS.get(test.test_kind, "consistency")
