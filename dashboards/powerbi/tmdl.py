"""Writes the semantic model as TMDL, the text form of a tabular model; indented by tabs alone."""

import re
from collections.abc import Iterator, Mapping
from textwrap import dedent
from typing import Final

from dashboards.contract import Column, Contract
from dashboards.powerbi.declared import Connection, Measure, Model, ModelTable, Relationship
from dashboards.powerbi.identity import tag

# Of Power BI Desktop since 2024; nothing here needs a newer one.
_COMPATIBILITY: Final = 1605
_PLAIN: Final = re.compile(r"\w+")
_TYPE_FORMATS: Final = {"date": "yyyy-mm-dd", "timestamp": "yyyy-mm-dd hh:nn:ss"}


def files(model: Model, contract: Contract) -> dict[str, str]:
    """Return the model's files by their path below ``definition``.

    Raises:
        ContractError: the model declares a table or column that gold does not have.
    """
    tables = {
        f"tables/{table.name}.tmdl": _table(table, model.connection, contract)
        for table in model.tables
    }
    return {
        "database.tmdl": f"database\n\tcompatibilityLevel: {_COMPATIBILITY}\n",
        "model.tmdl": _model(model),
        "expressions.tmdl": "\n".join(_parameter(*p) for p in model.connection.parameters.items()),
        "relationships.tmdl": "\n".join(map(_relationship, model.relationships)),
        **tables,
    }


def _model(model: Model) -> str:
    refs = "".join(f"ref table {table.name}\n" for table in model.tables)
    return (
        "model Model\n\tculture: en-US\n\tdefaultPowerBIDataSourceVersion: powerBI_V3\n"
        f"\tdiscourageImplicitMeasures\n\tsourceQueryCulture: en-US\n\n{refs}"
    )


def _parameter(name: str, value: str) -> str:
    meta = 'meta [IsParameterQuery=true, Type="Text", IsParameterQueryRequired=true]'
    return f'expression {name} = "{value}" {meta}\n\tlineageTag: {tag("parameter", name)}\n'


def _relationship(relationship: Relationship) -> str:
    column = relationship.column.upper()
    names = (relationship.fact, relationship.dimension, column)
    return (
        f"relationship {tag('relationship', *names)}\n"
        f"\tfromColumn: {relationship.fact}.{column}\n"
        f"\ttoColumn: {relationship.dimension}.{column}\n"
    )


def _table(table: ModelTable, connection: Connection, contract: Contract) -> str:
    columns = {name: contract.column(table.name, name) for name in table.columns}
    parts = [
        f"/// {contract.table(table.name).description}\ntable {table.name}\n"
        f"\tlineageTag: {tag(table.name)}\n",
        *(_measure(measure, table.name) for measure in table.measures),
        *(_column(column, table) for column in columns.values()),
        _partition(table, connection, contract),
    ]
    return "\n".join(parts)


def _measure(measure: Measure, table: str) -> str:
    lines = dedent(measure.dax).strip().splitlines()
    expression = f" {lines[0]}" if len(lines) == 1 else "".join(f"\n\t\t\t{x}" for x in lines)
    properties: dict[str, str | None] = {"lineageTag": tag(table, "measure", measure.name)}
    if measure.hidden:
        properties["isHidden"] = None
    if measure.format:
        properties["formatString"] = measure.format
    return (
        f"\t/// {measure.description}\n\tmeasure {quoted(measure.name)} ={expression}\n"
        + _properties(properties)
    )


def _column(column: Column, table: ModelTable) -> str:
    name = column.name.upper()
    properties: dict[str, str | None] = {"dataType": column.type_in("tmdl")}
    if column.name not in table.shown:
        properties["isHidden"] = None
    if column.type in _TYPE_FORMATS:
        properties["formatString"] = _TYPE_FORMATS[column.type]
    properties |= {
        "lineageTag": tag(table.name, "column", name),
        "summarizeBy": "none",
        "sourceColumn": name,
    }
    return f"\t/// {column.description}\n\tcolumn {name}\n" + _properties(properties)


def _properties(properties: Mapping[str, str | None]) -> str:
    """Return lines of properties; one without a value is a flag that is set."""
    return "".join(
        f"\t\t{name}\n" if value is None else f"\t\t{name}: {value}\n"
        for name, value in properties.items()
    )


def _partition(table: ModelTable, connection: Connection, contract: Contract) -> str:
    steps = ",\n".join(f"\t\t\t\t\t{step}" for step in _steps(table, connection, contract))
    result = steps.splitlines()[-1].split(" = ")[0].strip()
    return (
        f"\tpartition {table.name} = m\n\t\tmode: directQuery\n\t\tsource =\n"
        f"\t\t\t\tlet\n{steps}\n\t\t\t\tin\n\t\t\t\t\t{result}\n"
    )


def _steps(table: ModelTable, connection: Connection, contract: Contract) -> Iterator[str]:
    """Yield the steps of M; none is called as a parameter is, or it would read itself."""
    driver = f', Implementation="{connection.implementation}"' if connection.implementation else ""
    kind = {"table": "Table", "view": "View"}[contract.table(table.name).kind]
    yield f'Source = Snowflake.Databases(#"Server", #"Warehouse", [Role=#"Role"{driver}])'
    yield 'GoldDatabase = Source{[Name=#"Database", Kind="Database"]}[Data]'
    yield 'GoldSchema = GoldDatabase{[Name=#"Schema", Kind="Schema"]}[Data]'
    yield f'GoldTable = GoldSchema{{[Name="{table.name.upper()}", Kind="{kind}"]}}[Data]'
    if table.where:
        yield f"GoldRows = Table.SelectRows(GoldTable, each [{table.where.upper()}] = true)"


def quoted(name: str) -> str:
    """Return a name as TMDL and DAX take it: in quotes where it is more than one plain word."""
    return name if _PLAIN.fullmatch(name) else "'" + name.replace("'", "''") + "'"
