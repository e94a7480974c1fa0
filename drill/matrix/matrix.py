"""Every row of the matrix."""

from collections.abc import Sequence
from typing import Final

from drill.matrix.row import Row
from drill.matrix.rows import (
    away,
    brokers,
    copies,
    cuts,
    deaths,
    disorder,
    full,
    lies,
    poison,
    rebalances,
    soak,
    topics,
    volume,
    zombies,
)

_FAMILIES: Final = (
    *(deaths, zombies, rebalances, brokers, topics),
    *(away, lies, cuts, full, copies, disorder, poison, volume, soak),
)
ROWS: Final[dict[int, Row]] = {row.number: row for family in _FAMILIES for row in family.ROWS}


def chosen(numbers: Sequence[int], broken: str) -> list[Row]:
    """Return the rows of these numbers; without any, all, or those named for a broken rule."""
    rows = [ROWS[number] for number in sorted(set(numbers) or ROWS)]
    return [row for row in rows if not broken or numbers or broken in row.catches]
