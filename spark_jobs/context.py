"""What every job is given."""

from dataclasses import dataclass
from datetime import timedelta

from pyspark.sql import DataFrame, SparkSession

from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.settings import LATENESS_S
from spark_jobs.bronze import Bronze


@dataclass(frozen=True)
class JobContext:
    """The session and the world outside.

    ``lateness`` is how long a record may be late and still be waited for.
    """

    spark: SparkSession
    bronze: Bronze
    calendar: Calendar
    clock: Clock
    lateness: timedelta = timedelta(seconds=LATENESS_S)

    def sessions(self) -> DataFrame:
        """Return the exchange's sessions: session_date, open_at, close_at (UTC)."""
        rows = [(s.session_date, s.open_at, s.close_at) for s in self.calendar.sessions()]
        return self.spark.createDataFrame(
            rows, "session_date date, open_at timestamp, close_at timestamp"
        )
