"""Writes the report as PBIR: a JSON file for each page and each visual."""

import json
from collections.abc import Mapping
from typing import Any, Final

from dashboards.powerbi import candle
from dashboards.powerbi.declared import DENEB, Field, Filter, Page, Visual
from dashboards.powerbi.identity import name

_SCHEMAS: Final = "https://developer.microsoft.com/json-schemas/fabric/item/report/definition"
# Versions of May 2026: a Desktop that is older does not open the files (README).
SCHEMAS: Final = {
    "version": f"{_SCHEMAS}/versionMetadata/1.0.0/schema.json",
    "report": f"{_SCHEMAS}/report/3.3.0/schema.json",
    "pages": f"{_SCHEMAS}/pagesMetadata/1.1.0/schema.json",
    "page": f"{_SCHEMAS}/page/2.1.0/schema.json",
    "visual": f"{_SCHEMAS}/visualContainer/2.9.0/schema.json",
}
THEME: Final = "CY26SU10"

# A card's objects are of its states; these are of the one that is always shown.
_DEFAULT_STATE: Final = {"id": "default"}


def files(page: Page) -> dict[str, str]:
    """Return the report's files by their path below ``definition``."""
    page_name = name(page.key)
    folder = f"pages/{page_name}"
    visuals = {
        f"{folder}/visuals/{name(page.key, visual.key)}/visual.json": _visual(page, order)
        for order, visual in enumerate(page.visuals)
    }
    found = {
        "version.json": {"$schema": SCHEMAS["version"], "version": "2.0.0"},
        "report.json": _report(page),
        "pages/pages.json": {
            "$schema": SCHEMAS["pages"],
            "pageOrder": [page_name],
            "activePageName": page_name,
        },
        f"{folder}/page.json": _page(page),
        **visuals,
    }
    return {path: dumps(value) for path, value in found.items()}


def dumps(value: Mapping[str, Any]) -> str:
    """Return a JSON file's text."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _report(page: Page) -> dict[str, Any]:
    is_deneb_used = any(visual.type == DENEB for visual in page.visuals)
    theme = {"visual": "2.9.0", "report": "3.3.0", "page": "2.1.0"}
    item = {"name": THEME, "path": f"BaseThemes/{THEME}.json", "type": "BaseTheme"}
    package = "SharedResources"
    return {
        "$schema": SCHEMAS["report"],
        "themeCollection": {
            "baseTheme": {"name": THEME, "reportVersionAtImport": theme, "type": package}
        },
        "publicCustomVisuals": [DENEB] if is_deneb_used else [],
        "resourcePackages": [{"name": package, "type": package, "items": [item]}],
        "settings": {
            "useStylableVisualContainerHeader": True,
            "exportDataMode": "AllowSummarized",
            "defaultDrillFilterOtherVisuals": True,
            "useEnhancedTooltips": True,
        },
    }


def _page(page: Page) -> dict[str, Any]:
    return {
        "$schema": SCHEMAS["page"],
        "name": name(page.key),
        "displayName": page.title,
        "displayOption": "FitToPage",
        "height": page.height,
        "width": page.width,
        "filterConfig": {"filters": [_filter(f, page.key) for f in page.filters]},
        "visualInteractions": [
            {
                "source": name(page.key, source),
                "target": name(page.key, target),
                "type": "NoFilter",
            }
            for source, target in page.unaffected
        ],
    }


def _visual(page: Page, order: int) -> dict[str, Any]:
    visual = page.visuals[order]
    found: dict[str, Any] = {
        "$schema": SCHEMAS["visual"],
        "name": name(page.key, visual.key),
        "position": {
            "x": visual.box.x,
            "y": visual.box.y,
            "z": order,
            "height": visual.box.height,
            "width": visual.box.width,
            "tabOrder": order,
        },
        "visual": {"visualType": visual.type, **_query(visual)}
        | {"objects": _objects(visual), "visualContainerObjects": _container(visual)}
        | {"drillFilterOtherVisuals": True},
    }
    if visual.filters:
        filters = [_filter(f, page.key, visual.key) for f in visual.filters]
        found["filterConfig"] = {"filters": filters}
    return found


def _query(visual: Visual) -> dict[str, Any]:
    if not visual.roles:
        return {}
    state = {
        role: {"projections": [_projection(field, visual.type) for field in fields]}
        for role, fields in visual.roles.items()
    }
    query: dict[str, Any] = {"queryState": state}
    if visual.sort:
        field, is_descending = visual.sort
        direction = "Descending" if is_descending else "Ascending"
        query["sortDefinition"] = {"sort": [{"field": _field(field), "direction": direction}]}
    return {"query": query}


def _projection(field: Field, visual_type: str) -> dict[str, Any]:
    found = {
        "field": _field(field),
        "queryRef": f"{field.table}.{field.model_name}",
        "nativeQueryRef": field.model_name,
    }
    # What a visual of Power BI's own groups by now, of the levels that it could.
    return found if field.is_measure or visual_type == DENEB else found | {"active": True}


def _field(field: Field, source: str | None = None) -> dict[str, Any]:
    """Return a field; by the alias of its table where it is in a filter's own query."""
    reference = {"Source": source} if source else {"Entity": field.table}
    kind = "Measure" if field.is_measure else "Column"
    return {kind: {"Expression": {"SourceRef": reference}, "Property": field.model_name}}


