"""Lines exactly as our own producers and landers write them, thousands at a time.

A record type's line has one canonical form: the fields in the record's order, no white space, no
escape. One expression, made from the record's own types, tells whether a line has it with values
that fit their columns; Arrow's JSON reader then has typed columns at a third of a microsecond a
field. What the expression does not match is no worse for it: ``decode`` looks at it.

The expression must be as strict as ``decode``: a line that it matches is a message there too, with
the same values (``test_shapes``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec.inspect as mi
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from spark_jobs.model import Field, Model, schema
from spark_jobs.transforms import layout
from spark_jobs.transforms.layout import Array

# ASCII that stands for itself in a JSON string; a line with anything else is not looked at here.
_PLAIN: Final = r"[ !#-\[\]-~]"
_WHOLE: Final = "(?:0|[1-9][0-9]{0,17})"  # what any 64-bit integer can hold
_MILLISECONDS: Final = "(?:0|[1-9][0-9]{0,13})"  # to the year 5138
# Dates that there are in every year; the 29th of February is not looked at here.
_DATE: Final = (
    "(?:19|20)[0-9]{2}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_INSTANT: Final = _DATE + r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?Z"
_HEAD: Final = (
    rf'^\{{"offset":{_WHOLE},"timestamp":{_MILLISECONDS},"key":(?:null|"{_PLAIN}*"),'
    rf'"headers":\[(?:\["{_PLAIN}*","{_PLAIN}*"\](?:,\["{_PLAIN}*","{_PLAIN}*"\])*)?\],"value":'
)
_END: Final = r"\}\n$"
_CONTRACT_END: Final = r"$(?!\n)"
_BLOCK: Final = 2**30  # all of a batch is one block of the JSON reader
_MILLIS: Final = pa.timestamp("ms", tz="UTC")


@dataclass(frozen=True)
class Shape:
    """The canonical line of one record type."""

    schema: str
    kind: str
    pattern: str
    json: pa.Schema
    envelope: tuple[Field, ...]
    data: tuple[Field, ...]

    def matches(self, lines: Array) -> Array:
        """Tell which lines (each with its newline) have this shape."""
        return pc.match_substring_regex(lines, self.pattern)

    def columns(self, lines: Array) -> dict[str, Array]:
        """Return the columns of lines that have this shape."""
        found = _read(lines, self.json)
        value: Array = found.column("value").combine_chunks()
        data = value.field("data")
        return {
            "schema": pa.repeat(self.schema, len(lines)),
            "kind": pa.repeat(self.kind, len(lines)),
            "offset": found.column("offset").combine_chunks(),
            "kafka_timestamp": _instants(found.column("timestamp").combine_chunks()),
            **{field.column: _typed(value.field(field.wire), field) for field in self.envelope},
            **{field.column: _typed(data.field(field.wire), field) for field in self.data},
        }


def shapes(model: Model, topic: str) -> list[Shape]:
    """Return the shapes of the records of a topic."""
    return [
        _shape(schema(record), table.name, model.envelope(record), model.data(record))
        for record, table in model.stored()
        if topic in table.topics
    ]


def _shape(name: str, kind: str, envelope: list[Field], data: list[Field]) -> Shape:
    members = ",".join(_members(data))
    body = ",".join([f'"schema":{_quoted(_literal(name))}', *_members(envelope)])
    pattern = rf'{_HEAD}\{{{body},"data":\{{{members}\}}\}}{_END}'
    inner = pa.struct([(field.wire, _json_type(field)) for field in data])
    outer = pa.struct([*((field.wire, _json_type(field)) for field in envelope), ("data", inner)])
    json = pa.schema([("offset", pa.int64()), ("timestamp", pa.int64()), ("value", outer)])
    return Shape(name, kind, pattern, json, tuple(envelope), tuple(data))


def _members(fields: list[Field]) -> Iterator[str]:
    for field in fields:
        yield f'"{_literal(field.wire)}":{_value(field.type, field.kind)}'


def _value(kind: mi.Type, column: str) -> str:
    match kind:
        case mi.Metadata():
            return _value(kind.type, column)
        case mi.UnionType():
            return f"(?:{'|'.join(_value(part, column) for part in kind.types)})"
        case mi.NoneType():
            return "null"
        case mi.BoolType():
            return "(?:true|false)"
        case mi.IntType():
            return f"-?{_WHOLE}"
        case mi.LiteralType():
            return _quoted(f"(?:{'|'.join(_literal(str(value)) for value in kind.values)})")
        case mi.ListType():
            item = _value(kind.item_type, "string")
            return rf"\[(?:{item}(?:,{item})*)?\]"
        case mi.StrType():
            return _quoted(_text(kind, column))
    raise TypeError(f"expected a type that a lake's column can hold, found {kind}")


def _text(kind: mi.StrType, column: str) -> str:
    if column.startswith("decimal"):
        precision, scale = layout.digits(column)
        whole = f"(?:0|[1-9][0-9]{{0,{precision - scale - 1}}})"
        return rf"-?{whole}(?:\.[0-9]{{1,{scale}}})?"
    if column != "string":
        return {"bigint": f"-?{_WHOLE}", "timestamp": _INSTANT, "date": _DATE}[column]
    if kind.pattern is not None:
        # The contract's patterns allow neither quotes nor backslashes.
        return f"(?:{kind.pattern.removeprefix('^').removesuffix(_CONTRACT_END)})"
    longest = "" if kind.max_length is None else kind.max_length
    return f"{_PLAIN}{{{kind.min_length or 0},{longest}}}"


def _quoted(pattern: str) -> str:
    return f'"{pattern}"'


def _literal(text: str) -> str:
    return text.replace(".", r"\.")


def _json_type(field: Field) -> pa.DataType:
    # Arrow's reader takes a string for an instant and for a decimal, not for a date or an integer.
    is_text = field.kind == "date" or (field.kind == "bigint" and _is_text(field.type))
    return layout.TEXT if is_text else layout.arrow_type(field.kind)


def _is_text(kind: mi.Type) -> bool:
    if isinstance(kind, mi.Metadata):
        return _is_text(kind.type)
    if isinstance(kind, mi.UnionType):
        return any(map(_is_text, kind.types))
    return isinstance(kind, mi.StrType)


def _instants(milliseconds: Array) -> Array:
    return milliseconds.cast(_MILLIS).cast(layout.INSTANT)


def _typed(values: Array, field: Field) -> Array:
    return values.cast(layout.arrow_type(field.kind))


def _read(lines: Array, expected: pa.Schema) -> pa.Table:
    first, last = lines.offset, lines.offset + len(lines)
    ends = memoryview(lines.buffers()[1]).cast("i")
    document = lines.buffers()[2].slice(ends[first], ends[last] - ends[first])
    source: Any = pa.BufferReader(document)
    return pyarrow.json.read_json(
        source,
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=_BLOCK),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=expected, unexpected_field_behavior="ignore"
        ),
    )
