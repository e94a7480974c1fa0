"""Looking up sorted hashes and offsets, many at once. Pure."""

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from audit.model import Hashes, Offsets

T = TypeVar("T", np.uint64, np.int64)
Mask = NDArray[np.bool_]

# Odd numbers that spread what is mixed over all 64 bits (those of splitmix64).
_SPREAD = np.uint64(0xBF58476D1CE4E5B9)
_MORE = np.uint64(0x94D049BB133111EB)


def mix(ids: Hashes, values: Hashes) -> Hashes:
    """Return 64 bits for each pair."""
    return ids * _SPREAD + values * _MORE


def look_up(ordered: NDArray[T], wanted: NDArray[T]) -> tuple[Offsets, Mask]:
    """Return where each of ``wanted`` is among the sorted ones, and whether it is there at all."""
    at = np.searchsorted(ordered, wanted)
    there = at < len(ordered)
    there[there] = ordered[at[there]] == wanted[there]
    return at, there


def count(held: Hashes, wanted: Hashes) -> Offsets:
    """Return how often each of ``wanted`` is among those held."""
    found, times = np.unique(held, return_counts=True)
    at, there = look_up(found, wanted)
    counts = np.zeros(len(wanted), dtype=np.int64)
    counts[there] = times[at[there]]
    return counts


def join(parts: "list[NDArray[Any]]") -> Hashes:
    """Return hashes from several places together."""
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)