def _filter(condition: Filter, *owner: str) -> dict[str, Any]:
    """Return a filter that readers see and may change: one that is hidden would mislead."""
    field, alias = condition.field, "t"
    within, value = _field(field, alias), {"Literal": {"Value": literal(condition.value)}}
    where: dict[str, Any] = (
        {"Comparison": {"ComparisonKind": 0, "Left": within, "Right": value}}
        if field.is_measure
        else {"In": {"Expressions": [within], "Values": [[value]]}}
    )
    return {
        "name": name(*owner, "filter", field.table, field.model_name),
        "field": _field(field),
        "type": "Advanced" if field.is_measure else "Categorical",
        "filter": {
            "Version": 2,
            "From": [{"Name": alias, "Entity": field.table, "Type": 0}],
            "Where": [{"Condition": where}],
        },
        "howCreated": "User",
    }


def _objects(visual: Visual) -> dict[str, Any]:
    if visual.type == DENEB:
        return _formatted({"vega": _vega()})
    if visual.type == "textbox":
        run = {"value": visual.objects["heading"]["text"], "textStyle": {"fontSize": "20pt"}}
        return {"general": [{"properties": {"paragraphs": [{"textRuns": [run]}]}}]}
    return _formatted(visual.objects, _DEFAULT_STATE if visual.type == "cardVisual" else None)


def _vega() -> dict[str, Any]:
    return {
        "jsonSpec": json.dumps(candle.SPEC, separators=(",", ":")),
        "jsonConfig": json.dumps(candle.CONFIG, separators=(",", ":")),
        "provider": "vegaLite",
        "renderMode": "svg",
        "enableTooltips": True,
        "enableContextMenu": True,
        "enableSelection": False,
        "enableHighlight": False,
    }


def _container(visual: Visual) -> dict[str, Any]:
    is_titled = visual.title is not None
    title: dict[str, Any] = {"show": is_titled}
    if is_titled:
        title["text"] = visual.title
    return _formatted({"title": title, "general": {"altText": visual.alt}})


def _formatted(
    objects: Mapping[str, Mapping[str, Any]], selector: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {
        object_name: [
            {"properties": {key: _value(value) for key, value in properties.items()}}
            | ({"selector": selector} if selector else {})
        ]
        for object_name, properties in objects.items()
    }


def _value(value: Field | str | bool | int) -> dict[str, Any]:
    if isinstance(value, Field):
        return {"expr": _field(value)}
    # Numbers of formatting are doubles; those of data, in filters, are whole.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return {"expr": {"Literal": {"Value": f"{value}D" if is_number else literal(value)}}}


def literal(value: str | bool | int) -> str:
    """Return a value as Power BI's expressions write it: 'text', true, 1L."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}L"
    return "'" + value.replace("'", "''") + "'"
