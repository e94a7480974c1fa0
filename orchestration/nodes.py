"""What follows dbt inside a model's task: its rows, its test results, and the warehouse let go."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb
from airflow.sdk import Context, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowFailException
from cosmos.exceptions import CosmosDbtRunError
from dbt.adapters.duckdb.connections import DuckDBConnectionManager

from ingestion.lock import project_lock
from ingestion.settings import WarehouseSettings
from orchestration.operators import REPORT, SECONDS

_GOOD: Final = frozenset({"success", "pass", "warn", "no-op", "skipped"})
# Words of dbt's: the project is wrong, and will be the next time.
_FINAL: Final = ("Compilation Error", "Parsing Error")
_IS_TABLE: Final = """
select count(*) from duckdb_tables() where schema_name = ? and table_name = ?
"""


class NodeRetries(RetryPolicy):
    """Try again where dbt could not begin, as for a lock, but never what it could not parse.

    Then there are no results, and Cosmos tells dbt's error as text alone. What results say is
    `conclude`'s.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """Decide about an error by its words."""
        del try_number, max_tries, context
        if isinstance(exception, CosmosDbtRunError):
            for words in _FINAL:
                if words in str(exception):
                    return RetryDecision.fail(f"a {words.lower()} does not pass")
        return RetryDecision.default()


def conclude(project_dir: str, *, context: Context) -> None:
    """Report a node's rows and tests, and let the warehouse go; Cosmos calls it after dbt.

    Raises:
        AirflowFailException: the model or one of its tests failed: trying again would not help.
    """
    results = _results(Path(project_dir) / "target" / "run_results.json")
    try:
        _close()
        settings = WarehouseSettings.load()
        found = report(results, settings.file() if settings.engine == "duckdb" else None)
    finally:
        _unlock()
    context["ti"].xcom_push(SECONDS, found["seconds"])
    context["ti"].xcom_push(REPORT, found)
    if found["failures"]:
        raise AirflowFailException("\n".join(found["failures"]))


def report(results: list[Mapping[str, Any]], warehouse: Path | None) -> dict[str, Any]:
    """Return what a node's results say: tests by status, failures in words, its table's rows.

    Rows are counted in a DuckDB file alone; the gate's report has those of the marts anywhere.
    """
    tests = [one["status"] for one in results if _is_test(one)]
    bad = [one for one in results if one["status"] not in _GOOD]
    return {
        "rows": _rows(results, warehouse),
        "tests_passed": tests.count("pass"),
        "tests_warned": tests.count("warn"),
        "seconds": round(sum(one["execution_time"] for one in results), 3),
        "failures": [_line(one) for one in bad],
    }


def _results(path: Path) -> list[Mapping[str, Any]]:
    """Return dbt's results; none where it did not come so far, which Cosmos tells by itself."""
    found: list[Mapping[str, Any]] = []
    if path.is_file():
        found = json.loads(path.read_text())["results"]
    return found


def _rows(results: list[Mapping[str, Any]], warehouse: Path | None) -> dict[str, int]:
    names = [one["relation_name"] for one in results if one.get("relation_name")]
    relations = [tuple(name.replace('"', "").split(".")[-2:]) for name in names]
    if not relations or warehouse is None or not warehouse.is_file():
        return {}
    with closing(duckdb.connect(warehouse, read_only=True)) as db:
        return {
            f"{schema}.{table}": _count(db, schema, table)
            for schema, table in relations
            # A view's rows would have to be computed once more.
            if db.execute(_IS_TABLE, [schema, table]).fetchall() == [(1,)]
        }


def _count(db: duckdb.DuckDBPyConnection, schema: str, table: str) -> int:
    [(rows,)] = db.execute(f'select count(*) from "{schema}"."{table}"').fetchall()  # noqa: S608 - names of the catalog
    return int(rows)


def _is_test(result: Mapping[str, Any]) -> bool:
    return bool(str(result["unique_id"]).startswith("test."))


def _line(result: Mapping[str, Any]) -> str:
    name = str(result["unique_id"]).split(".")[2]
    rows = f" ({result['failures']} rows)" if result.get("failures") else ""
    text = " ".join(str(result["message"] or "").split())
    return f"{result['status']} {name}{rows}: {text}"


def _close() -> None:
    """Close the file, which dbt's adapter keeps open after a command."""
    if DuckDBConnectionManager._ENV is not None:
        DuckDBConnectionManager._ENV.close()
        DuckDBConnectionManager._ENV = None


def _unlock() -> None:
    """Give the project's lock back, which the profile's plugin holds to the process's end."""
    project_lock(WarehouseSettings.load().lock()).release(force=True)
