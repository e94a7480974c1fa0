"""Airflow's LocalExecutor, whose tasks find loaded what each of them would load by itself."""

from airflow.executors.local_executor import LocalExecutor

from orchestration import warm


class WarmLocalExecutor(LocalExecutor):
    """LocalExecutor that loads dbt and Cosmos before it forks its workers.

    A task is a fork of a worker: dbt's import, two thirds of a second to two seconds of every
    model's task, is done once.
    """

    def start(self) -> None:
        """Load the libraries, then start as LocalExecutor does."""
        warm.load()
        super().start()
