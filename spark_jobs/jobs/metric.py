"""What a metric job is: its tables and its computation, and the sessions it is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame

from spark_jobs.context import JobContext
from spark_jobs.schemas import SOURCE_SNAPSHOT, TRADES, Table
from spark_jobs.transforms.sessions import Sessions


@dataclass(frozen=True)
class Metric:
    """A metric table, the events it is computed from, and how.

    ``end`` is the column with the instant at which a row's time is over; where there is one, rows
    say whether they are final. ``beside`` are tables whose rows of a session, and of the one before
    it, the metric's rows of the session depend on too; ``compute`` reads them itself.
    """

    job: str
    source: Table
    target: Table
    compute: Callable[[JobContext, DataFrame], DataFrame]
    end: str | None = None
    beside: tuple[Table, ...] = ()

    @property
    def inputs(self) -> tuple[Table, ...]:
        """All tables that the metric is computed from."""
        return (self.source, *self.beside)

    @property
    def is_of_trades(self) -> bool:
        """Whether events may change one another: trades have corrections."""
        return self.source is TRADES

    def snapshot_property(self, table: Table) -> str:
        """Return the name of the property with the snapshot of an input that is covered."""
        return SOURCE_SNAPSHOT + ("" if table is self.source else f".{table.name}")


@dataclass(frozen=True)
class Range:
    """Sessions from ``start`` to ``end``, both included; None is open."""

    start: date | None = None
    end: date | None = None

    def given(self) -> bool:
        """Return whether a range was asked for."""
        return self.start is not None or self.end is not None

    def sessions(self) -> Sessions:
        """Return the range as sessions."""
        return Sessions(ranges=((self.start, self.end),))
