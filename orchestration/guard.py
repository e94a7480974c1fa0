"""What publishes gold, or judges it, must not come in between another run's models."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from airflow.sdk import Context
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
)

from orchestration.operators import CommandOperator

_AGAIN: Final = timedelta(minutes=1)


class GuardedCommandOperator(CommandOperator):
    """A command that is skipped, or put off, while a run of certain DAGs is under way.

    The batch pipeline builds the candidate model by model. Each step holds the warehouse's lock by
    itself: a load or a build that came between two of them would leave a candidate that is half of
    one run, and an audit would find it. It looks when it has the pool's one slot, so that no such
    run can load meanwhile. What is skipped here is done by that run, or by this DAG's next one.
    """

    def __init__(
        self,
        *,
        unless_running: Sequence[str],
        otherwise: Literal["skip", "wait"] = "skip",
        **kwargs: Any,  # noqa: ANN401 - the base class's
    ) -> None:
        super().__init__(**kwargs)
        self.unless_running = tuple(unless_running)
        self.otherwise = otherwise

    def execute(self, context: Context) -> None:
        """Run the command, skip it, or come again in a while.

        Raises:
            AirflowSkipException: another run is under way.
            AirflowRescheduleException: as before, and this one waits for its end.
            AirflowFailException: another run is under way whose DAG is paused: it has no end.
        """
        if busy := _running(context, self.unless_running):
            text = f"a run of {busy[0]} is under way: its models come first"
            if context["ti"].get_dag(busy[0]).is_paused:
                raise AirflowFailException(f"{text}, and {busy[0]} is paused: unpause or fail it")
            if self.otherwise == "wait":
                self.log.info("%s", text)
                when = datetime.now(UTC) + _AGAIN
                raise AirflowRescheduleException(when)  # type: ignore[no-untyped-call]
            raise AirflowSkipException(text)
        super().execute(context)


def _running(context: Context, dag_ids: Sequence[str]) -> list[str]:
    ti = context["ti"]
    return [one for one in dag_ids if ti.get_dr_count(dag_id=one, states=["running"])]
