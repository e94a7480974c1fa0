"""Serving gold to PostgreSQL, where one is configured."""

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from ingestion.settings import ServingSettings
from orchestration.operators import CommandOperator


class ServeOperator(CommandOperator):
    """A command that is skipped where SERVING_POSTGRES_URL is not set: nobody waits for it."""

    def execute(self, context: Context) -> None:
        """Run the command, or skip it.

        Raises:
            AirflowSkipException: no PostgreSQL is configured.
        """
        if not ServingSettings.load().has_postgres:
            raise AirflowSkipException("SERVING_POSTGRES_URL is not set")
        super().execute(context)
