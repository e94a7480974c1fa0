"""One row per event: the first kept, the others told apart as duplicates and conflicts."""

from functools import reduce
from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.schemas import EVENTS, REJECTS, Table

IDENTITY: Final = ("topic", "generation", "partition", "offset")
DESTINATION: Final = "destination"
IN_TABLE: Final = "in_table"
_ORDER: Final = ("kafka_timestamp", "topic", "partition", "offset", "generation")
_BUSINESS: Final = tuple(dict.fromkeys(name for table in EVENTS for name in table.business))


def known_events(table: Table, rows: DataFrame) -> DataFrame:
    """Return a table's rows as what ``classify`` compares with."""
    return rows.select(
        "event_id",
        *(F.col(name) for name in (*IDENTITY, "kafka_timestamp")),
        F.lit(table.name).alias("kind"),
        _fingerprint(tuple(name for name in _BUSINESS if name in table.business)),
    )


def classify(conformed: DataFrame, known: list[DataFrame]) -> DataFrame:
    """Decide where each row belongs: add ``destination``, ``in_table``, reasons of no new event.

    The first of equal event_ids is the one that its table has, else the lowest in
    (kafka_timestamp, topic, partition, offset). The table's own row, read again because another
    table lags behind, is that first and keeps its destination.

    Args:
        conformed: the output of ``conform``.
        known: for each table with rows in the touched sessions, ``known_events`` of them.
    """
    batch = conformed.withColumns({"fingerprint": _fingerprint(_BUSINESS), "known": F.lit(False)})
    united = reduce(
        lambda left, right: left.unionByName(right, allowMissingColumns=True),
        [rows.withColumn("known", F.lit(True)) for rows in known],
        batch,
    )
    window = Window.partitionBy(_event_key()).orderBy(F.desc("known"), *_ORDER)
    firsts = united.withColumns(
        {
            "first_identity": F.first(F.struct(*IDENTITY)).over(window),
            "first_fingerprint": F.first("fingerprint").over(window),
            "first_known": F.first("known").over(window),
        }
    )
    judged = (
        firsts.where(~F.col("known")).withColumns(_verdict()).select(*conformed.columns, IN_TABLE)
    )
    return judged.withColumn(
        DESTINATION, F.when(F.col("reason").isNull(), F.col("kind")).otherwise(REJECTS.name)
    )


def _event_key() -> Column:
    """Return what equal events share; a record that is no event shares it with none."""
    event = F.concat_ws(":", "kind", "event_id")
    alone = F.concat_ws(":", F.lit("reject"), *IDENTITY)
    return F.when(F.col("reason").isNull(), event).otherwise(alone)


def _verdict() -> dict[str, Column]:
    settled = F.col("reason").isNotNull()
    mine = F.col("first_identity") == F.struct(*IDENTITY)
    same = F.col("first_fingerprint") == F.col("fingerprint")
    again = ~settled & ~mine
    first = F.col("first_identity")
    where = F.concat_ws(
        " ", *(F.concat(F.lit(f"{name}="), first[name].cast("string")) for name in IDENTITY)
    )
    reason = F.when(same, "duplicate").otherwise("conflict")
    return {
        IN_TABLE: ~settled & mine & F.col("first_known"),
        "raw": F.when(again & same, None).otherwise(F.col("raw")),
        "detail": F.when(again, F.concat(F.lit("first kept: "), where)).otherwise(F.col("detail")),
        "reason": F.when(again, reason).otherwise(F.col("reason")),
    }


def _fingerprint(columns: tuple[str, ...]) -> Column:
    # to_json leaves NULLs out, so that a table's own columns and the batch's wider set agree.
    return F.xxhash64(F.to_json(F.struct(*columns))).alias("fingerprint")
