"""Kafka records to packets: judged, typed and placed as bronze lines are, by the same code."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from ingestion.contracts.conditions import CLOSING_AUCTION, OPENING_AUCTION
from ingestion.contracts.topics import REALTIME
from spark_jobs.model import Model
from spark_jobs.transforms import conform, decode, layout
from spark_jobs.transforms.decode import Judge
from spark_jobs.transforms.moments import MILLIONTHS
from spark_jobs.transforms.packets import COLUMNS, PACKET, SHARES, pack

_RECORD: Final = ("value", "topic", "partition", "offset", "kafka_ms")


def packets(records: DataFrame, sessions: DataFrame, zone: str, model: Model) -> DataFrame:
    """Return the packets (source, share, clocks, counts, arrivals) of a batch of records.

    Args:
        records: value, topic, partition, offset, timestamp, as Kafka's source gives them.
        sessions: session_date, open_at, close_at.
        zone: the exchange's time zone.
        model: which messages there are.
    """
    source = records.withColumn("kafka_ms", F.unix_millis("timestamp")).select(*_RECORD)
    trades = model.of_topics([REALTIME])
    parsed = source.mapInArrow(Judged(model, trades), from_arrow_schema(layout.schema(trades)))
    conformed = conform.conform(parsed, sessions, zone)
    hours = F.broadcast(
        sessions.select(
            "session_date", F.col("open_at").alias("opens"), F.col("close_at").alias("closes")
        )
    )
    placed = conformed.join(hours, "session_date", "left").select(*_columns())
    return placed.mapInArrow(pack, from_arrow_schema(PACKET))


@dataclass(frozen=True)
class Judged:
    """Batches of records to batches of ``layout``, without raw and headers.

    ``kept`` is the part of the model whose columns come out.
    """

    model: Model
    kept: Model

    def __call__(self, source: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Judge what Spark hands over."""
        judge, expected = Judge(self.model), layout.schema(self.kept)
        for batch in source:
            records = zip(*(column.to_pylist() for column in batch.columns), strict=True)
            rows = [_row(judge, *record) for record in records]
            yield pa.RecordBatch.from_pylist(rows, expected)


def _row(
    judge: Judge, value: bytes | None, topic: str, partition: int, offset: int, kafka_ms: int
) -> dict[str, Any]:
    place = {"topic": topic, "partition": partition, "offset": offset}
    sent = {"kafka_timestamp": decode.kafka_time(kafka_ms)}
    return place | sent | judge.fields(judge.record(value, topic))


def _columns() -> list[Column]:
    share = F.pmod(F.xxhash64("symbol"), F.lit(SHARES)).cast("int")
    found = {
        "share": share,
        "day": F.unix_date("session_date"),
        "open_at": F.unix_micros("opens"),
        "close_at": F.unix_micros("closes"),
        "opening": _has(OPENING_AUCTION),
        "closing": _has(CLOSING_AUCTION),
        "sent": F.unix_micros("kafka_timestamp"),
        "at": F.unix_micros("event_at"),
        "price": _millionths("price"),
        "size": _millionths("size"),
        "fetched": F.unix_micros("fetched_at"),
    }
    return [found.get(name, F.col(name)).alias(name) for name in COLUMNS]


def _has(condition: str) -> Column:
    return F.coalesce(F.array_contains("conditions", condition), F.lit(False))


def _millionths(name: str) -> Column:
    return (F.col(name) * F.lit(MILLIONTHS)).cast("bigint")
