"""The last page of a run: what it moved, tested and reconciled, written to ``ops`` and shown."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import duckdb
from airflow.sdk import BaseOperator, Context

from dbt_stocks import catalog
from dbt_stocks.place import Place
from ingestion.lock import held
from ingestion.settings import WarehouseSettings
from orchestration import states

_DDL: Final = """
create table if not exists ops.runs (
    dag_id varchar not null,
    run_id varchar not null,
    state varchar not null,
    started_at timestamp,
    finished_at timestamp not null,
    summary varchar not null,
    primary key (dag_id, run_id)
)
"""

_TITLES: Final = ("what", "value")
# The auditor's, as data flow; its checks are named after them.
_STAGES: Final = ("ledger", "kafka", "bronze", "lake", "warehouse", "silver", "gold")


@dataclass(frozen=True)
class Summary:
    """What a run did; times are UTC, ``counts`` by what they count."""

    dag_id: str
    run_id: str
    state: str
    started_at: datetime | None
    finished_at: datetime
    counts: dict[str, int | float | str | None] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return it as a page; its columns are even, since Airflow shows the text as it is."""
        head = [f"**{self.dag_id}** `{self.run_id}`: **{self.state}**", ""]
        rows = [(name, _shown(value)) for name, value in self.counts.items()]
        rows += [(f"{name}, seconds", f"{value:,.1f}") for name, value in self.seconds.items()]
        left, right = (max(len(row[side]) for row in [_TITLES, *rows]) for side in (0, 1))
        table = [f"| {name:<{left}} | {value:>{right}} |" for name, value in [_TITLES, *rows]]
        table.insert(1, f"|{'-' * (left + 2)}|{'-' * (right + 1)}:|")
        broken = [f"- failed: `{name}`" for name in self.failed]
        return "\n".join([*head, *table, "", *broken])


