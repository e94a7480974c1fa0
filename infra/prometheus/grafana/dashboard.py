"""Grafana's dashboard, made of `panels` by Grafana's own builders; the same bytes each time."""

import json
from itertools import count
from pathlib import Path
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.builders import common as builders
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)

from infra.prometheus.grafana.panels import ROWS, Panel

FILE: Final = Path(__file__).parent / "tapehouse.json"
UID: Final = "tapehouse-operations"
# Chosen in Grafana: whatever the Prometheus there is called.
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_HEIGHT: Final = {"state": 4, "number": 4, "lines": 8}


def render() -> str:
    """Return the dashboard's JSON, to be imported or provisioned as a file."""
    builder = (
        dashboard.Dashboard("Tapehouse: operations")
        .uid(UID)
        .description("From the provider to gold; what an alert means: docs/runbooks/alerts.md")
        .tags(["tapehouse"])
        .timezone("utc")
        .refresh("30s")
        .time("now-6h", "now")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
    )
    numbers = count(1)
    for title, panels in ROWS.items():
        builder.with_row(dashboard.Row(title).id(next(numbers)))
        for panel in panels:
            builder.with_panel(_built(panel).id(next(numbers)))
    return json.dumps(builder.build(), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"


def _built(panel: Panel) -> stat.Panel | timeseries.Panel:
    built = _lines() if panel.kind == "lines" else _stat(panel)
    built.title(panel.title).datasource(_SOURCE).unit(panel.unit).span(panel.width)
    built.height(_HEIGHT[panel.kind]).no_value("no data")
    if panel.text:
        built.description(panel.text)
    for name, (expr, legend) in zip(ascii_uppercase, panel.queries, strict=False):
        query = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(name)
        built.with_target(query if panel.kind == "lines" else query.instant())
    return built


def _lines() -> timeseries.Panel:
    legend = (
        builders.VizLegendOptions()
        .show_legend(True)
        .display_mode(common.LegendDisplayMode.LIST)
        .placement(common.LegendPlacement.BOTTOM)
    )
    return timeseries.Panel().legend(legend).fill_opacity(5).line_width(1)


def _stat(panel: Panel) -> stat.Panel:
    steps = [Threshold(value=None, color="green" if panel.red is not None else "text")]
    if panel.red is not None:
        steps.append(Threshold(value=panel.red, color="red"))
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    return (
        stat.Panel()
        .thresholds(thresholds)
        .graph_mode(common.BigValueGraphMode.NONE)
        .color_mode(common.BigValueColorMode.VALUE)
    )
