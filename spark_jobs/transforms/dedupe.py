"""One row per event: the first kept, the others told apart as duplicates and conflicts.

Nearly every event_id is new and alone. Who is not is found by hashes, eight bytes a row; only
these rows, the doubtful ones, are sorted and compared as a whole.
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


def known_hashes(table: Table, rows: DataFrame) -> DataFrame:
    """Return the hashes of a table's events."""
    return rows.select(F.xxhash64(F.lit(table.name), "event_id").alias(HASH))


def doubtful_hashes(conformed: DataFrame, known: list[DataFrame]) -> DataFrame:
    """Return the hashes of events that are in the batch twice, or in their table already.

    Args:
        conformed: the output of ``conform``.
        known: for each table with rows in the touched sessions, ``known_hashes`` of them.
    """
    batch = events(conformed).select(_hash(), F.lit(1).alias("sent"))
    united = reduce(
        DataFrame.unionByName, (rows.withColumn("sent", F.lit(0)) for rows in known), batch
    )
    counted = united.groupBy(HASH).agg(F.sum("sent").alias("sent"), F.count("*").alias("rows"))
    return counted.where((F.col("sent") > 0) & (F.col("rows") > 1)).select(HASH)


def events(rows: DataFrame) -> DataFrame:
    """Return the rows that are events as far as is known."""
    return rows.where(F.col("reason").isNull())


def refused(rows: DataFrame) -> DataFrame:
    """Return the other rows."""
    return rows.where(F.col("reason").isNotNull())


def plain(conformed: DataFrame, hashes: DataFrame | None) -> DataFrame:
    """Return the events whose hash is none of the doubtful ones, if there are any."""
    if hashes is None:
        return events(conformed)
    return events(conformed).withColumn(HASH, _hash()).join(hashes, HASH, "left_anti").drop(HASH)


def odd(conformed: DataFrame, hashes: DataFrame | None) -> DataFrame:
    """Return the rows that ``plain`` leaves out."""
    if hashes is None:
        return refused(conformed)
    marked = conformed.withColumn(HASH, F.when(F.col("reason").isNull(), _hash()))
    joined = marked.join(hashes.withColumn("is_doubtful", F.lit(True)), HASH, "left").drop(HASH)
    chosen = F.col("is_doubtful") | F.col("reason").isNotNull()
    return joined.where(chosen).drop("is_doubtful")


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


def _hash() -> Column:
    return F.xxhash64("kind", "event_id").alias(HASH)


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
    return F.xxhash64(F.to_json(F.struct(*columns))).alias("fingerprint")
