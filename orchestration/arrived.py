"""Whether bronze holds records of a topic that the lake has not taken yet."""

from pathlib import Path
from typing import Final, NamedTuple

from pyiceberg.table import Table
from sqlalchemy.engine import make_url

from ingestion.load import lake
from ingestion.settings import LakeSettings, StoreSettings
from orchestration.landed import Bronze, Target
from spark_jobs import positions
from spark_jobs.positions import Chain

# As `spark_jobs.schemas` has it; not imported from there, the triggerer needs no Spark.
_POSITIONS: Final = "tapehouse.positions"


class Arrived(NamedTuple):
    """How many offsets wait, and where bronze ends, by topic/generation/partition."""

    waiting: int
    ends: dict[str, int]


class Arrivals:
    """A topic's bronze beside the lake's table of it, asked again and again."""

    def __init__(self, topic: str, table: str) -> None:
        """Connect; ``table`` is named as ``silver.trades``.

        Raises:
            BrokerError, StoreError: one of the two does not answer, or refuses.
        """
        self._bronze = Bronze()
        self._topic, self._table = topic, table

    def look(self) -> Arrived:
        """Return how many of bronze's offsets lie beyond the lake's position.

        Raises:
            BrokerError, StoreError, LoadError: one of the three could not be asked.
        """
        covered = self._covered()
        ends = self._bronze.chain_ends(self._topic)
        waiting = sum(max(0, one.end - covered.get(_chain(one), 0)) for one in ends)
        return Arrived(waiting, {one.place: one.end for one in ends})

    def _covered(self) -> dict[Chain, int]:
        settings = LakeSettings.load()
        if not _has_catalog(settings.uri()):
            return {}  # no job has run yet: all that bronze holds is new
        with lake.lake_errors():
            table = lake.open_table(lake.open_catalog(settings, StoreSettings.load()), self._table)
            return {} if table is None else _position(table)


def _chain(end: Target) -> Chain:
    return Chain(end.topic, end.generation, end.partition)


def _has_catalog(uri: str) -> bool:
    url = make_url(uri)
    return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()


def _position(table: Table) -> dict[Chain, int]:
    """Return the newest position on the way back from the table's head; maintenance writes none."""
    snapshots = {one.snapshot_id: one for one in table.metadata.snapshots}
    found = table.current_snapshot()
    while found is not None:
        text = found.summary.additional_properties.get(_POSITIONS) if found.summary else None
        if text is not None:
            return positions.decode(text)
        found = snapshots.get(found.parent_snapshot_id or -1)
    return {}
