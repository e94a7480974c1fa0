"""Checks of the report: fields, visuals and filters that its own validator lets pass."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, Final

from dashboards.contract import Contract
from dashboards.powerbi.check_model import ModelText
from dashboards.powerbi.declared import DENEB
from dashboards.powerbi.finding import Finding

# What Deneb has of roles and formatting (its capabilities.json); it is not in Power BI's catalog.
_DENEB_ROLES: Final = {"dataset": "either"}
_DENEB_OBJECTS: Final = {
    "vega": [
        "jsonSpec",
        "jsonConfig",
        "provider",
        "renderMode",
        "enableTooltips",
        "enableContextMenu",
        "enableSelection",
        "enableHighlight",
    ]
}
_PLACE: Final = re.compile(r"(.*/pages/([^/]+))/(?:page\.json|visuals/([^/]+)/visual\.json)")
_KIND: Final = {"Column": "column", "Measure": "measure"}


@dataclass(frozen=True)
class ReportText:
    """The project's JSON files by path, and the names that Power BI knows of visuals."""

    documents: Mapping[str, Any]
    catalog: Mapping[str, Any]

    def named(self, ending: str) -> list[tuple[str, Any]]:
        """Return the documents of a name, with their paths."""
        return [(p, d) for p, d in self.documents.items() if PurePosixPath(p).name.endswith(ending)]

    @cached_property
    def visuals(self) -> list[tuple[str, Any]]:
        """Return every visual with its path."""
        return self.named("visual.json")

    @cached_property
    def pages(self) -> list[tuple[str, Any]]:
        """Return every page with its path."""
        return self.named("page.json")

    def visuals_of(self, page_path: str) -> list[tuple[str, Any]]:
        """Return the visuals of a page."""
        folder = str(PurePosixPath(page_path).parent)
        return [(p, d) for p, d in self.visuals if p.startswith(f"{folder}/visuals/")]


def findings(report: ReportText, model: ModelText, contract: Contract) -> Iterator[Finding]:
    """Yield what is wrong with the report."""
    yield from _paths(report)
    yield from _custom_visuals(report)
    for path, page in report.pages:
        yield from _page(path, page, report)
        yield from _simulated(path, page, report, model, contract)
    for path, visual in report.visuals:
        yield from _roles(path, visual, report)
        yield from _formatting(path, visual, report)
        if visual["visual"]["visualType"] == DENEB:
            yield from _vega(path, visual)
    for path, document in (*report.pages, *report.visuals):
        yield from _fields(path, document, model)


def label(visual: Mapping[str, Any]) -> str:
    """Return what to call a visual: its id and its type."""
    return f"{visual['visual']['visualType']} {visual['name']}"


def _paths(report: ReportText) -> Iterator[Finding]:
    """Every path that one file has of another leads to a file that is there."""
    folders = {str(parent) for path in report.documents for parent in PurePosixPath(path).parents}
    for path, document in report.named(".pbip"):
        target = document["artifacts"][0]["report"]["path"]
        if target not in folders:
            yield Finding(path, "artifacts", f"expected a folder {target}, found none")
    for path, document in report.named(".pbir"):
        target = document["datasetReference"]["byPath"]["path"]
        folder = _resolved(PurePosixPath(path).parent, target)
        if f"{folder}/definition.pbism" not in report.documents:
            yield Finding(path, "datasetReference", f"expected a model at {target}, found none")
    for path, document in report.named("report.json"):
        base = PurePosixPath(path).parent.parent / "StaticResources"
        for package in document["resourcePackages"]:
            for item in package["items"]:
                if f"{base}/{package['name']}/{item['path']}" not in report.documents:
                    message = f"expected a file {item['path']}, found none"
                    yield Finding(path, f"resource {item['name']}", message)
    yield from _order(report)


def _order(report: ReportText) -> Iterator[Finding]:
    """The list of pages has every page, and a page and a visual lie in the folder of their name."""
    pages = {page["name"] for _, page in report.pages}
    for path, document in report.named("pages.json"):
        listed = set(document["pageOrder"])
        for name in sorted(pages - listed):
            yield Finding(path, f"page {name}", "expected in pageOrder, found not there")
        for name in sorted(listed - pages):
            yield Finding(path, f"page {name}", "expected a folder of this page, found none")
        if document["activePageName"] not in listed:
            yield Finding(path, "activePageName", "expected one of pageOrder")
    for path, document in (*report.pages, *report.visuals):
        match = _PLACE.fullmatch(path)
        folder = (match[3] or match[2]) if match else None
        if folder != document["name"]:
            yield Finding(path, document["name"], f"expected the folder's name, {folder}")


