"""When a row is final: no later record is waited for any more."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention


def is_final(end: str, clocks: Mapping[str, datetime], lateness: timedelta) -> Column:
    """Say whether a row's end, and ``lateness`` after it, had passed on its source's clock.

    Args:
        end: the column with the instant at which the row's time is over.
        clocks: the newest ``fetched_at`` of each source; never the wall clock, so that a replay of
            2013 is final when it was so in 2013.
        lateness: how long a record may be late and still be waited for.
    """
    passed = F.lit(False)
    for source, now in clocks.items():
        is_over = F.col(end) <= F.lit(now - lateness)
        passed = F.when(F.col("source") == source, is_over).otherwise(passed)
    return passed
