"""Runs of a DAG without executing tasks: the scheduler's own engine decides, the test says how
each task that it schedules ends.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from airflow import settings
from airflow.dag_processing.dagbag import BundleDagBag, DagBag, sync_bag_to_db
from airflow.models.dagrun import DagRun
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy.orm import Session

from ingestion.settings import ROOT

DAGS = ROOT / "dags"
BUNDLE = "dags-folder"
# What `backfill` asks for; the others take it too.
RANGE = {"start": "2013-02-25", "end": "2013-03-01"}
_MINUTES = count()


def bag_of(name: str) -> DagBag:
    """Parse one DAG file."""
    return BundleDagBag(str(DAGS / f"{name}.py"), bundle_path=DAGS, bundle_name=BUNDLE)


def stored(dag_id: str, bag: DagBag) -> SerializedDAG:
    """Store a DAG as the dag-processor does, and return it as the scheduler has it."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    DagBundlesManager().sync_bundles_to_db()
    sync_bag_to_db(bag, BUNDLE, None)
    # Read back: a deadline is a row of its own there.
    found = SerializedDagModel.get_dag(dag_id)
    assert found is not None
    return found


def play(dag: SerializedDAG, ends: Mapping[str, str]) -> tuple[str, dict[str, str | None]]:
    """Return how a run ends, and each of its tasks, where tasks end as ``ends`` says.

    Those that it does not name succeed.
    """
    with queued(dag) as (run, session):
        return advance(run, ends, session)


@contextmanager
def queued(dag: SerializedDAG) -> Iterator[tuple[DagRun, Session]]:
    """Queue a run as *Trigger* does; it is gone afterwards."""
    moment = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(minutes=next(_MINUTES))
    session = settings.Session()
    run = dag.create_dagrun(
        run_id=f"played-{moment.isoformat()}",
        logical_date=moment,
        data_interval=(moment, moment),
        run_after=moment,
        conf=RANGE,
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        triggering_user_name="test",
        state=DagRunState.QUEUED,
        session=session,
    )
    session.flush()
    run.dag = dag
    try:
        yield run, session
        session.delete(run)
        session.commit()
    finally:
        # The session is this thread's: what failed in it would fail the next run too.
        session.rollback()
        session.close()


def advance(
    run: DagRun, ends: Mapping[str, str], session: Session
) -> tuple[str, dict[str, str | None]]:
    """Start a queued run and let its tasks end as `play` does, until it has ended."""
    run.state, run.start_date = DagRunState.RUNNING, datetime.now(UTC)
    while run.state == DagRunState.RUNNING:
        session.expire_all()
        schedulable, _ = run.update_state(session=session, execute_callbacks=False)
        for ti in schedulable:
            ti.state = ends.get(ti.task_id, "success")
        session.commit()
    states = {ti.task_id: str(ti.state) if ti.state else None for ti in run.task_instances}
    return str(run.state), states


def dag_files() -> list[Path]:
    return sorted(DAGS.glob("*.py"))
