"""What gold promises its screens, as the committed file ``contract.json`` has it.

The file is generated from dbt's model contracts (``generate.py``); screens read it with ``load``
and need neither dbt nor a warehouse for it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from ingestion.errors import ContractError

PATH: Final = Path(__file__).with_name("contract.json")

Engine = Literal["duckdb", "snowflake", "postgres", "tmdl"]
Kind = Literal["table", "view"]
# What two rows of a table differ in: the instrument, the moment, or another property whose values
# do not overlap. Of `one_of` a single value has to be chosen: intervals of candles hold the same
# trades again, and what is simulated is no part of a market.
Axis = Literal["symbols", "time", "categories", "one_of"]
Aggregation = Literal["sum", "mean", "min", "max", "first", "last"]
Over = Mapping[Axis, tuple[Aggregation, ...]]

# A TMDL `decimal` keeps four places: prices with six are doubles there (exact to 15 digits).
_TMDL_DECIMAL_PLACES: Final = 4
_TYPES: Final[dict[str, dict[Engine, str]]] = {
    "varchar": {"duckdb": "VARCHAR", "snowflake": "VARCHAR", "postgres": "text", "tmdl": "string"},
    "boolean": {
        "duckdb": "BOOLEAN",
        "snowflake": "BOOLEAN",
        "postgres": "boolean",
        "tmdl": "boolean",
    },
    "integer": {
        "duckdb": "INTEGER",
        "snowflake": "NUMBER(38,0)",
        "postgres": "integer",
        "tmdl": "int64",
    },
    "bigint": {
        "duckdb": "BIGINT",
        "snowflake": "NUMBER(38,0)",
        "postgres": "bigint",
        "tmdl": "int64",
    },
    "double": {
        "duckdb": "DOUBLE",
        "snowflake": "FLOAT",
        "postgres": "double precision",
        "tmdl": "double",
    },
    "date": {"duckdb": "DATE", "snowflake": "DATE", "postgres": "date", "tmdl": "dateTime"},
    # Without a zone where gold is made, and UTC: PostgreSQL can say so.
    "timestamp": {
        "duckdb": "TIMESTAMP",
        "snowflake": "TIMESTAMP_NTZ(9)",
        "postgres": "timestamp with time zone",
        "tmdl": "dateTime",
    },
}
_DECIMAL: Final = re.compile(r"decimal\((\d+),(\d+)\)")


def type_in(engine: Engine, logical: str) -> str:
    """Return what an engine calls a logical type, such as ``timestamp`` or ``decimal(18,6)``.

    Raises:
        ContractError: the type is none of those that gold may use.
    """
    decimal = _DECIMAL.fullmatch(logical)
    if decimal:
        precision, scale = decimal.groups()
        if engine == "tmdl":
            return "decimal" if int(scale) <= _TMDL_DECIMAL_PLACES else "double"
        name = {"duckdb": "DECIMAL", "snowflake": "NUMBER", "postgres": "numeric"}[engine]
        return f"{name}({precision},{scale})"
    if logical not in _TYPES:
        expected = ", ".join([*_TYPES, "decimal(p,s)"])
        raise ContractError(f"expected a type of {expected}, found {logical}")
    return _TYPES[logical][engine]


@dataclass(frozen=True)
class Column:
    """A column: its logical type, what its values mean, and how they may be aggregated.

    ``unit``: a name of ``Contract.units``; None where a value is no number. ``unit_column``: the
    column that holds the unit of each row, where it differs. ``time_zone``: ``UTC`` of a timestamp,
    ``exchange`` of a date, which is the exchange's day. ``over``: the aggregations that give a true
    number, by axis; of each that the table has, and empty for what is a text or a flag.
    """

    name: str
    type: str
    nullable: bool
    description: str
    unit: str | None = None
    unit_column: str | None = None
    time_zone: Literal["UTC", "exchange"] | None = None
    over: Over = field(default_factory=dict)

    @property
    def is_additive(self) -> bool:
        """Whether sums are true over every axis of the table."""
        return bool(self.over) and all("sum" in allowed for allowed in self.over.values())

    def allows(self, aggregation: Aggregation, axis: Axis) -> bool:
        """Whether an aggregation over an axis gives a true number."""
        return aggregation in self.over.get(axis, ())

    def type_in(self, engine: Engine) -> str:
        """Return the column's type as an engine calls it."""
        return type_in(engine, self.type)


