"""The columns in which bronze lines come out of the Python workers, as Arrow has them."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import pyarrow as pa

from spark_jobs.model import Model
from spark_jobs.schemas import Table

# The stubs have a class for each type of values; here it may be any of them.
Array: TypeAlias = Any

TEXT: Final = pa.string()
INSTANT: Final = pa.timestamp("us", tz="UTC")
HEAD: Final[dict[str, pa.DataType]] = {
    "topic": TEXT,
    "generation": TEXT,
    "partition": pa.int32(),
    "object_start": pa.int64(),
    "offset": pa.int64(),
    "kafka_timestamp": INSTANT,
    "kind": TEXT,
    "reason": TEXT,
    "detail": TEXT,
    "schema": TEXT,
    "key": TEXT,
    "headers": TEXT,
    "raw": TEXT,
}
_TYPES: Final[dict[str, pa.DataType]] = {
    "string": TEXT,
    "boolean": pa.bool_(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "date": pa.date32(),
    "timestamp": INSTANT,
    "array<string>": pa.list_(TEXT),
}


def table_schema(table: Table) -> pa.Schema:
    """Return a table's columns."""
    return pa.schema([(name, arrow_type(kind)) for name, kind in table.columns.items()])


def schema(model: Model) -> pa.Schema:
    """Return the columns of a line: where it lies, what is wrong with it, what its message says."""
    columns = {name: arrow_type(kind) for name, kind in model.columns.items()}
    return pa.schema(list((HEAD | columns).items()))


def batch(columns: Mapping[str, Array], expected: pa.Schema) -> pa.RecordBatch:
    """Return columns as a batch of a schema; those that it lacks are NULL, others are dropped."""
    count = len(next(iter(columns.values())))
    kinds: list[Any] = expected.types
    arrays = [
        columns[name] if name in columns else pa.nulls(count, kind)
        for name, kind in zip(expected.names, kinds, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=expected)


def arrow_type(kind: str) -> pa.DataType:
    """Return Arrow's type for a Spark SQL type."""
    if kind.startswith("decimal"):
        return pa.decimal128(*digits(kind))
    return _TYPES[kind]


def digits(kind: str) -> tuple[int, int]:
    """Return precision and scale of ``decimal(p,s)``."""
    precision, _, scale = kind.removeprefix("decimal(").removesuffix(")").partition(",")
    return int(precision), int(scale)
