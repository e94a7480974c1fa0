"""When a run is late: counted from the moment it was queued."""

from collections.abc import Set
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from airflow.sdk.definitions.deadline import BaseDeadlineReference

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class Queued(BaseDeadlineReference):
    """The moment at which a run was queued first.

    Airflow's own (`DAGRUN_QUEUED_AT`) is moved when tasks are cleared, and 3.3.2 fails at that
    (`_recalculate_dagrun_queued_at_deadlines` reads the stored interval as a number, it is an
    object): *Clear* answers 500 for every DAG that has one. This one stays where it was.
    """

    required_kwargs: ClassVar[Set[str]] = {"dag_id", "run_id"}

    def _evaluate_with(self, *, session: "Session", dag_id: str, run_id: str) -> datetime | None:
        # Airflow's models are there in the scheduler and the API alone, not where DAGs are parsed.
        from airflow.models import DagRun
        from sqlalchemy import select

        found = select(DagRun.queued_at).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        return session.scalar(found)
