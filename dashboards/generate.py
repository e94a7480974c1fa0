"""The contract of gold, from dbt's model contracts (``dbt_stocks/models/gold/**/_*__models.yml``).

``config.meta`` of a column: ``unit`` or ``unit_column``, and ``over`` (axis: aggregations), where
``rules.py`` does not know its name. Of a model: ``axes`` (key column: axis), where the rule's axis
is not the right one.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import yaml

from dashboards import rules
from dashboards.contract import Aggregation, Axis, Column, Contract, Kind, Over, Table, type_in
from dashboards.rules import Meaning
from ingestion.errors import ContractError
from ingestion.settings import ROOT

GOLD: Final = ROOT / "dbt_stocks" / "models" / "gold"
_VIEW: Final = re.compile(r"materialized\s*=\s*'view'")
_COLUMN_META: Final = {"unit", "unit_column", "over"}
_MODEL_META: Final = {"axes"}

Yaml = dict[str, Any]


def generate(gold: Path = GOLD) -> Contract:
    """Return the contract of every mart below a folder of models.

    Raises:
        ContractError: what a column means follows neither from a rule nor from its meta, or a meta
            is none; the text names all such columns.
    """
    faults: list[str] = []
    tables = [
        _table(model, kind, faults)
        for model, kind in sorted(_models(gold), key=lambda one: str(one[0]["name"]))
    ]
    if faults:
        raise ContractError("; ".join(faults))
    return Contract({table.name: table for table in tables}, rules.UNITS)


def _models(gold: Path) -> Iterator[tuple[Yaml, Kind]]:
    for path in sorted(gold.rglob("_*__models.yml")):
        for model in yaml.safe_load(path.read_text())["models"]:
            sql = (path.parent / f"{model['name']}.sql").read_text()
            yield model, "view" if _VIEW.search(sql) else "table"


def _table(model: Yaml, kind: Kind, faults: list[str]) -> Table:
    name = str(model["name"])
    meta = _meta(model, _MODEL_META, name, faults)
    columns = {str(column["name"]): column for column in model["columns"]}
    chosen: Mapping[str, Axis] = meta.get("axes", {})
    key = {
        part: chosen.get(part) or rules.axis(part, columns[part]["data_type"])
        for part in _key(model)
    }
    for part, axis in chosen.items():
        if part not in key or axis not in get_args(Axis):
            faults.append(f"{name}.{part}: expected an axis of a key column, found {axis}")
    axes = [axis for axis in get_args(Axis) if axis in key.values() and axis != "one_of"]
    return Table(
        name,
        kind,
        _text(model["description"]),
        key,
        {part: _column(name, column, axes, faults) for part, column in columns.items()},
    )


def _key(model: Yaml) -> list[str]:
    """Return the columns of the model's tested key: the first one that holds for every row."""
    for test in model.get("data_tests", []):
        arguments = test.get("unique_combination", {}).get("arguments", {})
        if arguments and "where" not in arguments:
            return list(arguments["columns"])
    unique = [c["name"] for c in model["columns"] if "unique" in c.get("data_tests", [])]
    if not unique:
        raise ContractError(f"{model['name']}: expected a tested key, found none")
    return unique[:1]


def _column(table: str, column: Yaml, axes: list[Axis], faults: list[str]) -> Column:
    name, type_ = str(column["name"]), str(column["data_type"])
    type_in("duckdb", type_)
    meaning = _meaning(f"{table}.{name}", column, faults)
    over: Over = {}
    if meaning.over or meaning.unit or meaning.unit_column:
        over = {axis: meaning.over.get(axis, ()) for axis in axes}
    return Column(
        name,
        type_,
        not any(c["type"] == "not_null" for c in column.get("constraints", [])),
        _text(column["description"]),
        meaning.unit,
        meaning.unit_column,
        {"timestamp": "UTC", "date": "exchange"}.get(type_),  # type: ignore[arg-type]  # a Literal
        over,
    )


def _meaning(place: str, column: Yaml, faults: list[str]) -> Meaning:
    meta = _meta(column, _COLUMN_META, place, faults)
    if meta:
        return _of_meta(meta, place, faults)
    if column["data_type"] in ("date", "timestamp"):
        return rules.of_moment()
    if not rules.is_number(column["data_type"]):
        return Meaning(None, {})
    found = rules.of_number(column["name"])
    if found is None:
        faults.append(f"{place}: expected a rule for its name or config.meta, found neither")
    return found or Meaning(None, {})


def _of_meta(meta: Yaml, place: str, faults: list[str]) -> Meaning:
    unit, unit_column, over = meta.get("unit"), meta.get("unit_column"), meta.get("over", {})
    if (unit in rules.UNITS) == (unit_column is not None):
        faults.append(f"{place}: expected a unit of rules.py or a unit_column, found {meta}")
    for axis, allowed in over.items():
        if axis not in get_args(Axis) or not set(allowed) <= set(get_args(Aggregation)):
            faults.append(f"{place}: expected axes and aggregations, found {axis}: {allowed}")
    return Meaning(unit, {axis: tuple(allowed) for axis, allowed in over.items()}, unit_column)


def _meta(node: Yaml, known: set[str], place: str, faults: list[str]) -> Yaml:
    meta: Yaml = node.get("config", {}).get("meta", {})
    unknown = sorted(set(meta) - known - {"dimension"})
    if unknown:
        faults.append(f"{place}: expected meta of {sorted(known)}, found {', '.join(unknown)}")
    return meta


def _text(description: str) -> str:
    return " ".join(description.split())
