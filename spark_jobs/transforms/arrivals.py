"""Kafka records to packets: judged, typed and placed as bronze lines are, by the same code."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.types import from_arrow_schema

from ingestion.contracts.conditions import CLOSING_AUCTION, OPENING_AUCTION
from spark_jobs.transforms import conform, decode
from spark_jobs.transforms.decode import Verdict
from spark_jobs.transforms.moments import MILLIONTHS
from spark_jobs.transforms.packets import COLUMNS, PACKET, SHARES, pack

# What bronze takes for a document: on one line, of at most 1 MiB.
_MAX_BYTES: Final = 2**20
_RECORD: Final = ("value", "topic", "partition", "offset", "kafka_ms")


def packets(records: DataFrame, sessions: DataFrame, zone: str) -> DataFrame:
    """Return the packets (source, share, clocks, counts, arrivals) of a batch of records.

    Args:
        records: value, topic, partition, offset, timestamp, as Kafka's source gives them.
        sessions: session_date, open_at, close_at.
        zone: the exchange's time zone.
    """
    source = records.withColumn("kafka_ms", F.unix_millis("timestamp")).select(*_RECORD)
    parsed = source.mapInArrow(judge, from_arrow_schema(decode.SCHEMA))
    conformed = conform.conform(parsed, sessions, zone)
    hours = F.broadcast(sessions.withColumnsRenamed({"open_at": "opens", "close_at": "closes"}))
    placed = conformed.join(hours, "session_date", "left").select(*_columns())
    return placed.mapInArrow(pack, from_arrow_schema(PACKET))


def judge(source: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Decode batches of records into batches of ``decode.SCHEMA``, without raw and headers."""
    for batch in source:
        records: Iterable[Any] = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        yield decode.batch([_row(*record) for record in records])


def _row(
    value: bytes | None, topic: str, partition: int, offset: int, kafka_ms: int
) -> tuple[Any, ...]:
    verdict = _verdict(value, topic)
    head = (topic, None, partition, offset, kafka_ms, None, None, None)
    return (*head, *verdict[1:4], *decode.fields(verdict))


def _verdict(value: bytes | None, topic: str) -> Verdict:
    if value is None:
        return Verdict(None, "not_an_object", "a tombstone: the record has no value")
    if b"\n" in value or len(value) > _MAX_BYTES:
        return Verdict(None, "invalid_json", "the value is not one valid JSON document")
    return decode.value(value, topic)


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
