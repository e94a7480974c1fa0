"""What happens: a change of the controls, a newer build or a minute passing draws the screen anew.

One callback draws all of the market view from one pinned build, so that no two of its numbers are
of different ones. What needs no server (theme, address, legend) is in `assets/page.js`.
"""

from datetime import datetime
from typing import Any, Final, Protocol

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, no_update, set_props
from dash.development.base_component import Component

from dashboards.web import chart, gold, text, views
from dashboards.web.changes import Sent, only_changes
from dashboards.web.exchange import ExchangeClock
from dashboards.web.export import candles_csv
from dashboards.web.freshness import Mark, marks_of_price, utc
from dashboards.web.gold import Candles, Gold, Kpi, Market
from dashboards.web.health import Health
from dashboards.web.health_view import PANELS
from dashboards.web.health_view import health as health_panels
from dashboards.web.layout import chart_height
from dashboards.web.ranges import DEFAULT, RANGES
from dashboards.web.theme import Scheme
from ingestion import logs
from ingestion.clock import Clock
from ingestion.errors import TapehouseError

_OUTPUTS: Final = {
    "link": Output("link", "data", allow_duplicate=True),
    "problem": Output("problem", "children"),
    "shown": Output("shown", "data-shown-build"),
    "symbols": Output("symbol", "data"),
    "symbol": Output("symbol", "value"),
    "kpis": Output("kpis", "children"),
    "title": Output("chart-title", "children"),
    "legend": Output("legend", "children"),
    "studies": Output("studies-note", "children"),
    "frame": Output("chart-frame", "className"),
    "charted": Output("chart-frame", "data-symbol"),
    "interval": Output("chart-frame", "data-interval"),
    "simulated": Output("chart-frame", "data-simulated"),
    "label": Output("chart-frame", "aria-label"),
    "height": Output("chart-frame", "style"),
    "series": Output("chart", "series"),
    "panes": Output("chart", "paneOptions"),
    "options": Output("chart", "chartOptions"),
    "fit": Output("chart", "timeScaleAction"),
    "tiles": Output("tiles", "children"),
    "tiles_of": Output("tiles-of", "children"),
    "breadth": Output("breadth", "children"),
    "breadth_of": Output("breadth-of", "children"),
    "movers": Output("movers", "rowData"),
    "movers_of": Output("movers-of", "children"),
    "volatility": Output("volatility", "children"),
    "volatility_of": Output("volatility-of", "children"),
    "anomalies": Output("anomalies", "children"),
    "anomalies_of": Output("anomalies-of", "children"),
    "sent": Output("sent", "data"),
}
# What is drawn anew only where it has changed; the chart is kept by its own component.
_PARTS: Final = (
    "kpis", "title", "legend", "tiles", "tiles_of", "breadth", "breadth_of", "movers", "movers_of",
    "volatility", "volatility_of", "anomalies", "anomalies_of",
)  # fmt: skip
_HEALTH: Final = {
    "level": Output("health-level", "children"),
    "checked": Output("health-checked", "children"),
    **{name: Output(f"health-{name}", "children") for name in PANELS},
    "sent": Output("health-sent", "data"),
}
Drawn = dict[str, Any]


class ReadsHealth(Protocol):
    """What knows the health of the data: `dashboards.web.health.HealthReader` does."""

    def read(self) -> Health: ...


