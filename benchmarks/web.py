"""Times the market page: 10,000 candles beside plain Plotly, and 20 readers during publishes.

Both charts are Dash pages of this process with the same candles, in one browser, in turn. First
paint is from the beginning of the navigation to the first frame in which the chart's canvas
(ours) or its candles (Plotly) are there and not empty.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import duckdb
import typer
from a2wsgi import WSGIMiddleware
from dash import Dash, dcc, html
from dash_tvlwc import Tvlwc
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.table import Table

from benchmarks.stack import machine
from dashboards.web import chart, gold
from dashboards.web.gold import Candle, Candles
from dashboards.web.pictures import serving
from dbt_stocks.files import CURRENT
from dbt_stocks.reader import GoldReader
from infra.setup import browser as chromium
from ingestion.cli import write_report
from ingestion.errors import StackError, TapehouseError
from ingestion.settings import ProjectSettings, WarehouseSettings

ZONE: Final = ZoneInfo("America/New_York")
CANDLES: Final = 10_000
READERS: Final = 20
_RANGES: Final = ("1D", "1M", "1Y", "MAX")
# Nothing between two publishes but this: as often as no platform publishes.
_PUBLISH_EVERY_S: Final = 0.5

# Ours paints on canvases, Plotly makes an element for each candle.
_OURS: Final = """() => [...document.querySelectorAll('#chart-frame canvas')].some(one =>
  one.width > 300
  && one.getContext('2d').getImageData(0, 0, one.width, one.height).data.some(v => v))"""
_PLOTLY: Final = "() => document.querySelectorAll('.boxlayer path.box').length > 100"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Row = dict[str, Any]


@app.command()
def main(
    runs: Annotated[int, typer.Option(min=1, help="How many first paints of each chart.")] = 5,
    seconds: Annotated[float, typer.Option(min=1, help="How long the readers read.")] = 30.0,
) -> None:
    """Time first paints in turn, then read a published gold during publishes; print and write."""
    path = ProjectSettings.load().state("bench", "web.json")
    try:
        rows = [*_paints(runs), _reading(WarehouseSettings.load().published(), seconds)]
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    write_report(path, {"machine": machine(), "rows": rows})
    _show(rows, path)
    if rows[-1]["failed"]:
        raise typer.Exit(1)


def _paints(runs: int) -> list[Row]:
    bars = _bars()
    pages = {"market page's chart": (_ours(bars), _OURS), "plain Plotly": (_plotly(bars), _PLOTLY)}
    times: dict[str, list[float]] = {name: [] for name in pages}
    with _browser() as browser:
        for _ in range(runs):
            for name, (page, drawn) in pages.items():
                with serving(WSGIMiddleware(page.server)) as url:  # type: ignore[arg-type]
                    times[name].append(_first_paint(browser, url, drawn))
    ours, plotly = (statistics.median(found) for found in times.values())
    rows: list[Row] = [
        {"what": f"first paint of {CANDLES:,} candles, {name}", "seconds": found}
        for name, found in times.items()
    ]
    return [*rows, {"what": "plain Plotly takes so many times as long", "ratio": plotly / ours}]


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


@contextmanager
def _browser() -> Iterator[Browser]:
    executable = chromium.find()
    if executable is None:
        raise StackError("expected Chromium, found none: apt install chromium, or set CHROME_BIN")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


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


@dataclass
class _Reads:
    """What readers did: seconds of each screen, errors, builds seen, and screens of two builds."""

    seconds: list[float]
    failed: list[str]
    builds: set[str]


def _reading(published: Path, seconds: float) -> Row:
    """Read screens from a copy of published gold, which is published again and again meanwhile."""
    reads = _Reads([], [], set())
    with tempfile.TemporaryDirectory(prefix="tapehouse-bench-") as name:
        folder = Path(name)
        source = published / CURRENT
        if not source.is_file():
            raise StackError(f"expected published gold in {published}, found none: run `make demo`")
        _publish(source, folder, 0)
        stop = threading.Event()
        with GoldReader(folder) as reader, ThreadPoolExecutor(READERS + 1) as pool:
            symbols = [one.symbol for one in gold.market(reader, None, "1D", ZONE).instruments]
            for number in range(READERS):
                pool.submit(_read, reader, symbols, number, reads, stop)
            publishes = pool.submit(_publish_often, source, folder, stop)
            time.sleep(seconds)
            stop.set()
            n_publishes = publishes.result()
    return {
        "what": f"{READERS} readers for {seconds:.0f} s during {n_publishes} publishes",
        "screens": len(reads.seconds),
        "median_s": statistics.median(reads.seconds),
        "p95_s": statistics.quantiles(reads.seconds, n=20)[-1],
        "builds_seen": len(reads.builds),
        "failed": len(reads.failed),
        "errors": reads.failed[:5],
    }


def _read(
    reader: GoldReader, symbols: list[str], number: int, reads: _Reads, stop: threading.Event
) -> None:
    turn = number
    while not stop.is_set():
        began = time.monotonic()
        try:
            market = gold.market(
                reader, symbols[turn % len(symbols)], _RANGES[turn % len(_RANGES)], ZONE
            )
        except Exception as error:  # every failure counts, and is reported
            reads.failed.append(f"{type(error).__name__}: {error}")
        else:
            reads.seconds.append(time.monotonic() - began)
            reads.builds.add(market.build_id)
        turn += 1


def _publish_often(source: Path, folder: Path, stop: threading.Event) -> int:
    number = 0
    while not stop.wait(_PUBLISH_EVERY_S):
        number += 1
        _publish(source, folder, number)
    return number


def _publish(source: Path, folder: Path, number: int) -> None:
    """Publish a copy as dbt_stocks does: a file, the link swapped, the file before removed."""
    before = (folder / CURRENT).resolve() if number else None
    path = folder / f"gold-{number:05}.duckdb"
    path.write_bytes(source.read_bytes())
    with duckdb.connect(path) as db:
        db.execute("update ops.builds set build_id = ?", [f"build-{number:05}"])
    link = folder / "next"
    link.symlink_to(path.name)
    link.replace(folder / CURRENT)
    if before is not None:
        before.unlink()


def _show(rows: list[Row], path: Path) -> None:
    table = Table("what", "median", "all runs")
    for row in rows:
        if "seconds" in row:
            runs = ", ".join(f"{one:.2f}" for one in row["seconds"])
            table.add_row(row["what"], f"{statistics.median(row['seconds']):.2f} s", runs)
        elif "ratio" in row:
            table.add_row(row["what"], f"{row['ratio']:.1f}", "")
        else:
            known = (
                f"{row['screens']:,} screens, {row['builds_seen']} builds, p95 {row['p95_s']:.2f} s"
            )
            table.add_row(
                row["what"], f"{row['median_s']:.2f} s", f"{known}, {row['failed']} failed"
            )
    console = Console()
    console.print(table)
    console.print(str(path))


if __name__ == "__main__":
    app()
