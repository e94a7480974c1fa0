"""One row per event: the first kept, the others told apart as duplicates and conflicts.

Nearly every event_id is new and alone (``tally``). Only the others, the doubtful ones, come here:
they are sorted and compared as a whole.
"""

from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.model import Model
from spark_jobs.schemas import REJECTS, Table

IDENTITY: Final = ("topic", "generation", "partition", "offset")
DESTINATION: Final = "destination"
IN_TABLE: Final = "in_table"
HASH: Final = "event_hash"
_ORDER: Final = ("kafka_timestamp", "topic", "partition", "offset", "generation")
# Spark's own format leaves microseconds out: other data would be taken for the same.
_AS_JSON: Final = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"}


def hashes(events: DataFrame) -> DataFrame:
    """Return the hashes by which ``known_events`` are found."""
    return events.select(F.xxhash64("kind", "event_id").alias(HASH))


def events(rows: DataFrame) -> DataFrame:
    """Return the rows that are events as far as is known."""
    return rows.where(F.col("reason").isNull())


def refused(rows: DataFrame) -> DataFrame:
    """Return the other rows."""
    return rows.where(F.col("reason").isNotNull())


def settled(rows: DataFrame) -> DataFrame:
    """Mark rows that are where they belong: firsts of their event_id, or no events."""
    return rows.withColumns({IN_TABLE: F.lit(False), DESTINATION: _destination()})


def known_events(table: Table, rows: DataFrame, hashes: DataFrame, model: Model) -> DataFrame:
    """Return those of a table's rows that ``classify`` compares with."""
    own = rows.withColumn(HASH, F.xxhash64(F.lit(table.name), "event_id"))
    return own.join(hashes, HASH, "left_semi").select(
        "event_id",
        *(F.col(name) for name in (*IDENTITY, "kafka_timestamp")),
        F.lit(table.name).alias("kind"),
        _fingerprint(tuple(name for name in model.business if name in table.business)),
    )


def classify(doubtful: DataFrame, known: list[DataFrame], model: Model) -> DataFrame:
    """Decide where each event belongs: add ``destination``, ``in_table``, reasons of no new event.

    The first of equal event_ids is the one that its table has, else the lowest in
    (kafka_timestamp, topic, partition, offset). The table's own row, read again because another
    table lags behind, is that first and keeps its destination.

    Args:
        doubtful: events of ``conform``, all that share an event_id among them.
        known: for each table with rows in the touched sessions, ``known_events`` of them.
        model: what tells events with one event_id apart.
    """
    batch = doubtful.withColumns(
        {"fingerprint": _fingerprint(model.business), "known": F.lit(False)}
    )
    united = reduce(
        lambda left, right: left.unionByName(right, allowMissingColumns=True),
        [rows.withColumn("known", F.lit(True)) for rows in known],
        batch,
    )
    window = Window.partitionBy("kind", "event_id").orderBy(F.desc("known"), *_ORDER)
    firsts = united.withColumns(
        {
            "first_identity": F.first(F.struct(*IDENTITY)).over(window),
            "first_fingerprint": F.first("fingerprint").over(window),
            "first_known": F.first("known").over(window),
        }
    )
    judged = (
        firsts.where(~F.col("known")).withColumns(_verdict()).select(*doubtful.columns, IN_TABLE)
    )
    return judged.withColumn(DESTINATION, _destination())


def _destination() -> Column:
    return F.when(F.col("reason").isNull(), F.col("kind")).otherwise(REJECTS.name)


def _verdict() -> dict[str, Column]:
    again = F.col("first_identity") != F.struct(*IDENTITY)
    same = F.col("first_fingerprint") == F.col("fingerprint")
    first = F.col("first_identity")
    where = F.concat_ws(
        " ", *(F.concat(F.lit(f"{name}="), first[name].cast("string")) for name in IDENTITY)
    )
    return {
        IN_TABLE: ~again & F.col("first_known"),
        "detail": F.when(again, F.concat(F.lit("first kept: "), where)),
        "reason": F.when(again, F.when(same, "duplicate").otherwise("conflict")),
    }


def _fingerprint(columns: tuple[str, ...]) -> Column:
    # to_json leaves NULLs out, so that a table's own columns and the batch's wider set agree.
    return F.xxhash64(F.to_json(F.struct(*columns), _AS_JSON)).alias("fingerprint")