def _resolved(base: PurePosixPath, relative: str) -> str:
    parts = list(base.parts)
    for part in PurePosixPath(relative).parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _custom_visuals(report: ReportText) -> Iterator[Finding]:
    builtin = report.catalog["visuals"]
    used = {visual["visual"]["visualType"] for _, visual in report.visuals} - set(builtin)
    for path, document in report.named("report.json"):
        registered = set(document["publicCustomVisuals"])
        for name in sorted(used & {DENEB} - registered):
            yield Finding(path, name, "expected in publicCustomVisuals, found not there")
        for name in sorted(registered - used):
            yield Finding(path, name, "expected a visual that uses it, found none")


def _page(path: str, page: Mapping[str, Any], report: ReportText) -> Iterator[Finding]:
    """Visuals lie on the page and not on each other, and interactions are between visuals of it."""
    placed: list[tuple[str, Mapping[str, float]]] = []
    visuals = report.visuals_of(path)
    for visual_path, visual in visuals:
        box = visual["position"]
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        if right > page["width"] or bottom > page["height"]:
            size = f"{page['width']} x {page['height']}"
            message = f"expected on the page ({size}), found to reach {right:g} x {bottom:g}"
            yield Finding(visual_path, label(visual), message)
        for name, other in placed:
            if _overlap(box, other):
                yield Finding(visual_path, label(visual), f"lies over {name}")
        placed.append((label(visual), box))
    names = {visual["name"] for _, visual in visuals}
    for interaction in page.get("visualInteractions", []):
        for end in ("source", "target"):
            if interaction[end] not in names:
                message = f"expected a visual of the page as {end}, found none"
                yield Finding(path, f"interaction {interaction[end]}", message)


def _overlap(a: Mapping[str, float], b: Mapping[str, float]) -> bool:
    return (
        a["x"] < b["x"] + b["width"]
        and b["x"] < a["x"] + a["width"]
        and a["y"] < b["y"] + b["height"]
        and b["y"] < a["y"] + a["height"]
    )


def _simulated(
    path: str, page: Mapping[str, Any], report: ReportText, model: ModelText, contract: Contract
) -> Iterator[Finding]:
    """What is simulated is left out of every fact that the page shows, by a filter in sight."""
    shown = {
        _table(field)
        for _, visual in report.visuals_of(path)
        for field in _references(visual["visual"].get("query", {}))
    }
    filters = page.get("filterConfig", {}).get("filters", [])
    filtered = {_table(f["field"]): f for f in filters if _property(f["field"]) == "SIMULATED"}
    for table in sorted(shown & set(model.tables) & set(contract.tables)):
        is_fact = not table.startswith("dim_")
        if not is_fact or "simulated" not in contract.tables[table].columns:
            continue
        found = filtered.get(table)
        if found is None or _values(found) != ["false"]:
            message = f"expected a filter {table}[SIMULATED] = false, found none"
            yield Finding(path, f"page {page['displayName']}", message)
        elif found.get("isHiddenInViewMode"):
            yield Finding(path, f"filter {table}[SIMULATED]", "expected in sight, found hidden")


def _roles(path: str, visual: Mapping[str, Any], report: ReportText) -> Iterator[Finding]:
    kind = visual["visual"]["visualType"]
    builtin = report.catalog["visuals"]
    if kind != DENEB and kind not in builtin:
        yield Finding(path, label(visual), f"expected a visual that Power BI has, found {kind}")
        return
    roles = _DENEB_ROLES if kind == DENEB else builtin[kind]["roles"]
    state = visual["visual"].get("query", {}).get("queryState", {})
    if roles and not state:
        yield Finding(path, label(visual), "expected fields, found none")
    for role, content in state.items():
        if role not in roles:
            expected = ", ".join(roles)
            yield Finding(path, label(visual), f"expected a role of {expected}, found {role}")
            continue
        wanted = {"measure": "Measure", "grouping": "Column"}.get(roles[role])
        for projection in content["projections"]:
            (found,) = projection["field"]
            if wanted and found != wanted:
                message = f"role {role} takes a {wanted}, found {projection['queryRef']}"
                yield Finding(path, label(visual), message)


def _formatting(path: str, visual: Mapping[str, Any], report: ReportText) -> Iterator[Finding]:
    kind = visual["visual"]["visualType"]
    known = (
        _DENEB_OBJECTS
        if kind == DENEB
        else report.catalog["visuals"].get(kind, {}).get("objects", {})
    )
    for found, names in (
        ("objects", known),
        ("visualContainerObjects", report.catalog["container"]),
    ):
        for name, entries in visual["visual"].get(found, {}).items():
            for entry in entries:
                for unknown in sorted(set(entry["properties"]) - set(names.get(name, []))):
                    message = f"expected formatting that it has, found {name}.{unknown}"
                    yield Finding(path, label(visual), message)
    general = visual["visual"].get("visualContainerObjects", {}).get("general", [])
    if not any("altText" in entry["properties"] for entry in general):
        yield Finding(path, label(visual), "expected an altText for screen readers, found none")


