"""The task that takes back what a failed run has built."""

from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from orchestration import states
from orchestration.operators import CommandOperator


class RestoreOperator(CommandOperator):
    """Put the candidate back to gold where a model or one of its tests has failed.

    It runs when all models are done with, whatever became of them. Where publishing failed there is
    nothing to do: the gate restores by itself.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the base class's
        super().__init__(command=_words, **kwargs)

    def execute(self, context: Context) -> None:
        """Restore, or skip.

        Raises:
            AirflowSkipException: no model has failed.
        """
        if not _failed(context):
            raise AirflowSkipException("no model has failed")
        super().execute(context)


def _words(context: Any) -> list[str]:  # noqa: ANN401 - Airflow's context is a TypedDict of its own
    names = ", ".join(name.rpartition(".")[2] for name in _failed(context))
    reason = f"{context['ti'].run_id}: {names} failed"
    return ["orchestration.abandon", "--reason", reason]


def _failed(context: Context) -> list[str]:
    found = states.failed(states.of_run(context))
    return [name for name in found if name.startswith(states.DBT)]
