"""The candles as a Vega-Lite specification, which Deneb draws in Power BI and vl-convert here."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final

# More candles than this cannot be told apart on half a page; the newest are drawn.
NEWEST: Final = 120

# Told apart by colour-blind readers too (Okabe and Ito), on white at least 3 : 1.
COLOURS: Final = {"rising": "#008768", "falling": "#D55E00", "unchanged": "#6B7280"}

# What the specification reads: the dataset's columns, as the page's fields are called.
START: Final = "BAR_START_AT"
FIELDS: Final = (START, "Open", "High", "Low", "Close", "Candle volume", "Forming")

_DIRECTION: Final = (
    'datum.Close > datum.Open ? "rising" : datum.Close < datum.Open ? "falling" : "unchanged"'
)
_TOOLTIP: Final = [
    {"field": START, "type": "temporal", "title": "Start (UTC)", "format": "%Y-%m-%d %H:%M"},
    *(
        {"field": name, "type": "quantitative", "format": ",.2f"}
        for name in ("Open", "High", "Low", "Close")
    ),
    {"field": "Candle volume", "type": "quantitative", "title": "Volume", "format": ",d"},
    {"field": "state", "type": "nominal", "title": "Candle"},
]
_SCALE: Final = {"domain": list(COLOURS), "range": list(COLOURS.values())}

# The axis of time is ordinal: nights, weekends and holidays take no room. A candle whose bar is
# missing takes none either, so the tooltip and the axis say which moment a candle is of.
SPEC: Final[Mapping[str, Any]] = {
    "data": {"name": "dataset"},
    "width": "container",
    "height": "container",
    "transform": [
        {
            "window": [{"op": "row_number", "as": "newest"}],
            "sort": [{"field": START, "order": "descending"}],
        },
        {"filter": f"datum.newest <= {NEWEST}"},
        {"calculate": _DIRECTION, "as": "direction"},
        {"calculate": 'datum.Forming > 0 ? "forming" : "finished"', "as": "state"},
    ],
    "encoding": {
        "x": {
            "field": START,
            "type": "ordinal",
            "axis": {
                "title": None,
                "labelExpr": 'timeFormat(toDate(datum.value), "%d %b %Y")',
                "labelAngle": 0,
                "labelOverlap": "greedy",
                "labelSeparation": 16,
                "offset": 8,
                "ticks": False,
            },
        },
        "color": {
            "field": "direction",
            "type": "nominal",
            "scale": _SCALE,
            "legend": {"title": None, "orient": "top"},
        },
        "tooltip": _TOOLTIP,
    },
    "layer": [
        {
            "mark": {"type": "rule"},
            "encoding": {
                "y": {
                    "field": "Low",
                    "type": "quantitative",
                    "scale": {"zero": False},
                    "axis": {"title": None, "orient": "right", "format": ",.2f", "ticks": False},
                },
                "y2": {"field": "High"},
            },
        },
        {
            # The outline shows a candle that ends where it began, whose body has no height.
            "mark": {"type": "bar", "width": {"band": 0.7}, "strokeWidth": 1},
            "encoding": {
                "y": {"field": "Open", "type": "quantitative"},
                "y2": {"field": "Close"},
                "stroke": {
                    "field": "direction",
                    "type": "nominal",
                    "scale": _SCALE,
                    "legend": None,
                },
                "fillOpacity": {
                    "condition": {"test": "datum.Forming > 0", "value": 0.25},
                    "value": 1,
                },
            },
        },
    ],
}

CONFIG: Final[Mapping[str, Any]] = {
    "font": "Segoe UI, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridColor": "#E5E7EB", "domain": False, "labelColor": "#4B5563", "labelFontSize": 11},
    "legend": {"labelColor": "#374151", "labelFontSize": 11, "symbolType": "square"},
}


def standalone(rows: Sequence[Mapping[str, Any]], width: int, height: int) -> dict[str, Any]:
    """Return the specification with its data and a size in pixels, for a renderer without Power BI.

    A row has ``FIELDS``; its start in milliseconds since 1970, and read as the Date that Power BI
    gives.
    """
    spec = copy.deepcopy(dict(SPEC))
    data = {"name": "dataset", "format": {"parse": {START: "date"}}}
    sized = {"data": data, "width": width, "height": height, "config": dict(CONFIG)}
    return spec | sized | {"datasets": {"dataset": list(rows)}}
