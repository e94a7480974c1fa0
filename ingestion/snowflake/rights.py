"""Who may do what: ``infra/snowflake/rights.yml``, which a test keeps equal to the SQL."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from ingestion.snowflake.scripts import FOLDER

FILE = FOLDER / "rights.yml"


@dataclass(frozen=True, order=True)
class Right:
    """A privilege of a role on an object, or on all objects of a kind in a schema.

    ``kind`` is ``table``, ``schema`` and so on, or ``all tables``, ``future views``; ``place`` is
    without the database's name: ``common.bars_raw``, ``LOADER_WH``, ``common``, or nothing for the
    database itself.
    """

    role: str
    kind: str
    place: str
    privilege: str

    @property
    def object(self) -> str:
        """Return what it is on, as ``rights.yml`` has it."""
        if self.kind.startswith(("all ", "future ")):
            return f"{self.kind} in {self.place}"
        return f"{self.kind} {self.place}".strip()


def load() -> list[Right]:
    """Return the rights of every role, sorted."""
    return sorted(_parse(yaml.safe_load(FILE.read_text())))


def table(rights: list[Right]) -> list[tuple[str, str, str]]:
    """Return (role, object, privileges) rows, in the order of ``rights``."""
    rows: dict[tuple[str, str], list[str]] = {}
    for right in rights:
        rows.setdefault((right.role, right.object), []).append(right.privilege)
    return [(role, name, ", ".join(privileges)) for (role, name), privileges in rows.items()]


def _parse(document: dict[str, dict[str, list[str]]]) -> Iterator[Right]:
    for role, objects in document.items():
        for name, privileges in objects.items():
            kind, place = _split(name)
            for privilege in privileges:
                yield Right(role, kind, place, privilege)


def _split(name: str) -> tuple[str, str]:
    if name.startswith(("all ", "future ")):
        kind, _, place = name.partition(" in ")
        return kind, place
    kind, _, place = name.rpartition(" ")
    return (kind, place) if kind else (name, "")
