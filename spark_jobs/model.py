"""Which messages there are, in which versions, and the tables that they go to.

A version is declared once, as a record of ``ingestion.contracts.records``: its attributes are named
as the lake's columns, and a field that is called otherwise on the wire says so there
(``price: Decimal = field(name="px")``). All versions of a family share one table; a column that
only a new version fills is added to the table's columns, and is NULL in the rows of older ones.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import msgspec

from ingestion.contracts.records import MESSAGE_TYPES, Envelope
from ingestion.contracts.topics import TOPIC_OF_SCHEMA
from spark_jobs.schemas import EVENTS, REJECTS, TRANSPORT, Columns, Table

# Named otherwise in the lake than in the contract: an instant ends in `_at` there, and a bar's own
# word on its session is not the session that the exchange's calendar gives it.
_COLUMN_OF: Final = {
    "event_time": "event_at",
    "start": "start_at",
    "session_date": "bar_session",
}
_OF_ANY: Final[Columns] = {
    "event_id": "string",
    "source": "string",
    "symbol": "string",
    "run_id": "string",
    "simulated": "boolean",
    "event_at": "timestamp",
    "fetched_at": "timestamp",
    "bar_session": "date",
}
_PLACED: Final = {*TRANSPORT, "session_date", "compacted_at"}


class Field(NamedTuple):
    """One field of a record: attribute, name on the wire, column, Spark SQL type, its own type."""

    attribute: str
    wire: str
    column: str
    kind: str
    type: msgspec.inspect.Type


@dataclass(frozen=True)
class Model:
    """Record types and event tables; those of the project by default."""

    records: tuple[type[Envelope], ...] = MESSAGE_TYPES
    events: tuple[Table, ...] = EVENTS

    @property
    def compacted(self) -> tuple[Table, ...]:
        """The tables that compaction fills, in the order in which their commits are published.

        Rejects come last: which record is a duplicate is read from what the event tables hold, so
        that a run which died between two commits is completed with the same verdicts.
        """
        return (*self.events, REJECTS)

    @property
    def topics(self) -> dict[str, str]:
        """The topic of every schema that is known."""
        names = [schema(record) for record in self.records]
        tables = {name: self.table(name) for name in names}
        return {name: t.topics[0] if t else TOPIC_OF_SCHEMA[name] for name, t in tables.items()}

    def of_topics(self, topics: Collection[str]) -> "Model":
        """Return the model whose tables are those of these topics."""
        return replace(self, events=tuple(t for t in self.events if set(topics) & set(t.topics)))

    @property
    def columns(self) -> Columns:
        """What can be read from a message, over all tables."""
        own = {
            name: kind
            for table in self.events
            for name, kind in table.columns.items()
            if name not in _PLACED
        }
        return _OF_ANY | own

    @property
    def business(self) -> tuple[str, ...]:
        """The columns that tell events with one event_id apart, over all tables."""
        return tuple(dict.fromkeys(name for table in self.events for name in table.business))

    def table(self, name: str) -> Table | None:
        """Return the table of a schema's events, None where they have none."""
        family = name.rpartition(".")[0]
        return next((table for table in self.events if table.family == family), None)

    def stored(self) -> Iterator[tuple[type[Envelope], Table]]:
        """Yield each record type that has a table, with it."""
        for record in self.records:
            table = self.table(schema(record))
            if table is not None:
                yield record, table

    def envelope(self, record: type[Envelope]) -> list[Field]:
        """Return the fields beside ``data``, in the order of the wire."""
        return [self._field(field) for field in _fields(record) if field.name != "data"]

    def data(self, record: type[Envelope]) -> list[Field]:
        """Return the fields of ``data``, in the order of the wire."""
        (found,) = (field.type for field in _fields(record) if field.name == "data")
        assert isinstance(found, msgspec.inspect.StructType)  # noqa: S101 - a stored record's is one
        return [self._field(field) for field in found.fields]

    def _field(self, field: msgspec.inspect.Field) -> Field:
        column = _COLUMN_OF.get(field.name, field.name)
        return Field(field.name, field.encode_name, column, self.columns[column], field.type)


def schema(record: type[Envelope]) -> str:
    """Return a record's schema with its version, such as ``bar.v1``."""
    return str(record.__struct_config__.tag)


def _fields(record: type[Envelope]) -> tuple[msgspec.inspect.Field, ...]:
    found = msgspec.inspect.type_info(record)
    assert isinstance(found, msgspec.inspect.StructType)  # noqa: S101 - a record is a struct
    return found.fields


MODEL: Final = Model()
