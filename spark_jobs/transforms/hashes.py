"""Hashes of event_ids, thousands at a time."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.transforms.layout import Array

_LENGTH: Final = 36  # of a UUID in text, which the contract wants
_ODD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio
_HALF: Final = np.uint64(32)


def hashes(ids: Array) -> npt.NDArray[np.int64]:
    """Return an 8-byte hash of each event_id. Equal ones are rows to compare, not to take for one.

    Raises:
        ValueError: one has not the length of a UUID.
    """
    if not len(ids):
        return np.empty(0, np.int64)
    sizes: Array = pc.binary_length(ids)
    lengths: Any = pc.min_max(sizes).as_py()
    if lengths != {"min": _LENGTH, "max": _LENGTH} or ids.null_count:
        raise ValueError(f"expected event_ids of {_LENGTH} bytes, found {lengths}")
    found = np.zeros(len(ids), np.uint64)
    for word in _words(ids).T:
        found = (found ^ word) * _ODD
        found ^= found >> _HALF
    return found.view(np.int64)


def with_hash(ids: Array) -> Array:
    """Return those that have a hash; others, written by somebody else, equal none of ours."""
    return ids.filter(pc.equal(pc.binary_length(ids), pa.scalar(_LENGTH)))


def _words(ids: Array) -> npt.NDArray[np.uint32]:
    first = memoryview(ids.buffers()[1]).cast("i" if pa.types.is_string(ids.type) else "q")
    begin = first[ids.offset]
    text = np.frombuffer(ids.buffers()[2], np.uint8)[begin : begin + _LENGTH * len(ids)]
    return text.view("<u4").reshape(len(ids), -1)
