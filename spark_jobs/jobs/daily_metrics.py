"""Daily metrics from bars, per symbol, source and session."""

from typing import Final

from pyspark.sql import DataFrame

from spark_jobs.context import JobContext
from spark_jobs.jobs import revise
from spark_jobs.report import JobSummary
from spark_jobs.schemas import BARS, DAILY_METRICS
from spark_jobs.transforms.daily import daily_metrics


def _compute(_: JobContext, bars: DataFrame) -> DataFrame:
    return daily_metrics(bars)


METRIC: Final = revise.Metric("daily-metrics", BARS, DAILY_METRICS, _compute)


def run(context: JobContext, sessions: revise.Range) -> JobSummary:
    """Bring the daily metrics up to the bars; see ``revise.run``."""
    return revise.run(context, METRIC, sessions)
