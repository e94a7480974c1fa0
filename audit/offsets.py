"""Sets of offsets, exactly: what one stage holds against what another does. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audit.model import NOTHING, Holdings, Offsets, Partition

COLUMNS = ("topic", "generation", "partition", "offset")


@dataclass(frozen=True)
class Difference:
    """Offsets expected and absent, held more than once, and held but never expected."""

    missing: Offsets
    doubled: Offsets
    alien: Offsets

    def count(self) -> int:
        """Return how many offsets are wrong in any way."""
        return len(self.missing) + len(self.doubled) + len(self.alien)


def compare(expected: Offsets, found: Offsets) -> Difference:
    """Compare a sorted set with a sorted multiset.

    Args:
        expected: sorted, may hold repeats (they count once: the upstream stage answers for them).
        found: sorted, with repeats.
    """
    wanted, held = distinct(expected), distinct(found)
    repeated = distinct(found[1:][found[1:] == found[:-1]])
    return Difference(
        np.setdiff1d(wanted, held, assume_unique=True),
        repeated,
        np.setdiff1d(held, wanted, assume_unique=True),
    )


def distinct(offsets: Offsets) -> Offsets:
    """Return sorted offsets once each; the order that they have saves the sort."""
    kept: Offsets = offsets[np.diff(offsets, prepend=offsets[:1] - 1) != 0]
    return kept


def runs(offsets: Offsets) -> list[tuple[int, int]]:
    """Return strictly increasing offsets as half-open runs."""
    if not len(offsets):
        return []
    cuts = np.flatnonzero(np.diff(offsets) != 1) + 1
    starts = offsets[np.concatenate(([0], cuts))]
    ends = offsets[np.concatenate((cuts - 1, [len(offsets) - 1]))] + 1
    return [(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def expand(intervals: Iterable[tuple[int, int]]) -> Offsets:
    """Return the sorted offsets of half-open intervals; overlaps repeat offsets."""
    parts = [np.arange(start, end, dtype=np.int64) for start, end in intervals]
    return np.sort(np.concatenate(parts)) if parts else NOTHING


def merge(*stages: Mapping[Partition, Offsets]) -> Holdings:
    """Return the sum of several tables' holdings: an offset in two of them is there twice."""
    parts: dict[Partition, list[Offsets]] = defaultdict(list)
    for stage in stages:
        for partition, offsets in stage.items():
            parts[partition].append(offsets)
    return {partition: np.sort(np.concatenate(arrays)) for partition, arrays in parts.items()}


def of_topic(stage: Holdings, topic: str) -> Holdings:
    """Return one topic's part."""
    return {partition: held for partition, held in stage.items() if partition.topic == topic}


def collect(batches: Iterable[pa.RecordBatch]) -> Holdings:
    """Gather (topic, generation, partition, offset) rows into holdings, 8 bytes a row."""
    parts: dict[Partition, list[Offsets]] = defaultdict(list)
    for batch in batches:
        for partition, offsets in _split(batch):
            parts[partition].append(offsets)
    return {partition: np.sort(np.concatenate(arrays)) for partition, arrays in parts.items()}


def _split(batch: pa.RecordBatch) -> Iterable[tuple[Partition, Offsets]]:
    topics, topic_codes = _codes(batch.column("topic"))
    generations, generation_codes = _codes(batch.column("generation"))
    numbers = _integers(batch.column("partition"))
    offsets = _integers(batch.column("offset"))
    # One number per identity: a mask for each of the few is cheaper than a sort of rows.
    base = int(numbers.max(initial=0)) + 2
    codes = (topic_codes * len(generations) + generation_codes) * base + numbers + 1
    for code in np.unique(codes).tolist():
        rest, number = divmod(code, base)
        topic, generation = divmod(rest, len(generations))
        yield Partition(topics[topic], generations[generation], number - 1), offsets[codes == code]


def _codes(column: "pa.Array[Any]") -> tuple[list[str], Offsets]:
    encoded = column.dictionary_encode(null_encoding="encode")
    names = ["?" if value is None else value for value in encoded.dictionary.to_pylist()]
    return names, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _integers(column: "pa.Array[Any]") -> Offsets:
    """Return a column as int64; -1, which no record has, where it is NULL."""
    filled = column.cast(pa.int64()).fill_null(-1)
    return filled.to_numpy(zero_copy_only=False)
