"""The Dash application. Every asset is local: the page asks no other host for anything."""

from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from dash import Dash

from dashboards.web import callbacks, theme
from dashboards.web.callbacks import ReadsHealth
from dashboards.web.exchange import ExchangeClock
from dashboards.web.gold import Gold
from dashboards.web.layout import layout
from dashboards.web.ranges import RANGES
from ingestion.clock import Clock

_INDEX: Final = """<!DOCTYPE html>
<html lang="en" data-zone="/*zone*/" data-ranges="/*ranges*/">
<head>
{%metas%}
<title>{%title%}</title>
{%favicon%}
<style>/*colours*/</style>
{%css%}
<script>
// Before anything is drawn, or a dark page begins with a white flash.
document.documentElement.dataset.mantineColorScheme =
  localStorage.getItem("mantine-color-scheme-value")
  || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
</script>
</head>
<body>
{%app_entry%}
<footer>{%config%}{%scripts%}{%renderer%}</footer>
</body>
</html>"""


def create_app(gold: Gold, health: ReadsHealth, exchange: ExchangeClock, clock: Clock) -> Dash:
    """Return the application; nothing is read before a browser asks."""
    app = Dash(
        "tapehouse",
        title="Tapehouse",
        update_title="",
        assets_folder=str(Path(__file__).with_name("assets")),
        serve_locally=True,
        index_string=_index(exchange.zone),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        on_error=callbacks.tell_of_failure,
    )
    app.layout = layout
    callbacks.register(app, gold, health, exchange, clock)
    return app


def _index(zone: ZoneInfo) -> str:
    told = {"zone": zone.key, "ranges": " ".join(RANGES), "colours": theme.css()}
    filled = _INDEX
    for name, value in told.items():
        filled = filled.replace(f"/*{name}*/", value)
    return filled