class SummaryOperator(BaseOperator):
    """Tell what became of the run so far; it runs when all before it is done with.

    ``reports`` names the tasks whose reports are told, by the name that they have in the summary.
    """

    template_fields = ("summary",)
    template_fields_renderers = {"summary": "md"}  # noqa: RUF012 - as Airflow declares it
    overwrite_rtif_after_execution = True

    def __init__(
        self,
        *,
        reports: Mapping[str, str],
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(**kwargs)
        self.reports = dict(reports)
        self.summary = ""

    def execute(self, context: Context) -> str:
        """Write the summary to the warehouse's books, and show it."""
        found = {name: states.report(context, task) for name, task in self.reports.items()}
        run = context["dag_run"]
        summary = summarise(
            (run.dag_id, run.run_id, run.start_date), states.of_run(context), found, _now()
        )
        self.summary = summary.markdown()
        self.log.info("%s", self.summary)
        write(summary, WarehouseSettings.load())
        return self.summary


def summarise(
    run: tuple[str, str, datetime | None],
    found: Mapping[str, str | None],
    reports: Mapping[str, Mapping[str, Any]],
    now: datetime,
) -> Summary:
    """Return the summary of a run's task states and of what its commands reported."""
    dag_id, run_id, started_at = run
    failed = states.failed(found)
    counts: dict[str, int | float | str | None] = {}
    for name, read in _READERS.items():
        if report := reports.get(name):
            counts |= read(report)
    done = [state for state in found.values() if state in ("success", "skipped")]
    counts["tasks done"] = len(done)
    seconds = {"run": (now - started_at).total_seconds()} if started_at else {}
    seconds |= {
        name: float(one["seconds"]) for name, one in reports.items() if _is_number(one, "seconds")
    }
    state = "failed" if failed else "success"
    return Summary(dag_id, run_id, state, started_at, now, counts, failed, seconds)


def write(summary: Summary, settings: WarehouseSettings) -> None:
    """Keep a summary in ``ops.runs``; where there is no warehouse yet there is nothing to keep.

    Raises:
        WarehouseLockedError: another process holds the warehouse for too long.
    """
    if settings.engine == "duckdb" and not settings.file().is_file():
        return
    text = json.dumps(asdict(summary), default=str)
    started_at = summary.started_at.astimezone(UTC) if summary.started_at else None
    row = [
        *(summary.dag_id, summary.run_id, summary.state),
        started_at.replace(tzinfo=None) if started_at else None,
        *(summary.finished_at.replace(tzinfo=None), text),
    ]
    if settings.engine == "snowflake":
        place = Place.load(settings.engine)
        with place.held(lambda _: None), place.warehouse.opened() as gold:
            _keep(gold.db, row)
        return
    with (
        held(settings.lock(), settings.lock_timeout_s, lambda _: None),
        closing(duckdb.connect(settings.file())) as db,
    ):
        db.execute("create schema if not exists ops")
        _keep(db, row)


def has_failed(db: catalog.Session, dag_id: str) -> bool:
    """Tell whether the newest run of a DAG that is in the books has failed."""
    if "runs" not in catalog.tables(db, "ops"):
        return False
    newest = db.execute(
        "select state from ops.runs where dag_id = ? order by finished_at desc limit 1", [dag_id]
    ).fetchall()
    return newest == [("failed",)]


def _keep(db: catalog.Session, row: Sequence[object]) -> None:
    db.execute(_DDL)
    with catalog.transaction(db):
        db.execute("delete from ops.runs where dag_id = ? and run_id = ?", row[:2])
        db.execute("insert into ops.runs values (?, ?, ?, ?, ?, ?)", row)


def _sent(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"records sent": report.get("delivered")}


def _landed(report: Mapping[str, Any]) -> dict[str, Any]:
    return {"offsets in bronze": sum(report.values())}


def _lake(report: Mapping[str, Any]) -> dict[str, Any]:
    jobs = report.get("jobs", {})
    return {
        "records compacted": jobs.get("compact", {}).get("read"),
        "duplicates set aside": jobs.get("compact", {}).get("duplicates"),
        "rows written to the lake": sum(sum(job["written"].values()) for job in jobs.values()),
    }


def _loaded(report: Mapping[str, Any]) -> dict[str, Any]:
    told = {"rows loaded": report.get("rows"), "lines rejected": report.get("rejected")}
    if cost := report.get("cost"):  # of a warehouse that is billed
        told |= {
            "files loaded": report.get("files"),
            "bytes loaded": report.get("bytes"),
            "credits of the load, estimate": cost.get("credits"),
        }
    return told


def _built(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "build": report.get("build_id"),
        "build is": report.get("status"),
        "as of": report.get("as_of"),
        "tests passed": report.get("tests_passed"),
        "tests warned": report.get("tests_warned"),
        "rows in gold": sum(report.get("rows", {}).values()),
    }


def _exported(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "build exported": report.get("build_id"),
        "rows exported": sum(report.get("rows", {}).values()),
        "bytes exported": report.get("bytes"),
    }


def _served(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "build served": report.get("build_id"),
        "rows served": sum(report.get("rows", {}).values()),
    }


def _reconciled(report: Mapping[str, Any]) -> dict[str, Any]:
    gap = sum(row["gap"] or 0 for row in report.get("table", []))
    checks = report.get("checks", [])
    found, unread = set(), set()
    for check in checks:
        stage, _, name = check["name"].partition(".")
        found.add(stage)
        # A single check may be skipped, for a store without versions, in a stage that was read.
        if check["status"] == "unknown" or (check["status"] == "skipped" and name == "read"):
            unread.add(stage)
    stages = [stage for stage in _STAGES if stage in found - unread]
    return {
        "reconciliation": report.get("verdict"),
        "stages reconciled": ", ".join(stages),
        "checks": len(checks),
        "gap": gap,
    }


_READERS: Final = {
    "fetch": _sent,
    "consume": _landed,
    "process": _lake,
    "load": _loaded,
    "publish": _built,
    "reconcile": _reconciled,
    "export": _exported,
    "serve": _served,
}


def _is_number(report: Mapping[str, Any], name: str) -> bool:
    return isinstance(report.get(name), int | float)


def _shown(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value if value is not None else "-")


def _now() -> datetime:
    return datetime.now(UTC)
