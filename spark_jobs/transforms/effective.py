"""Trades as they are after all corrections and cancellations: what every metric is made of."""

from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.types import StringType, StructType

from spark_jobs.transforms.roots import CORRECTED_WITHIN_DAYS, ROOT, with_roots

_OWNER: Final = ("source", "symbol")
# Of two changes of one trade the later one counts; what shares the fetch, by its place in Kafka.
_LATEST: Final = ("fetched_at", "kafka_timestamp", "topic", "partition", "offset", "generation")
_CHANGED: Final = ("session_date", "action", "price", "size")


def effective(trades: DataFrame) -> DataFrame:
    """Return the trades that stand, with their current price and size.

    A ``correct`` gives the trade that its ``ref`` names another price and size; time, number and
    place in the order of events remain the trade's. A ``cancel`` removes it. Of several the latest
    by (fetched_at, place in Kafka) counts, one that comes after a cancellation too. A ``ref`` may
    name a correction: what that one means is meant. A change whose trade is unknown changes nothing
    until the trade is there, so that the order of arrival does not matter. What is stamped before
    the trade's session, or ``CORRECTED_WITHIN_DAYS`` and more after it, changes nothing.
    ``fetched_at`` is the later of the two: since when the trade is known as it is.

    Args:
        trades: rows of ``silver.trades``, with every change of the trades that are wanted.
    """
    changes = _changes(trades)
    new = trades.where(F.col("action") == "new").alias("trade")
    owned = [F.col(f"trade.{name}") == F.col(f"change.{name}") for name in _OWNER]
    # There are few of them: the trades stay where they are.
    joined = new.join(
        F.broadcast(changes).alias("change"),
        [*owned, F.col("trade.event_id") == F.col(f"change.{ROOT}")],
        "left",
    )
    change = F.array_max(F.filter("change.changes", _counts))
    current = {
        "price": F.coalesce(change["price"], F.col("trade.price")),
        "size": F.coalesce(change["size"], F.col("trade.size")),
        "fetched_at": F.greatest("trade.fetched_at", change["fetched_at"]),
    }
    standing = change.isNull() | (change["action"] == "correct")
    return joined.where(standing).select(
        *(current.get(name, F.col(f"trade.{name}")).alias(name) for name in trades.columns)
    )


def rooted(trades: DataFrame) -> DataFrame:
    """Return the changes among trades, each with the event at the end of its chain as ``root``."""
    names = dict.fromkeys((*_OWNER, "event_id", "ref", *_CHANGED, *_LATEST))
    changes = trades.where((F.col("action") != "new") & F.col("ref").isNotNull()).select(*names)
    schema = StructType([*changes.schema.fields]).add(ROOT, StringType())
    found = changes.groupBy(*_OWNER).applyInArrow(with_roots, schema)
    return found.where(F.col(ROOT).isNotNull())


def _changes(trades: DataFrame) -> DataFrame:
    """Return one row per changed trade: source, symbol, root (its event_id), changes."""
    changes = F.collect_list(F.struct(*_LATEST, *_CHANGED)).alias("changes")
    return rooted(trades).groupBy(*_OWNER, ROOT).agg(changes)


def _counts(change: Column) -> Column:
    first = F.col("trade.session_date")
    return change["session_date"].between(first, F.date_add(first, CORRECTED_WITHIN_DAYS))
