"""What publishes gold must not come in between another run's models."""

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from orchestration.operators import CommandOperator


class GuardedCommandOperator(CommandOperator):
    """A command that is skipped while a run of certain DAGs is under way.

    The batch pipeline builds the candidate model by model. Each step holds the warehouse's lock by
    itself: a build that came between two of them would test and publish a half-built candidate.
    What is skipped here is done by that run, or by this DAG's next one.
    """

    def __init__(
        self,
        *,
        unless_running: Sequence[str],
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(**kwargs)
        self.unless_running = tuple(unless_running)

    def execute(self, context: Context) -> None:
        """Run the command, or skip it.

        Raises:
            AirflowSkipException: another run is under way.
        """
        if busy := _running(context, self.unless_running):
            raise AirflowSkipException(f"a run of {busy[0]} is under way: its models come first")
        super().execute(context)


class AloneSensor(BaseSensorOperator):
    """Wait, without a process, until no run of certain DAGs is under way."""

    def __init__(
        self,
        *,
        dag_ids: Sequence[str],
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(mode="reschedule", poke_interval=30, **kwargs)
        self.dag_ids = tuple(dag_ids)

    def poke(self, context: Context) -> bool:
        """Look."""
        return not _running(context, self.dag_ids)


def _running(context: Context, dag_ids: Sequence[str]) -> list[str]:
    ti = context["ti"]
    return [one for one in dag_ids if ti.get_dr_count(dag_id=one, states=["running"])]
