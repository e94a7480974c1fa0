"""Kafka's records as files, one a batch, for a stream without a broker."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from ingestion.contracts.topics import REALTIME

_T0 = datetime(2026, 1, 1, tzinfo=UTC)  # after all fetches
_SCHEMA = pa.schema(
    [
        ("value", pa.binary()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", "UTC")),
    ]
)
_DDL = "value binary, topic string, partition int, offset bigint, timestamp timestamp"


class RecordFiles:
    """A folder that a stream reads file by file, in the order of ``send``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next: dict[int, int] = {}
        folder.mkdir()

    def send(self, values: list[Any], partition: int = 0) -> None:
        """Add a batch of one partition; see ``send_all``."""
        self.send_all([(partition, value) for value in values])

    def send_all(self, records: list[tuple[int, Any]]) -> None:
        """Add a batch: partitions, and values: an object, or bytes as they are, or None."""
        offsets = []
        for partition, _ in records:
            offsets.append(self._next.get(partition, 0))
            self._next[partition] = offsets[-1] + 1
        bodies = [
            value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            for _, value in records
        ]
        columns = [
            bodies,
            [REALTIME] * len(records),
            [partition for partition, _ in records],
            offsets,
            [_T0] * len(records),
        ]
        number = len(list(self._folder.iterdir()))
        path = self._folder / f"{number:05d}.parquet"
        pq.write_table(pa.table(columns, schema=_SCHEMA), path)
        # Files are taken by age.
        os.utime(path, (1_000_000_000 + number, 1_000_000_000 + number))

    def stream(self, spark: SparkSession) -> DataFrame:
        reader = spark.readStream.schema(_DDL).option("maxFilesPerTrigger", 1)
        return reader.parquet(f"file://{self._folder}")
