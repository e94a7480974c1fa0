"""What the page's visuals use of gold, worked out from the definition they are generated from."""

from collections.abc import Iterator
from typing import Final

from dashboards.powerbi import dax
from dashboards.powerbi.declared import Field, Visual
from dashboards.powerbi.definition import MODEL, PAGE

EXPOSURE: Final = "power_bi_stocks"

_MEASURES: Final = {m.name: dax.read(m.dax) for t in MODEL.tables for m in t.measures}


def _fields(visual: Visual) -> Iterator[Field]:
    for fields in visual.roles.values():
        yield from fields
    yield from (condition.field for condition in visual.filters)
    if isinstance(visual.title, Field):
        yield visual.title


def _columns(field: Field) -> set[tuple[str, str]]:
    """Return the columns behind a field; of a measure, through the measures that it names."""
    if not field.is_measure:
        return {(field.table, field.name)}
    found: set[tuple[str, str]] = set()
    waiting, seen = [field.name], set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        found |= {(table, column.lower()) for table, column in _MEASURES[name].columns}
        waiting += _MEASURES[name].measures - seen
    return found


def _used(visual: Visual) -> dict[str, list[str]]:
    by_table: dict[str, set[str]] = {}
    for field in _fields(visual):
        for table, column in _columns(field):
            by_table.setdefault(table, set()).add(column)
    for relationship in MODEL.relationships:
        if {relationship.fact, relationship.dimension} <= set(by_table):
            for table in (relationship.fact, relationship.dimension):
                by_table[table].add(relationship.column)
    for declared in MODEL.tables:
        if declared.where and declared.name in by_table:
            by_table[declared.name].add(declared.where)
    return {table: sorted(columns) for table, columns in sorted(by_table.items())}


PANELS: Final = {visual.key: _used(visual) for visual in PAGE.visuals if visual.roles} | {
    "page filters": {f.field.table: [f.field.name] for f in PAGE.filters}
}
