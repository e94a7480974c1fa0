"""The embedded warehouse's own books: loads, builds, tests, runs, quarantine, newest raw rows."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC
from typing import Any, Final

import duckdb
from prometheus_client.core import Metric

from infra.prometheus.exporter.newest import Freshness, Newest, add, series
from infra.prometheus.exporter.source import BusyError, counter, gauge, one, seconds
from ingestion.errors import LoadError, WarehouseLockedError
from ingestion.lock import held
from ingestion.settings import WarehouseSettings

# A load holds the lock for less than this; whoever holds it longer is a build.
_WAIT_S: Final = 2.0
# Raw rows of before are not looked at: the cost of a scrape is not to grow with history.
_SINCE: Final = "loaded_at >= (select max(loaded_at) - interval 7 day from common.{table})"

_LEDGER: Final = """
    select target, count(*), sum(rows), sum(bytes), max(loaded_at) filter (rows > 0)
    from ops.load_ledger group by target order by target
"""
_BUILDS: Final = """
    select
        count(*) filter (status = 'failed'),
        count(*) filter (status = 'interrupted'),
        count(*) filter (status in ('published', 'withdrawn')),
        arg_max(status, started_at),
        max(started_at),
        max(started_at) filter (status = 'published'),
        arg_max(finished_at - started_at, started_at) filter (status = 'published')
    from ops.builds
"""
_TESTS: Final = """
    select severity, status, count(*), sum(failing_rows)
    from ops.test_results
    where build_id = (select arg_max(build_id, loaded_at) from ops.test_results)
    group by severity, status order by severity, status
"""
_RUNS: Final = """
    select dag_id, arg_max(state, finished_at) = 'success', max(finished_at)
    from ops.runs group by dag_id order by dag_id
"""
# Of all rows: however long a partition has been quiet, its end stands. Five million take 0.15 s.
_QUOTES_END: Final = """
    with rows as (
        select topic, generation, partition, v['offset']::bigint as "offset"
        from common.bronze_stock_quotes_raw
        union all
        select topic, generation, partition, "offset" from common.bronze_stock_quotes_rejects
    )
    select topic, generation, partition, max("offset") + 1
    from rows
    where "offset" is not null  -- as that of a line that could not be read
    group by topic, generation, partition
    order by topic, generation, partition
"""
_NEWEST: Final = {
    "bronze_stock_quotes_raw": """
        select 'quotes', v['value']['source']::varchar, v['value']['simulated']::boolean,
            v['value']['symbol']::varchar,
            max(try_cast(v['value']['event_time']::varchar as timestamptz)) at time zone 'UTC'
    """,
    "bars_raw": "select 'bars', source, simulated, symbol, max(event_at)",
    "realtime_stock_analytics_raw": """
        select 'trades', source, simulated, symbol, max(window_end_at)
    """,
}
_FAILED: Final = ("failed", "interrupted")
_JUDGED: Final = ("bars", "corporate_actions", "quotes")
_QUARANTINE: Final = ("bars", "corporate_actions", "lake_metrics", "quotes", "rejects")


class Books:
    """The DuckDB file, read under the project's lock like every other reading of it."""

    name = "warehouse"

    def __init__(self, settings: WarehouseSettings, freshness: Freshness) -> None:
        self._settings = settings
        self._freshness = freshness

    def read(self) -> Iterator[Metric]:
        """Return what the books say; what a table would tell that is not there yet is left out.

        Raises:
            BusyError: a load or a build has the warehouse.
            LoadError: nothing has been loaded yet.
        """
        path = self._settings.file()
        if not path.is_file():
            raise LoadError(f"expected the warehouse {path}, found none: nothing was loaded yet")
        try:
            with (
                held(self._settings.lock(), _WAIT_S, lambda _: None),
                closing(duckdb.connect(path, read_only=True)) as db,
            ):
                # All of it while the lock is held, and no longer.
                return iter(list(self._metrics(_Reading(db))))
        except WarehouseLockedError as error:
            raise BusyError from error

    def _metrics(self, reading: "_Reading") -> Iterator[Metric]:
        yield from _loads(reading)
        yield from _builds(reading)
        yield from _tests(reading)
        yield from _runs(reading)
        yield from _rules(reading)
        yield from self._freshness.metrics("warehouse", _newest(reading))


class _Reading:
    """A connection, and which relations there are."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self._db = db
        relations = "select table_schema || '.' || table_name from information_schema.tables"
        self._names = {str(name) for (name,) in db.execute(relations).fetchall()}

    def rows(self, relation: str, query: str) -> list[tuple[Any, ...]]:
        """Return a query's rows; none where the relation that it is about is not there yet."""
        return self._db.execute(query).fetchall() if relation in self._names else []