def _fields(path: str, document: Mapping[str, Any], model: ModelText) -> Iterator[Finding]:
    """Every column and measure that a page or visual names is in the model, as what it says."""
    owner = label(document) if "visual" in document else f"page {document['displayName']}"
    parts = [document.get("visual", {})]
    for condition in document.get("filterConfig", {}).get("filters", []):
        aliases = {source["Name"]: source["Entity"] for source in condition["filter"]["From"]}
        parts += [condition["field"], _with_tables(condition["filter"]["Where"], aliases)]
    seen = set()
    for part in parts:
        for field in _references(part):
            (kind,) = field
            seen.add((kind, _table(field), _property(field)))
    for kind, table, name in sorted(seen):
        if table not in model.tables:
            yield Finding(path, owner, f"expected a table of the model, found {table}")
        elif not model.has(table, name, _KIND[kind]):
            yield Finding(
                path, owner, f"expected a {_KIND[kind]} of the model, found {table}[{name}]"
            )


def _vega(path: str, visual: Mapping[str, Any]) -> Iterator[Finding]:
    """The specification is JSON, fetches nothing, and reads only fields that the visual has."""
    texts = {
        name: value["expr"]["Literal"]["Value"][1:-1].replace("''", "'")
        for entry in visual["visual"]["objects"]["vega"]
        for name, value in entry["properties"].items()
        if name in ("jsonSpec", "jsonConfig")
    }
    documents = {}
    for name, text in texts.items():
        try:
            documents[name] = json.loads(text)
        except ValueError as error:
            yield Finding(path, label(visual), f"expected JSON as {name}: {error}")
    spec = documents.get("jsonSpec")
    if spec is None:
        return
    if "$schema" in spec or "http" in texts["jsonSpec"] or "url" in spec.get("data", {}):
        yield Finding(path, label(visual), "expected a specification that fetches nothing")
    if spec.get("data") != {"name": "dataset"}:
        yield Finding(path, label(visual), "expected the data named dataset")
    given = {
        projection["nativeQueryRef"]
        for role in visual["visual"]["query"]["queryState"].values()
        for projection in role["projections"]
    }
    made = {name for step in spec.get("transform", []) for name in _made(step)}
    for name in sorted(_read_by(spec) - given - made):
        yield Finding(path, label(visual), f"expected a field {name} in the visual, found none")


def _made(step: Mapping[str, Any]) -> Iterator[str]:
    if "as" in step:
        yield step["as"]
    for operation in step.get("window", []):
        yield operation["as"]


def _read_by(spec: object) -> set[str]:
    """Return the fields that a specification reads: by name, and in expressions as datum.name."""
    if isinstance(spec, dict):
        found = {spec["field"]} if isinstance(spec.get("field"), str) else set()
        return found.union(*(_read_by(v) for k, v in spec.items() if k != "labelExpr"))
    if isinstance(spec, list):
        return set().union(*map(_read_by, spec))
    return set(re.findall(r"\bdatum\.(\w+)", spec)) if isinstance(spec, str) else set()


def _references(value: object) -> Iterator[Mapping[str, Any]]:
    """Yield every reference to a column or measure, wherever it is in a document."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in _KIND and isinstance(inner, Mapping) and "Property" in inner:
                yield {key: inner}
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _with_tables(value: object, aliases: Mapping[str, str]) -> object:
    """Return a filter's own query with its aliases replaced by the tables that they stand for."""
    if isinstance(value, Mapping):
        if "Source" in value:
            return {"Entity": aliases.get(value["Source"], value["Source"])}
        return {key: _with_tables(inner, aliases) for key, inner in value.items()}
    return [_with_tables(inner, aliases) for inner in value] if isinstance(value, list) else value


def _table(field: Mapping[str, Any]) -> str:
    (content,) = field.values()
    return str(content["Expression"]["SourceRef"].get("Entity", ""))


def _property(field: Mapping[str, Any]) -> str:
    (content,) = field.values()
    return str(content["Property"])


def _values(condition: Mapping[str, Any]) -> list[str]:
    """Return the literals that a filter lets through."""
    inside = condition["filter"]["Where"][0]["Condition"].get("In", {"Values": []})
    return [value["Literal"]["Value"] for row in inside["Values"] for value in row]
