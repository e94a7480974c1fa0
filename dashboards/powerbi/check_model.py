"""Checks of the semantic model: what Power BI's own parser lets pass, or fails on with no words."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dashboards.contract import Axis, Contract
from dashboards.powerbi import dax
from dashboards.powerbi.finding import Finding
from dashboards.powerbi.tmdl_read import DATA_TYPES, Node

_PARAMETER: Final = re.compile(r'#"([^"]+)"')
_STEP: Final = re.compile(r"^\s*(\w+) = ", re.MULTILINE)
_NAVIGATION: Final = re.compile(r"(\w+)\{\[Name=")
_SOURCE: Final = re.compile(r'\[Name="(\w+)", Kind="(Table|View)"\]')
_VALUE: Final = re.compile(r'"[^"]+" meta \[IsParameterQuery=true,')


@dataclass(frozen=True)
class ModelText:
    """The model as its files have it."""

    nodes: list[Node]

    def of(self, kind: str) -> list[Node]:
        """Return the objects of a kind that stand at the top of a file."""
        return [node for node in self.nodes if node.kind == kind]

    @property
    def tables(self) -> dict[str, Node]:
        """Return the tables by name."""
        return {table.name: table for table in self.of("table")}

    @property
    def columns(self) -> dict[tuple[str, str], Node]:
        """Return every column by table and name."""
        return {(t.name, c.name): c for t in self.of("table") for c in t.of("column")}

    @property
    def measures(self) -> dict[str, Node]:
        """Return every measure by name, which is one of its kind in the whole model."""
        return {m.name: m for t in self.of("table") for m in t.of("measure")}

    def has(self, table: str, name: str, kind: str) -> bool:
        """Whether a table has a column or measure of a name."""
        return any(child.name == name for child in self.tables[table].of(kind))


def findings(model: ModelText, contract: Contract) -> Iterator[Finding]:
    """Yield what is wrong with the model."""
    yield from _wholeness(model)
    yield from _names(model)
    for table in model.of("table"):
        yield from _columns(table, contract)
        yield from _source(table, model, contract)
    for relationship in model.of("relationship"):
        yield from _relationship(relationship, model, contract)
    for parameter in model.of("expression"):
        if not _VALUE.match(parameter.expression):
            yield parameter.finding("expected a parameter with a value, found none")
    yield from _measures(model, contract)


def _wholeness(model: ModelText) -> Iterator[Finding]:
    """The model names each of its tables, and sums nothing that no measure sums."""
    named = {ref.name for ref in model.of("ref table")}
    for table in model.of("table"):
        if table.name not in named:
            yield table.finding("expected in model.tmdl, found no ref table")
    for node in model.of("model"):
        for name in sorted(named - set(model.tables)):
            yield node.finding(f"expected a file of table {name}, found none")
        if node.properties.get("discourageImplicitMeasures") != "true":
            yield node.finding(
                "expected discourageImplicitMeasures, found columns that may be summed"
            )


def _names(model: ModelText) -> Iterator[Finding]:
    """A measure's name is unique in the model and no column's, or DAX takes another than meant."""
    measures = [m for t in model.of("table") for m in t.of("measure")]
    taken = {column.lower() for _, column in model.columns}
    count = Counter(measure.name.lower() for measure in measures)
    for measure in measures:
        if count[measure.name.lower()] > 1:
            yield measure.finding("expected a name that no other measure has")
        if measure.name.lower() in taken:
            yield measure.finding("expected a name that no column has")
    everything = [n for top in model.nodes for n in (top, *top.children)]
    tags = Counter(n.properties["lineageTag"] for n in everything if "lineageTag" in n.properties)
    for node in everything:
        if tags[node.properties.get("lineageTag", "")] > 1:
            yield node.finding("expected a lineageTag of its own")


def _columns(table: Node, contract: Contract) -> Iterator[Finding]:
    gold = contract.tables.get(table.name)
    if gold is None:
        yield table.finding("expected a table of gold")
        return
    for column in table.of("column"):
        properties = column.properties
        described = gold.columns.get(properties.get("sourceColumn", "").lower())
        found = properties.get("dataType", "none")
        if described is None:
            yield column.finding(f"expected a column of gold's {table.name}")
        elif found not in DATA_TYPES:
            yield column.finding(f"expected a type of TMDL, found {found}")
        elif found != described.type_in("tmdl"):
            expected = described.type_in("tmdl")
            yield column.finding(f"expected {expected} of gold's {described.type}, found {found}")
        if properties.get("summarizeBy") != "none":
            summed = properties.get("summarizeBy", "nothing, which is Power BI's choice")
            yield column.finding(f"expected summarizeBy: none, found {summed}")


def _source(table: Node, model: ModelText, contract: Contract) -> Iterator[Finding]:
    """The partition reads the table's namesake in gold, by parameters and steps that exist."""
    partitions = table.of("partition")
    if len(partitions) != 1:
        yield table.finding(f"expected one partition, found {len(partitions)}")
        return
    partition = partitions[0]
    text = partition.properties.get("source", "")
    if partition.properties.get("mode") != "directQuery":
        mode = partition.properties.get("mode")
        yield partition.finding(f"expected mode directQuery, found {mode}")
    parameters = {node.name for node in model.of("expression")}
    for name in sorted(set(_PARAMETER.findall(text)) - parameters):
        yield partition.finding(f'expected a parameter #"{name}", found none')
    steps = _STEP.findall(text)
    for name in sorted(set(steps) & parameters):
        yield partition.finding(f"step {name} has a parameter's name, and would read itself")
    read = [*_NAVIGATION.findall(text), text.split()[-1] if text else "nothing"]
    for name in sorted(set(read) - set(steps)):
        yield partition.finding(f"expected a step {name}, found none")
    if not _is_balanced(text):
        yield partition.finding("expected brackets in pairs")
    gold = contract.tables.get(table.name)
    if gold is not None:
        expected = [(gold.name.upper(), gold.kind.title())]
        if _SOURCE.findall(text) != expected:
            yield partition.finding(f"expected the source {expected[0][1]} {expected[0][0]}")


