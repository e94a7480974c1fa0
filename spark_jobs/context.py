"""What every job is given."""

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession

from ingestion.calendar import Calendar
from ingestion.clock import Clock
from spark_jobs.bronze import Bronze
from spark_jobs.model import MODEL, Model


@dataclass(frozen=True)
class JobContext:
    """The session and the world outside."""

    spark: SparkSession
    bronze: Bronze
    calendar: Calendar
    clock: Clock
    model: Model = MODEL

    def sessions(self) -> DataFrame:
        """Return the exchange's sessions: session_date, open_at, close_at (UTC)."""
        rows = [(s.session_date, s.open_at, s.close_at) for s in self.calendar.sessions()]
        return self.spark.createDataFrame(
            rows, "session_date date, open_at timestamp, close_at timestamp"
        )
