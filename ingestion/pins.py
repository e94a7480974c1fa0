"""How far each warehouse has taken the lake, told in files: upkeep keeps what comes after that.

A warehouse may only read the lake, and the lake asks no warehouse. So the load leaves a file with
the snapshots that it has come to, and whoever expires snapshots reads all such files. One that is
older than the truth only keeps more.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from ingestion.cli import write_report
from ingestion.errors import LakeError


class Pins:
    """One consumer's file, ``<folder>/<consumer>.json``: ``{"silver.bars": <snapshot id>}``."""

    def __init__(self, folder: Path, consumer: str) -> None:
        self._path = folder / f"{consumer}.json"
        self._tables = _read(self._path) if self._path.is_file() else {}

    def set(self, table: str, snapshot: int | None) -> None:
        """Say from which snapshot on the consumer still needs a table; None says nothing."""
        if snapshot is not None and self._tables.get(table) != snapshot:
            self._tables = {**self._tables, table: snapshot}
            write_report(self._path, self._tables)


def read(folder: Path) -> dict[str, Mapping[str, int]]:
    """Return every consumer's snapshots by table; nothing where no file is.

    Raises:
        LakeError: a file is not what ``Pins`` writes; what it pins is not known then.
    """
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}


def _read(path: Path) -> dict[str, int]:
    try:
        return {
            str(table): int(snapshot) for table, snapshot in json.loads(path.read_text()).items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise LakeError(f"{path}: expected snapshots by table, found {error}") from error
