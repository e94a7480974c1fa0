"""Cuts a failing plan down to the faults that it needs (delta debugging)."""

from collections.abc import Callable


def needed(count: int, fails: Callable[[frozenset[int]], bool]) -> list[int]:
    """Return places of [0, count) without any one of which ``fails`` is no longer true.

    ``fails`` is told which places are dropped; it must be true when none is.
    """
    kept = list(range(count))
    size = max(1, count // 2)
    while True:
        smaller = _without_a_part(kept, size, count, fails)
        if smaller is not None:
            kept = smaller
        elif size == 1:
            return kept
        else:
            size //= 2


def _without_a_part(
    kept: list[int], size: int, count: int, fails: Callable[[frozenset[int]], bool]
) -> list[int] | None:
    for start in range(0, len(kept), size):
        rest = kept[:start] + kept[start + size :]
        if fails(frozenset(range(count)) - frozenset(rest)):
            return rest
    return None