def _relationship(node: Node, model: ModelText, contract: Contract) -> Iterator[Finding]:
    ends = []
    for end in ("fromColumn", "toColumn"):
        table, _, column = node.properties.get(end, "").partition(".")
        if (table, column) in model.columns:
            ends.append((table, column))
        else:
            yield node.finding(f"expected a column as {end}, found {table}.{column}")
    if len(ends) < 2:
        return
    types = [model.columns[end].properties.get("dataType") for end in ends]
    if types[0] != types[1]:
        yield node.finding(f"expected one type at both ends, found {types[0]} and {types[1]}")
    dimension, column = ends[1]
    gold = contract.tables.get(dimension)
    source = "".join(
        p.properties.get("source", "") for p in model.tables[dimension].of("partition")
    )
    is_chosen = "Table.SelectRows(" in source
    if gold is not None and set(gold.key) != {column.lower()} and not is_chosen:
        key = ", ".join(gold.key)
        yield node.finding(
            f"expected {dimension} to have one row for each {column}; its key is {key}"
        )


def _measures(model: ModelText, contract: Contract) -> Iterator[Finding]:
    uses: dict[str, dax.Uses] = {}
    for name, measure in model.measures.items():
        try:
            uses[name] = dax.read(measure.expression)
        except dax.DaxError as error:
            yield measure.finding(f"DAX: {error}")
    for name, found in uses.items():
        measure = model.measures[name]
        for missing in _unknown(found, model):
            yield measure.finding(f"DAX: expected in the model, found not there: {missing}")
        for line in _untrue(found, uses, contract):
            yield measure.finding(line)
    yield from _circles(model, uses)


def _unknown(uses: dax.Uses, model: ModelText) -> Iterator[str]:
    yield from sorted(uses.tables - set(model.tables))
    for table, column in sorted(uses.columns - set(model.columns)):
        yield f"{table}[{column}]"
    for measure in sorted(uses.measures - set(model.measures)):
        yield f"[{measure}]"


def _circles(model: ModelText, uses: Mapping[str, dax.Uses]) -> Iterator[Finding]:
    for name in uses:
        if name in _reached(uses[name].measures, uses):
            yield model.measures[name].finding("expected no measure that is made of itself")


def _reached(names: set[str] | frozenset[str], uses: Mapping[str, dax.Uses]) -> set[str]:
    """Return the measures that some rest on, those of these included, and so on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in uses and name not in found:
            found.add(name)
            waiting += uses[name].measures
    return found


def _untrue(uses: dax.Uses, all_uses: Mapping[str, dax.Uses], contract: Contract) -> Iterator[str]:
    """Yield the aggregations that gold's contract does not allow where nothing guards the axis.

    An axis is guarded by an IF that asks for one value of each of its columns: then there is one
    row along it, and any aggregation of one value is that value.
    """
    for made in uses.aggregations:
        gold = contract.tables.get(made.table)
        column = gold.columns.get(made.column.lower()) if gold else None
        if gold is None or column is None:
            continue
        shown = f"{made.function} of {made.table}[{made.column}]"
        guarded = _guarded(made.guards, all_uses)
        for axis, allowed in column.over.items():
            if made.function not in allowed and not _is_single(axis, gold.key, made, guarded):
                yield f"{shown} over {axis} is no true number: expected an IF for one value"
        # What is simulated is left out by a filter of the page, which the report's check asks for.
        chosen = set(gold.one_of) - {"simulated"} if column.unit else set()
        if column.unit == "money" and "currency" in gold.columns:
            chosen.add("currency")
        for name in sorted(chosen):
            if (made.table, name.upper()) not in guarded:
                yield f"{shown} needs an IF for one {name.upper()}"


def _is_single(
    axis: Axis, key: Mapping[str, Axis], made: dax.Aggregation, guarded: set[tuple[str, str]]
) -> bool:
    if axis == "symbols":
        return {("dim_instrument", "SYMBOL"), ("dim_instrument", "INSTRUMENT_ID")} <= guarded
    names = [name for name, of in key.items() if of == axis]
    return bool(names) and all((made.table, name.upper()) in guarded for name in names)


def _guarded(guards: tuple[dax.Guard, ...], uses: Mapping[str, dax.Uses]) -> set[tuple[str, str]]:
    """Return the columns of which guards ask for one value, through the measures that they name."""
    found: set[tuple[str, str]] = set()
    waiting = list(guards)
    seen: set[str] = set()
    while waiting:
        guard = waiting.pop()
        found |= guard.one_value
        for name in guard.measures - seen:
            seen.add(name)
            if name in uses:
                waiting.append(dax.guard(uses[name]))
    return found


def _is_balanced(text: str) -> bool:
    pairs = {")": "(", "]": "[", "}": "{"}
    open_brackets: list[str] = []
    for sign in re.sub(r'"[^"]*"', "", text):
        if sign in pairs.values():
            open_brackets.append(sign)
        elif sign in pairs and (not open_brackets or open_brackets.pop() != pairs[sign]):
            return False
    return not open_brackets
