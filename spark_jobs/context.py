"""What every job is given."""

from dataclasses import dataclass
from datetime import timedelta

from pyspark.sql import DataFrame, SparkSession

from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.settings import LATENESS_S
from spark_jobs.bronze import Bronze
from spark_jobs.model import MODEL, Model


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
    model: Model = MODEL

    def sessions(self) -> DataFrame:
        """Return ``sessions_of`` the exchange."""
        return sessions_of(self.spark, self.calendar)


def sessions_of(spark: SparkSession, exchange: Calendar) -> DataFrame:
    """Return an exchange's sessions.

    Columns: session_date, open_at, close_at (UTC), previous_date (that of the session before).
    """
    found = exchange.sessions()
    days = [None, *(session.session_date for session in found)]
    rows = [
        (s.session_date, s.open_at, s.close_at, before)
        for s, before in zip(found, days, strict=False)
    ]
    return spark.createDataFrame(
        rows, "session_date date, open_at timestamp, close_at timestamp, previous_date date"
    )
