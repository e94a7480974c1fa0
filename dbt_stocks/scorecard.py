"""dbt's test results in the warehouse's books, from which ``gold_dq_scorecard`` is made."""

from collections.abc import Sequence
from datetime import datetime

from dbt_stocks import books, catalog
from dbt_stocks.catalog import Session
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
    db: Session,
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
    loaded_at = books.naive(at)
    rows = [
        (
            *(build_id, one.name, one.model, dimension(one), one.severity, one.status),
            *(one.failures, as_of, loaded_at),
        )
        for one in tests
    ]
    marks = ", ".join(f"({', '.join('?' for _ in row)})" for row in rows)
    with catalog.transaction(db):
        db.execute("delete from ops.test_results where build_id = ?", [build_id])
        db.execute(
            "insert into ops.test_results (build_id, test_name, model_name, dimension, severity, "  # noqa: S608 - names and marks of ours
            f"status, failing_rows, as_of, loaded_at) values {marks}",
            [value for row in rows for value in row],
        )
        db.execute(
            "delete from ops.test_results where build_id not in (select build_id from "
            "ops.test_results group by build_id order by max(loaded_at) desc, build_id "
            "limit ?)",
            [KEEP_RUNS],
        )


def dimension(test: NodeResult) -> str:
    """Return the dimension of data quality that a test speaks of."""
    return test.dimension or _DIMENSIONS.get(test.test_kind, "consistency")