def register(
    app: Dash, source: Gold, health: ReadsHealth, exchange: ExchangeClock, clock: Clock
) -> None:
    """Add every callback to an application; `clock`: by which prices age."""
    _register_browser(app)

    @app.callback(
        _OUTPUTS,
        inputs={
            "link": Input("link", "data"),
            "symbol": Input("symbol", "value"),
            "wanted": Input("range", "value"),
            "style": Input("style", "value"),
            "studies": Input("studies", "value"),
            "scheme": Input("scheme", "data"),
            "_published": Input("published", "data"),
            "_minutes": Input("refresh", "n_intervals"),
        },
        state={"sent": State("sent", "data")},
        prevent_initial_call=True,
    )
    def draw(
        link: dict[str, str | None] | None,
        symbol: str | None,
        wanted: str,
        style: str,
        studies: list[str],
        scheme: str | None,
        sent: Sent | None,
        **_causes: object,
    ) -> Drawn:
        if link is None or scheme is None:
            return _unchanged()  # the address is not read yet
        asked = _asked(symbol, link)
        kept = {"link": {"symbol": asked}}
        try:
            market = gold.market(source, asked, _range(wanted), exchange)
        except TapehouseError as error:
            return _unchanged() | kept | {"problem": problem(str(error))}
        scheme = _scheme(scheme)
        now = clock.now()
        drawn = screen(market, asked, _range(wanted), style, studies, scheme, exchange, now)
        return kept | only_changes(drawn, _PARTS, sent)

    @app.callback(
        Output("csv-file", "data"),
        Input("csv", "n_clicks"),
        State("link", "data"),
        State("symbol", "value"),
        State("range", "value"),
        prevent_initial_call=True,
    )
    def export(
        _clicks: int, link: dict[str, str | None] | None, symbol: str | None, wanted: str
    ) -> Any:  # noqa: ANN401
        if link is None:
            return no_update  # the address is not read yet
        market = gold.market(source, _asked(symbol, link), _range(wanted), exchange)
        if market.shown is None or market.candles is None:
            return no_update
        name = f"{market.shown.symbol}-{wanted}-{market.candles.interval}.csv"
        return dcc.send_string(candles_csv(market, exchange.zone), name)

    @app.callback(
        _HEALTH,
        inputs={
            "view": Input("view", "value"),
            "_minutes": Input("health-refresh", "n_intervals"),
        },
        state={"sent": State("health-sent", "data")},
    )
    def show_health(view: str, sent: Sent | None, **_causes: object) -> Drawn:
        if view != "health":
            return dict.fromkeys(_HEALTH, no_update)
        return only_changes(health_panels(health.read()), ("level", *PANELS), sent)


