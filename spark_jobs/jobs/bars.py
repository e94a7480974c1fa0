"""Bars of 1m, 5m, 15m, 1h and 1d from trades, per symbol, source and segment of the session."""

from typing import Final

from pyspark.sql import DataFrame

from spark_jobs.context import JobContext
from spark_jobs.jobs import revise
from spark_jobs.report import JobSummary
from spark_jobs.schemas import TRADE_BARS, TRADES
from spark_jobs.transforms.bars import trade_bars
from spark_jobs.transforms.effective import effective
from spark_jobs.transforms.minutes import minutes


def _compute(context: JobContext, trades: DataFrame) -> DataFrame:
    return trade_bars(minutes(effective(trades), context.sessions()))


METRIC: Final = revise.Metric("bars", TRADES, TRADE_BARS, _compute, end="end_at")


def run(context: JobContext, sessions: revise.Range) -> JobSummary:
    """Bring the bars up to the trades; see ``revise.run``."""
    return revise.run(context, METRIC, sessions)
