"""Filters on sessions."""

from collections.abc import Iterable
from datetime import date
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

# Beyond this a list costs the planner more than the files that a range reads in vain.
_LISTED: Final = 400


def in_sessions(days: Iterable[date]) -> Column:
    """Return a filter on ``session_date`` that prunes partitions and files."""
    found = sorted(days)
    session = F.col("session_date")
    if len(found) > _LISTED:
        return session.between(found[0], found[-1])
    return session.isin(found) if found else F.lit(False)
