"""Anomalies of trades, windows and sessions; the rules are in ``transforms.anomalies``."""

from typing import Final

from pyspark.sql import DataFrame

from spark_jobs.context import JobContext
from spark_jobs.jobs import revise
from spark_jobs.report import JobSummary
from spark_jobs.schemas import ANOMALIES, BARS, CORPORATE_ACTIONS, TRADES
from spark_jobs.transforms.anomalies import anomalies
from spark_jobs.transforms.effective import effective


def _compute(context: JobContext, trades: DataFrame) -> DataFrame:
    bars, actions = (context.spark.table(t.identifier) for t in (BARS, CORPORATE_ACTIONS))
    return anomalies(effective(trades), context.sessions(), bars, actions)


METRIC: Final = revise.Metric(
    "anomalies", TRADES, ANOMALIES, _compute, beside=(BARS, CORPORATE_ACTIONS)
)


def run(context: JobContext, sessions: revise.Range) -> JobSummary:
    """Bring the anomalies up to trades, bars and actions; see ``revise.run``."""
    return revise.run(context, METRIC, sessions)
