"""The page's frame: header, the two views and their empty cards; callbacks fill them."""

from typing import Any, Final

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html
from dash.development.base_component import Component
from dash_tvlwc import Tvlwc

from dashboards.web.chart import STUDIES
from dashboards.web.elements import more
from dashboards.web.health_view import PANELS
from dashboards.web.ranges import DEFAULT, RANGES
from dashboards.web.theme import MANTINE

REFRESH_S: Final = 60
HEALTH_REFRESH_S: Final = 15
_HEADER_PX: Final = 56


def layout() -> Component:
    """Return the page before it has numbers; every visitor gets the same."""
    page: Component = dmc.MantineProvider(
        [*_stores(), _shell()],
        id="mantine",
        theme=MANTINE,
        defaultColorScheme="auto",
    )
    return page


def _stores() -> list[Component]:
    return [
        dcc.Location(id="url", refresh=False),
        dcc.Store(id="link"),  # what the address asked for, until the controls have it
        dcc.Store(id="scheme"),
        dcc.Store(id="published"),  # the build that is published, as the badge has heard
        dcc.Store(id="linked"),
        dcc.Store(id="sent"),  # what is shown, as hashes: see changes.py
        dcc.Store(id="health-sent"),
        dcc.Interval(id="refresh", interval=REFRESH_S * 1000),
        dcc.Interval(id="health-refresh", interval=HEALTH_REFRESH_S * 1000),
        dcc.Download(id="csv-file"),
        html.Div(id="shown", **more({"data-shown-build": ""})),
    ]


def _shell() -> Component:
    shell: Component = dmc.AppShell(
        [
            html.A("Skip to the numbers", href="#content", className="skip"),
            dmc.AppShellHeader(_header(), className="header"),
            dmc.AppShellMain(
                html.Div([html.Div(id="problem", role="alert"), _market(), _health()], id="content")
            ),
        ],
        header={"height": _HEADER_PX},
        padding=0,
    )
    return shell


def _header() -> Component:
    return html.Div(
        [
            html.Span("Tapehouse", className="brand"),
            dmc.Select(
                id="symbol",
                data=[],
                searchable=True,
                allowDeselect=False,
                nothingFoundMessage="No such symbol in gold",
                placeholder="Symbol",
                className="symbol",
                size="sm",
                **more({"aria-label": "Symbol"}),
            ),
            dmc.SegmentedControl(
                id="view",
                data=[
                    {"value": "market", "label": "Market"},
                    {"value": "health", "label": "Data health"},
                ],
                value="market",
                size="sm",
                **more({"aria-label": "View"}),
            ),
            html.Span(className="spring"),
            html.Div(
                [
                    html.Span(className="session", **more({"data-market": ""})),
                    html.Span(className="badge", **more({"data-freshness": ""})),
                ],
                className="state",
            ),
            html.Button(
                "◐",
                id="theme",
                className="plain-button",
                title="Light or dark",
                **more({"aria-label": "Change between light and dark"}),
            ),
        ],
        className="header-row",
    )


def _market() -> Component:
    return html.Div(
        [
            html.Div(id="kpis", className="card kpis"),
            html.Div(
                [
                    _chart_card(),
                    html.Div(
                        [
                            _card("Movers", "movers", _movers(), "grows"),
                            _card("Breadth", "breadth", html.Div(id="breadth")),
                        ],
                        className="column side",
                    ),
                    _card("Market map", "tiles", html.Div(id="tiles", className="fill"), "map"),
                    _card("Volatility, 20 days", "volatility", html.Div(id="volatility"), "vol"),
                    _card("Anomalies", "anomalies", html.Div(id="anomalies"), "anomalous"),
                ],
                className="grid",
            ),
        ],
        id="view-market",
    )


def _card(title: str, name: str, body: Component, kind: str = "") -> Component:
    return html.Section(
        [
            html.Div(
                [html.H2(title), html.Span(id=f"{name}-of", className="of")], className="card-head"
            ),
            body,
        ],
        className=f"card {kind}",
    )


def _chart_card() -> Component:
    return html.Section(
        [
            html.Div(
                [
                    dmc.SegmentedControl(
                        id="range", data=list(RANGES), value=DEFAULT, size="xs",
                        **more({"aria-label": "Range"}),
                    ),
                    dmc.SegmentedControl(
                        id="style",
                        data=[
                            {"value": "candles", "label": "Candles"},
                            {"value": "line", "label": "Line"},
                        ],
                        value="candles",
                        size="xs",
                        **more({"aria-label": "Style of the chart"}),
                    ),
                    dmc.ChipGroup(
                        [
                            dmc.Chip(label, value=name, size="xs", variant="outline")
                            for name, label in STUDIES.items()
                        ],
                        id="studies",
                        multiple=True,
                        value=["ma"],
                    ),
                    html.Span(className="spring"),
                    dmc.Switch(id="live", label="Live", size="sm", checked=False),
                    html.Span(id="live-price", className="live-price"),
                    html.Span(className="live-state", role="status", **more({"data-live": ""})),
                    html.Span(className="live-lag", **more({"data-lag": ""})),
                    html.Button(
                        "CSV", id="csv", className="plain-button", title="The candles as CSV"
                    ),
                ],
                className="controls",
            ),
            html.Div(id="chart-title", className="chart-title"),
            html.Div(id="legend"),
            html.Div(id="studies-note", className="known"),
            html.Div(
                Tvlwc(
                    id="chart", series=[], width="100%", height="100%", subscribeCrosshair=True,
                    reportThrottle=30,
                ),
                id="chart-frame",
                className="chart",
                role="img",
                # For live mode: what is drawn, so that nothing else is put beside it.
                **more({"aria-label": "No candles", "data-symbol": "", "data-interval": "",
                        "data-simulated": ""}),
            ),
        ],
        className="card chart-card",
    )  # fmt: skip


def _movers() -> Component:
    percent = {"function": "d3.format('+.2%')(params.value)"}
    grid: Component = dag.AgGrid(
        id="movers",
        rowData=[],
        columnDefs=[
            {"field": "symbol", "headerName": "Symbol", "flex": 1.1, "cellClass": "strong"},
            {"field": "close", "headerName": "Close", "flex": 1.1,
             "valueFormatter": {"function": "d3.format(',.2f')(params.value)"}},
            {"field": "change", "headerName": "Change", "flex": 1.2, "valueFormatter": percent,
             "cellClassRules": {"up": "params.value > 0", "down": "params.value < 0"}},
            {"field": "volume_ratio", "headerName": "Vol ×", "flex": 0.9,
             "valueFormatter": {"function": "d3.format('.2f')(params.value)"}},
        ],
        defaultColDef={"resizable": False, "sortable": True, "suppressMovable": True,
                       "cellClass": "figure", "headerClass": "figure"},
        dashGridOptions={"rowHeight": 28, "headerHeight": 30, "suppressCellFocus": False,
                         "localeText": {"noRowsToShow": "No mover yet: it takes two sessions"}},
        className="movers",
        style={"height": "100%", "width": "100%"},
        getRowId="params.data.symbol",
    )  # fmt: skip
    return grid


def _health() -> Component:
    head = [html.Span(id="health-level"), html.Span(id="health-checked", className="known")]
    panels = [html.Div(id=f"health-{name}", className="slot") for name in PANELS]
    return html.Div(
        [html.Div(head, className="health-head"), html.Div(panels, className="grid health")],
        id="view-health",
        hidden=True,
    )


def chart_height(panes: int) -> dict[str, Any]:
    """Return the frame's style: each study adds a pane below."""
    return {"height": f"{380 + 90 * max(panes - 2, 0)}px"}
