"""The lake of a stage: Spark's jobs on what was landed, and the auditor over both."""

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog

from drill.matrix.auditors import Auditor, stages
from drill.matrix.errors import UnsettledError
from drill.matrix.members import Orders
from drill.matrix.process import Process
from drill.matrix.stage import Stage
from ingestion.settings import LakeSettings, StoreSettings

# Of the load beside rows that end in the lake: Spark has to take in that as well. They play on a
# broker and a bronze of their own, because it compacts all that a bronze holds.
LOAD_RATE: Final = 50.0
# Larger objects: Spark opens each of them.
LANDERS: Final = Orders(settings=(("LAND_MAX_AGE_S", "5.0"),))
_JOB_S: Final = 600.0  # half a minute on an idle machine
_AUDIT_S: Final = 300.0
_TABLES: Final = {
    "trades": "silver.trades",
    "rejects": "silver.rejects",
    "windows": "metrics.realtime_stock_analytics",
}


class Lake:
    """Runs ``python -m spark_jobs``, one after another."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._layout = stage.cluster.layout

    def job(self, *words: str) -> dict[str, Any]:
        """Run jobs; return their counts by job.

        Raises:
            UnsettledError: they fail or do not end.
        """
        process, report = self.start(*words)
        code = process.wait(_JOB_S)
        if code != 0:
            raise UnsettledError(
                f"spark_jobs {' '.join(words)} ended with {code}; see {process.log}"
            )
        counts: dict[str, Any] = json.loads(report.read_text())["jobs"]
        return counts

    def start(self, *words: str) -> tuple[Process, Path]:
        """Start jobs; return the process and where it will report."""
        report = self._layout.run / f"spark-{self._stage.row}.json"
        command = [sys.executable, "-m", "spark_jobs", *words, "--report", str(report)]
        process = self._stage.cluster.process(f"spark-{self._stage.row}", command)
        process.start()
        return process, report

    @property
    def temporary(self) -> Path:
        """Where Spark puts what it needs for the time of a job."""
        return self._layout.state / "spark" / "tmp"

    def require_sound(self) -> None:
        """Take in all that was sent, and have an auditor compare ledger, Kafka, bronze and lake.

        Raises:
            RedError: it says anything but ok; the load, landing or Spark does not come to its end.
        """
        self._stage.drain()  # nothing may be on its way: each acked id has to be in the lake
        self.job("compact")
        report = self._layout.run / f"lake-audit-{self._stage.row}.json"
        words = ["--ledger", str(self._stage.folder / "ledger")]
        words += stages("kafka", "bronze", "ledger", "lake")
        auditor = Auditor(self._stage.cluster, "auditor-lake", report, words)
        verdict = auditor.verdict(_AUDIT_S)
        verdict.require(["ok"], "the lake's auditor")
        verdict.require_acks(self._stage.sent()["delivered"])
        self._stage.reactions.append(f"each of {verdict.acks()} acks is in the lake, or rejected")

    @contextmanager
    def tables(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give the tables as they are now, as relations ``trades``, ``rejects``, ``windows``.

        Those that nothing was ever published to are not there.
        """
        with duckdb.connect() as database:
            database.execute("set timezone = 'UTC'")
            for name, rows in self._read().items():
                database.register(name, rows)
            yield database

    def _read(self) -> dict[str, pa.Table]:
        path = self._layout.state / "lake" / "catalog.db"
        if not path.exists():
            return {}
        store = StoreSettings.load()
        access, secret = store.keys("lake")
        properties = {
            "uri": LakeSettings.load().uri(),
            "init_catalog_tables": "false",  # Spark makes them
            "s3.endpoint": store.url(),
            "s3.region": store.region,
            "s3.access-key-id": access,
            "s3.secret-access-key": secret,
        }
        with closing(SqlCatalog("lake", **properties)) as catalog:
            return {
                name: catalog.load_table(table).scan().to_arrow()
                for name, table in _TABLES.items()
                if catalog.table_exists(table)
            }