def _register_browser(app: Dash) -> None:
    """Name the functions of assets/page.js that answer in the browser."""
    app.clientside_callback(
        ClientsideFunction("tapehouse", "follow_link"),
        Output("link", "data"),
        Output("symbol", "value", allow_duplicate=True),
        Output("range", "value"),
        Output("view", "value"),
        Input("url", "search"),
        prevent_initial_call="initial_duplicate",
    )
    app.clientside_callback(
        ClientsideFunction("tapehouse", "write_link"),
        Output("linked", "data"),
        Input("symbol", "value"),
        Input("range", "value"),
        Input("view", "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("tapehouse", "show_view"),
        Output("view-market", "hidden"),
        Output("view-health", "hidden"),
        Input("view", "value"),
    )
    app.clientside_callback(
        ClientsideFunction("tapehouse", "change_theme"),
        Output("scheme", "data"),
        Output("mantine", "forceColorScheme"),
        Input("theme", "n_clicks"),
    )
    app.clientside_callback(
        ClientsideFunction("tapehouse", "point_at"),
        Output("linked", "data", allow_duplicate=True),
        Input("chart", "crosshair"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("tapehouse", "go_live"),
        Output("linked", "data", allow_duplicate=True),
        Input("live", "checked"),
        Input("symbol", "value"),
        Input("chart", "series"),
        State("chart-frame", "data-symbol"),
        State("chart-frame", "data-interval"),
        State("chart-frame", "data-simulated"),
        prevent_initial_call=True,
    )


def screen(
    market: Market,
    asked: str | None,
    wanted: str,
    style: str,
    studies: list[str],
    scheme: Scheme,
    exchange: ExchangeClock,
    now: datetime,
) -> Drawn:
    """Return every output of the market view for one reading of gold."""
    shown = market.shown
    overview = market.overview
    drawn: Drawn = {
        "problem": [],
        "shown": market.build_id,
        "symbols": [
            {"value": one.symbol, "label": f"{one.symbol} (simulated)" if one.simulated
             else one.symbol}
            for one in market.instruments
        ],
        "symbol": no_update if shown is None or asked is not None else shown.symbol,
        "tiles": views.treemap(overview.tiles),
        "tiles_of": views.session_of(overview.tiles),
        "breadth": views.breadth(overview.breadth),
        "breadth_of": views.session_of(overview.breadth),
        "movers": views.mover_rows(overview.movers),
        "movers_of": views.session_of(overview.movers),
        "volatility": views.volatility(overview.volatility),
        "volatility_of": views.session_of(overview.volatility),
        "anomalies": views.anomalies(overview.anomalies, exchange.zone),
        "anomalies_of": [],
    }  # fmt: skip
    if shown is None:
        why = "gold has no prices yet" if asked is None else f"gold has no price of {asked}"
        drawn["kpis"] = [views.note("Nothing to show", f"Build {market.build_id}: {why}.")]
        return drawn | _no_chart("")
    drawn["kpis"] = views.kpi_strip(shown, _marks(shown, exchange, now), exchange.zone)
    if market.candles is None or not market.candles.bars:
        return drawn | _no_chart(f"Gold has no candles of {shown.symbol} for {wanted}.")
    return drawn | _chart(market.candles, shown, wanted, style, studies, scheme, exchange)


def problem(message: str) -> list[Component]:
    """Return the notice above the page that something could not be read."""
    return [views.note("Gold cannot be read", f"{message}; a first build comes from `make demo`.")]


def _chart(
    candles: Candles,
    kpi: Kpi,
    wanted: str,
    style: str,
    studies: list[str],
    scheme: Scheme,
    exchange: ExchangeClock,
) -> Drawn:
    drawn = chart.props(candles, style, studies, scheme, exchange.zone)
    missing = [chart.STUDIES[one] for one in studies if one in chart.DAILY_ONLY]
    return {
        "title": views.chart_title(candles, kpi, exchange),
        "legend": views.legend(candles),
        "studies": f"Of daily bars only, from 1W on: {', '.join(missing)}."
        if missing and candles.is_intraday
        else "",
        "frame": "chart hatched" if candles.simulated else "chart",
        "charted": kpi.symbol,
        "interval": candles.interval,
        "simulated": "yes" if candles.simulated else "",
        "label": f"{kpi.symbol}, {wanted}: {candles.interval} candles and volume,"
        f" last {text.price(candles.bars[-1].close)}",
        "height": chart_height(len(drawn["paneOptions"])),
        "series": drawn["series"],
        "panes": drawn["paneOptions"],
        "options": drawn["chartOptions"],
        # The same range of the same symbol stays where the reader has put it.
        "fit": {"action": "fitContent", "nonce": f"{kpi.symbol} {wanted} {len(studies)}"},
    }


def _marks(kpi: Kpi, exchange: ExchangeClock, now: datetime) -> list[Mark]:
    price_at = utc(kpi.price_at)
    return marks_of_price(now, exchange, kpi.price_kind, kpi.source, kpi.simulated, price_at)


def _no_chart(why: str) -> Drawn:
    drawn: Drawn = {"title": [], "legend": views.note("No candles", why) if why else ""}
    drawn |= {"studies": "", "frame": "chart", "height": chart_height(2), "series": []}
    drawn |= {"charted": "", "interval": "", "simulated": "", "label": "No candles"}
    return drawn | {"panes": [], "options": no_update, "fit": no_update}


def _unchanged() -> Drawn:
    return dict.fromkeys(_OUTPUTS, no_update)


def _asked(symbol: str | None, link: dict[str, str | None]) -> str | None:
    # The picker drops a symbol that gold does not have, or no longer: what was asked for last is in
    # the link, and the reader is to be told of it.
    return symbol or link["symbol"]


def _range(wanted: str) -> str:
    # The address is anybody's to write.
    return wanted if wanted in RANGES else DEFAULT


def _scheme(scheme: str) -> Scheme:
    return "dark" if scheme == "dark" else "light"


def tell_of_failure(error: Exception) -> None:
    """Show what no callback expected above the page, where it is seen, and write it to the log."""
    logs.get("page").error("callback_failed", exc_info=error)
    first_line = str(error).partition("\n")[0]
    set_props("problem", {"children": problem(f"{type(error).__name__}: {first_line}")})
