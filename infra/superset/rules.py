"""Which rows of a dataset belong to a sector; needs nothing of Superset's."""

from collections.abc import Collection
from typing import Final

READER: Final = "market_reader"
SECTORS: Final = {"tech_sector_reader": "Information Technology"}
"""Role to the sector that it sees."""

_IN_SECTOR: Final = (
    "in (select instrument_id from gold.dim_instrument where is_current and sector = '{sector}')"
)
CLAUSES: Final[dict[tuple[str, ...], str]] = {
    ("instrument_id",): f"instrument_id {_IN_SECTOR}",
    ("instrument_id_a", "instrument_id_b"): (
        f"instrument_id_a {_IN_SECTOR} and instrument_id_b {_IN_SECTOR}"
    ),
    ("universe",): "universe = '{sector}'",
}
"""By columns that a dataset has, the condition on its rows."""

# Runs of tests, and feeds as wholes.
OF_NO_INSTRUMENT: Final = frozenset({"dq_scorecard", "freshness"})


def columns_of(dataset: str, columns: Collection[str]) -> tuple[str, ...] | None:
    """Return the key of a dataset's clause; None for one that is of no instrument.

    Raises:
        ValueError: the dataset would be shown whole to who may see a part.
    """
    found = next((key for key in CLAUSES if set(key) <= set(columns)), None)
    if found is None and dataset not in OF_NO_INSTRUMENT:
        expected = ", ".join("/".join(key) for key in CLAUSES)
        raise ValueError(f"dataset {dataset}: expected columns that tell sectors, {expected}")
    return found