@dataclass(frozen=True)
class Table:
    """A published mart; ``key`` has the columns that tell its rows apart, each with its axis."""

    name: str
    kind: Kind
    description: str
    key: Mapping[str, Axis]
    columns: Mapping[str, Column]

    @property
    def one_of(self) -> list[str]:
        """Return the columns of which one value is chosen before rows are aggregated."""
        found = [name for name, axis in self.key.items() if axis == "one_of"]
        return found if "simulated" in found else [*found, "simulated"]


@dataclass(frozen=True)
class Contract:
    """All tables of gold by name, and what the names of units mean."""

    tables: Mapping[str, Table]
    units: Mapping[str, str]

    def table(self, name: str) -> Table:
        """Return a table.

        Raises:
            ContractError: gold does not have it.
        """
        if name not in self.tables:
            raise ContractError(f"expected a table of gold, found {name}")
        return self.tables[name]

    def column(self, table: str, name: str) -> Column:
        """Return a column.

        Raises:
            ContractError: gold does not have it.
        """
        columns = self.table(table).columns
        if name not in columns:
            raise ContractError(f"expected a column of gold, found {table}.{name}")
        return columns[name]


def load(path: Path = PATH) -> Contract:
    """Read the committed contract."""
    found = json.loads(path.read_text())
    tables = {name: _table(name, table) for name, table in found["tables"].items()}
    return Contract(tables, found["units"])


def dumps(contract: Contract) -> str:
    """Return the contract's file: a line for each column, so that a change shows as one line."""
    names = sorted({c.type for t in contract.tables.values() for c in t.columns.values()})
    engines: tuple[Engine, ...] = ("duckdb", "snowflake", "postgres", "tmdl")
    types = {name: {engine: type_in(engine, name) for engine in engines} for name in names}
    parts = [
        f'  "units": {_lines(contract.units, 4)}',
        f'  "types": {_lines(types, 4)}',
        '  "tables": {\n' + ",\n".join(map(_table_text, contract.tables.values())) + "\n  }",
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _table_text(table: Table) -> str:
    columns = {name: _column_entry(column) for name, column in table.columns.items()}
    head = {"kind": table.kind, "description": table.description, "key": dict(table.key)}
    lines = [f"      {_json(name)}: {_json(value)}" for name, value in head.items()]
    lines.append(f'      "columns": {_lines(columns, 8)}')
    return f"    {_json(table.name)}: {{\n" + ",\n".join(lines) + "\n    }"


def _column_entry(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": column.type, "nullable": column.nullable}
    for name in ("unit", "unit_column", "time_zone"):
        if getattr(column, name) is not None:
            entry[name] = getattr(column, name)
    if column.over:
        entry["additive"] = column.is_additive
        entry["over"] = {axis: list(allowed) for axis, allowed in column.over.items()}
    return entry | {"description": column.description}


def _table(name: str, entry: dict[str, Any]) -> Table:
    columns = {key: _column(key, value) for key, value in entry["columns"].items()}
    return Table(name, entry["kind"], entry["description"], entry["key"], columns)


def _column(name: str, entry: dict[str, Any]) -> Column:
    return Column(
        name,
        entry["type"],
        entry["nullable"],
        entry["description"],
        entry.get("unit"),
        entry.get("unit_column"),
        entry.get("time_zone"),
        {axis: tuple(allowed) for axis, allowed in entry.get("over", {}).items()},
    )


def _lines(mapping: Mapping[str, Any], indent: int) -> str:
    inside = ",\n".join(f"{' ' * indent}{_json(k)}: {_json(v)}" for k, v in mapping.items())
    return "{\n" + inside + "\n" + " " * (indent - 2) + "}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