def _loads(reading: _Reading) -> Iterator[Metric]:
    rows = reading.rows("ops.load_ledger", _LEDGER)
    targets = [(target.partition(".")[2],) for target, *_ in rows]
    for place, (name, text) in enumerate(
        (
            ("load_files_total", "Files that the load ledger holds, by raw table"),
            ("load_rows_total", "Rows of these files"),
            ("load_bytes_total", "Stored bytes of these files"),
        ),
        start=1,
    ):
        yield counter(
            name, text, ("target",), zip(targets, (float(row[place]) for row in rows), strict=True)
        )
    yield gauge(
        "load_last_timestamp_seconds",
        "When the newest file with rows was loaded",
        ("target",),
        [(target, seconds(row[4])) for target, row in zip(targets, rows, strict=True) if row[4]],
    )
    yield gauge(
        "warehouse_end_offset",
        "First offset of a life of a topic that its raw table lacks",
        ("topic", "generation", "partition"),
        [
            ((topic, generation, str(number)), end)
            for topic, generation, number, end in reading.rows(
                "common.bronze_stock_quotes_raw", _QUOTES_END
            )
        ],
    )


def _builds(reading: _Reading) -> Iterator[Metric]:
    rows = reading.rows("ops.builds", _BUILDS)
    if not rows or rows[0][4] is None:
        return
    failed, interrupted, published, last, started, shown, took = rows[0]
    yield counter(
        "builds_total",
        "Builds by what became of them; a build that runs again under its name counts once",
        ("status",),
        [(("failed",), failed), (("interrupted",), interrupted), (("published",), published)],
    )
    yield one("build_last_failed", "1 where the newest build failed or was killed", last in _FAILED)
    yield one("build_last_start_timestamp_seconds", "When the newest build began", seconds(started))
    if shown is not None:
        text = "When the newest published build began: it holds what was loaded before"
        yield one("build_published_start_timestamp_seconds", text, seconds(shown))
        text = "How long the newest published build took"
        yield one("build_published_duration_seconds", text, took.total_seconds())


def _tests(reading: _Reading) -> Iterator[Metric]:
    rows = reading.rows("ops.test_results", _TESTS)
    labels = ("severity", "status")
    yield gauge(
        "dbt_tests",
        "Tests of the newest build that was tested, published or not",
        labels,
        [((severity, status), count) for severity, status, count, _ in rows],
    )
    yield gauge(
        "dbt_test_failing_rows",
        "Rows that these tests found",
        labels,
        [((severity, status), float(count or 0)) for severity, status, _, count in rows],
    )


def _runs(reading: _Reading) -> Iterator[Metric]:
    rows = reading.rows("ops.runs", _RUNS)
    yield gauge(
        "run_succeeded",
        "1 where the newest run of a DAG that has ended succeeded",
        ("dag_id",),
        [((dag_id,), succeeded) for dag_id, succeeded, _ in rows],
    )
    yield gauge(
        "run_finished_timestamp_seconds",
        "When that run ended",
        ("dag_id",),
        [((dag_id,), seconds(finished)) for dag_id, _, finished in rows],
    )


def _rules(reading: _Reading) -> Iterator[Metric]:
    judged: dict[tuple[str, str], float] = {}
    for kind in _JUDGED:
        rows = reading.rows(
            f"verdicts.silver_{kind}_judged",
            f"select verdict, count(*) from verdicts.silver_{kind}_judged group by 1 order by 1",  # noqa: S608 - names of ours
        )
        # From the first on: of a series that only begins with its first row nobody sees the rise.
        judged |= {(kind, "quarantined"): 0} if rows else {}
        judged |= {(kind, verdict): count for verdict, count in rows}
    text = "Raw rows by what silver made of them"
    yield gauge("judged_rows", text, ("kind", "verdict"), judged.items())
    quarantined = [
        ((kind, rule or "none"), count)
        for kind in _QUARANTINE
        for rule, count in reading.rows(
            f"quarantine.quarantine_{kind}",
            f"select rule, count(*) from quarantine.quarantine_{kind} group by 1 order by 1",  # noqa: S608 - names of ours
        )
    ]
    yield gauge("quarantine_rows", "Rows in quarantine by rule", ("kind", "rule"), quarantined)


def _newest(reading: _Reading) -> Newest:
    newest: Newest = {}
    for table, select in _NEWEST.items():
        query = f"{select} from common.{table} where {_SINCE.format(table=table)} group by all"
        for feed, source, simulated, symbol, moment in reading.rows(f"common.{table}", query):
            if None not in (source, simulated, symbol, moment):  # a refused line's columns are null
                add(newest, series(feed, source, simulated, symbol), moment.replace(tzinfo=UTC))
    return newest
