"""First paints in one Chromium with an empty cache: our chart, plain Plotly's, and our whole page.

The two charts are Dash pages of this process with the same candles. First paint is from the
beginning of the navigation to the first frame in which the chart's canvas (ours) or its candles
(Plotly) are there and not empty.
"""

import statistics
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final

from a2wsgi import WSGIMiddleware
from dash import Dash, dcc, html
from dash_tvlwc import Tvlwc
from playwright.sync_api import Browser

from benchmarks.web.site import ZONE
from dashboards.web import chart
from dashboards.web.gold import Candle, Candles
from dashboards.web.pictures import serving

CANDLES: Final = 10_000
AIM: Final = 3.0
"""How many times as long plain Plotly is to take."""

# Ours paints on canvases, Plotly makes an element for each candle.
_OURS: Final = """() => [...document.querySelectorAll('#chart-frame canvas')].some(one =>
  one.width > 300
  && one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(v => v))"""
_PLOTLY: Final = "() => document.querySelectorAll('.boxlayer path.box').length > 100"
# The page has an empty chart before gold has answered.
_PAGE: Final = f"""() => document.querySelector('#shown')?.dataset.shownBuild
  && document.querySelectorAll('.tile').length > 0 && ({_OURS})()"""

Row = dict[str, Any]


def rows(browser: Browser, page: str, runs: int) -> list[Row]:
    """Return first paints of both charts and of the page at an address, in turn, in seconds."""
    bars = _bars()
    ours, plotly = _ours(bars), _plotly(bars)
    times: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, app, drawn in (
            (f"{CANDLES:,} candles, market page's chart", ours, _OURS),
            (f"{CANDLES:,} candles, plain Plotly", plotly, _PLOTLY),
        ):
            with _serving(app) as url:
                times.setdefault(name, []).append(_first_paint(browser, url, drawn))
        times.setdefault("the whole market page, MAX", []).append(
            _first_paint(browser, f"{page}/?range=MAX", _PAGE)
        )
    one, other, _ = (statistics.median(found) for found in times.values())
    ratio = other / one
    return [
        *({"what": f"first paint, {name}", "seconds": found} for name, found in times.items()),
        {"what": "plain Plotly takes so many times as long", "ratio": ratio,
         "aim": f"{AIM:g}: {'met' if ratio >= AIM else 'missed'}"},
    ]  # fmt: skip


def _serving(page: Dash) -> AbstractContextManager[str]:
    return serving(WSGIMiddleware(page.server))  # type: ignore[arg-type]


def _bars() -> Candles:
    """Return minutes that wander, without a gap: both charts get the same."""
    start = datetime.fromisoformat("2013-01-02T14:30")
    bars, price = [], 100.0
    for number in range(CANDLES):
        opened, price = price, price * (1 + ((number * 7919) % 101 - 50) / 20_000)
        high, low = max(opened, price) * 1.001, min(opened, price) * 0.999
        at = start + timedelta(minutes=number)
        bars.append(
            Candle(
                "made up", "USD", opened, high, low, price, float(number % 997), 1, 1, True,
                at.date(), at, at + timedelta(minutes=1), {},
            )
        )  # fmt: skip
    return Candles("1m", False, tuple(bars), False)


def _ours(bars: Candles) -> Dash:
    page = Dash("ours", serve_locally=True)
    drawn = chart.props(bars, "candles", [], "light", ZONE)
    page.layout = html.Div(
        Tvlwc(id="chart", width="100%", height="100%", **drawn),
        id="chart-frame",
        style={"height": "400px"},
    )
    return page


def _plotly(bars: Candles) -> Dash:
    page = Dash("plotly", serve_locally=True)
    trace = {
        "type": "candlestick",
        "x": [bar.start_at.isoformat() for bar in bars.bars],
        **{
            name: [getattr(bar, name) for bar in bars.bars]
            for name in ("open", "high", "low", "close")
        },
    }
    figure = {"data": [trace], "layout": {"height": 400}}
    page.layout = html.Div(dcc.Graph(figure=figure))
    return page


def _first_paint(browser: Browser, url: str, drawn: str) -> float:
    """Return seconds in a browser that has nothing in its cache."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(url, wait_until="commit")
    page.wait_for_function(drawn, polling="raf")
    milliseconds: float = page.evaluate("performance.now()")
    context.close()
    return milliseconds / 1000
