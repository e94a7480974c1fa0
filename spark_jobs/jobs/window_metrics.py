"""Trailing windows from trades, per symbol, source and 5-minute end."""

from typing import Final

from pyspark.sql import DataFrame

from spark_jobs.context import JobContext
from spark_jobs.jobs import revise
from spark_jobs.report import JobSummary
from spark_jobs.schemas import TRADES, WINDOW_METRICS
from spark_jobs.transforms.effective import effective
from spark_jobs.transforms.minutes import minutes
from spark_jobs.transforms.windows import window_metrics


def _compute(context: JobContext, trades: DataFrame) -> DataFrame:
    return window_metrics(minutes(effective(trades), context.sessions()))


METRIC: Final = revise.Metric(
    "window-metrics", TRADES, WINDOW_METRICS, _compute, end="window_end_at"
)


def run(context: JobContext, sessions: revise.Range) -> JobSummary:
    """Bring the trailing windows up to the trades; see ``revise.run``."""
    return revise.run(context, METRIC, sessions)
