"""From a trade's produce to the screen of a browser: `dashboards.web.feed` under a steady rate.

A Kafka, the feed behind its WebSocket, a headless Chromium that shows one symbol and plain
WebSocket clients that show others, each in processes of their own, on the same cores.
"""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import psutil
import typer
import uvicorn
import websockets
from confluent_kafka import Producer
from playwright.sync_api import Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from rich.console import Console
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse
from starlette.routing import Route

from benchmarks import stack
from dashboards.web import feed as live
from infra.setup import browser
from ingestion import calendar
from ingestion.cli import write_report
from ingestion.clock import SystemClock, rfc3339
from ingestion.contracts import envelope
from ingestion.contracts.identity import trade_id
from ingestion.contracts.records import TradeData, TradeMessage
from ingestion.contracts.topics import REALTIME
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT, KafkaSettings, ProjectSettings
from pipeline.screen import Screen

SYMBOLS: Final = ("AAPL", "AMZN", "FB", "GOOG", "IBM", "INTC", "JPM", "MSFT", "NVDA", "V")
SHOWN: Final = SYMBOLS[0]
# The first seconds: connections, and Chromium's compiler.
WARM_UP_S: Final = 5
_STEP_S: Final = 0.01
_WAIT_S: Final = 30.0
# Any session: the feed, like the lake, takes no trade of a day on which the exchange is closed.
_SESSION: Final = date(2013, 2, 28)
_JS: Final = ROOT / "dashboards/web/assets/live.js"
# A trade is on the screen in the first frame after the price of it, or of a later one, was set.
_PAGE: Final = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<p id="price"></p><p data-live></p><script src="live.js"></script><script>
const seen = [];
document.addEventListener("tapehouse:trade", ({ detail }) => {
  if (!detail.last) return;
  document.getElementById("price").textContent = detail.last.price;
  requestAnimationFrame(() => seen.push([detail.last.event_ms, Date.now()]));
});
window.tapehouse.live.open("%s");
</script>"""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass
class Sent:
    """Trades of the shown symbol: event time to the moment of produce, both in ms."""

    moments: dict[int, int] = field(default_factory=dict)
    records: int = 0
    seconds: float = 0.0


@app.callback(invoke_without_command=True)
def main(
    context: typer.Context,
    rate: Annotated[int, typer.Option(min=100, help="Trades a second.")] = 1_000,
    seconds: Annotated[int, typer.Option(min=10, help="How long.")] = 60,
    clients: Annotated[int, typer.Option(min=0, help="WebSocket clients beside it.")] = 19,
) -> None:
    """Send trades and time them to a browser's screen; print the shares and write them."""
    if context.invoked_subcommand is not None:
        return
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        with stack.temporary("kafka") as (home, environment), stack.in_force(environment):
            row = _measured(home, rate, seconds, clients)
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    path = ProjectSettings.load().state("bench", "live.json")
    write_report(path, {"machine": stack.machine(), "rows": [row]})
    screen = Screen(console, 0)
    screen.table("Trade to screen, headless Chromium", [row])
    screen.line(f"written to {path}")


@app.command(hidden=True)
def serve(port: int) -> None:
    """Serve the feed and a page that shows one symbol, until it is ended."""
    feed = live.Feed(KafkaSettings.load(), calendar.get(), SystemClock())

    async def page(_: Request) -> HTMLResponse:
        return HTMLResponse(_PAGE % SHOWN)

    async def script(_: Request) -> FileResponse:
        return FileResponse(_JS)

    async def status(_: Request) -> JSONResponse:
        return JSONResponse(feed.status._asdict())

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        feed.start()
        yield
        await asyncio.to_thread(feed.stop)

    routes = [
        Route("/", page),
        Route("/live.js", script),
        Route("/status", status),
        *live.routes(feed),
    ]
    uvicorn.run(Starlette(routes=routes, lifespan=lifespan), port=port, log_level="warning")


def _measured(home: Path, rate: int, seconds: int, clients: int) -> dict[str, Any]:
    program = browser.find()
    if program is None:
        raise TapehouseError(f"expected Chromium, found none: apt install {browser.PACKAGE}")
    with _serving(home) as (port, process), _clients(port, clients), sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("[data-live][data-state=live]", timeout=_WAIT_S * 1000)
        before = _cpu_s(process)
        sent = _send(rate, seconds)
        busy = (_cpu_s(process) - before) / sent.seconds
        seen = _seen(page, max(sent.moments))
        chromium.close()
    waits = sorted(_waits(sent, seen))
    return {
        "rate_asked": rate,
        "rate": round(sent.records / sent.seconds),
        "seconds": seconds,
        "clients": clients + 1,
        "trades": len(waits),
        "pushes": len(seen),
        "p50_s": _share(waits, 0.5),
        "p95_s": _share(waits, 0.95),
        "p99_s": _share(waits, 0.99),
        "max_s": waits[-1],
        "server_cores": round(busy, 2),
        "server_mib": round(process.memory_info().rss / 2**20) if process.is_running() else None,
    }


def _seen(page: Page, newest: int) -> list[tuple[int, int]]:
    """Return what was painted: event time and moment in ms, up to the last trade."""
    try:
        page.wait_for_function(f"seen.some(one => one[0] >= {newest})", timeout=_WAIT_S * 1000)
    except PlaywrightTimeout:
        told = page.evaluate("[seen.length, document.querySelector('[data-live]').textContent]")
        raise TapehouseError(f"the last trade is not on the screen, which shows {told}") from None
    found: list[tuple[int, int]] = page.evaluate("seen")
    return found


@contextmanager
def _serving(home: Path) -> Iterator[tuple[int, psutil.Process]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.live_feed", "serve", str(port)]
    log = home / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output)
    try:
        _wait_until_live(port, log)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait_until_live(port: int, log: Path) -> None:
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/status").json()["state"] == "live":
                return
        except httpx.TransportError:
            pass  # not listening yet; the deadline tells if it never is
        time.sleep(0.2)
    raise TapehouseError(f"the feed is not live after {_WAIT_S:.0f} s: {log.read_text()[-500:]}")


@contextmanager
def _clients(port: int, count: int) -> Iterator[None]:
    """Have so many clients read, in a thread; one that is dropped is an error."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(asyncio.run, _drain_all(port, count, stop))
        try:
            yield
        finally:
            stop.set()
        reading.result()


async def _drain_all(port: int, count: int, stop: threading.Event) -> None:
    symbols = (SYMBOLS[number % len(SYMBOLS)] for number in range(count))
    tasks = [asyncio.create_task(_drain(port, symbol)) for symbol in symbols]
    while not stop.is_set():
        await asyncio.sleep(0.1)
    dropped = sum(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if dropped:
        raise TapehouseError(f"{dropped} of {count} clients were dropped")


async def _drain(port: int, symbol: str) -> None:
    address = f"ws://127.0.0.1:{port}/live?symbol={symbol}"
    async with websockets.connect(address, ping_interval=None) as client:
        async for _ in client:
            pass


def _send(rate: int, seconds: int) -> Sent:
    """Send trades of all symbols in turn, as steadily as the clock allows."""
    producer = Producer(KafkaSettings.load().client("producer") | {"linger.ms": "5"})
    session = calendar.get().session(_SESSION)
    assert session is not None  # noqa: S101 - it is one
    open_ms = int(session.open_at.timestamp()) * 1000
    sent, began = Sent(), time.monotonic()
    run = f"bench-{time.time_ns()}"
    for number in range(rate * seconds):
        due = began + number / rate
        if (early := due - time.monotonic()) > _STEP_S:
            time.sleep(early)
        us = number * 1_000_000 // rate
        at = session.open_at + timedelta(microseconds=us)
        symbol = SYMBOLS[number % len(SYMBOLS)]
        message = _trade(run, number, symbol, at)
        if symbol == SHOWN and time.monotonic() - began >= WARM_UP_S:
            sent.moments[open_ms + us // 1000] = time.time_ns() // 1_000_000
        producer.produce(REALTIME, envelope.encode(message), symbol.encode())
        producer.poll(0)
    if producer.flush(_WAIT_S):
        raise TapehouseError("Kafka has not confirmed every trade")
    sent.records, sent.seconds = rate * seconds, time.monotonic() - began
    return sent


def _trade(run: str, number: int, symbol: str, at: datetime) -> TradeMessage:
    data = TradeData(
        price=f"{100 + number % 977 / 100:.2f}",
        size=str(1 + number % 500),
        exchange=None,
        conditions=[],
        seq=number,
    )
    return TradeMessage(
        event_id=trade_id("benchmark", run, number),
        source="benchmark",
        simulated=True,
        symbol=symbol,
        event_time=rfc3339(at),
        fetched_at=rfc3339(at),
        run_id=run,
        data=data,
    )


def _waits(sent: Sent, seen: Sequence[tuple[int, int]]) -> Iterator[float]:
    """Yield each trade's seconds to the first frame that showed it or a later one.

    Raises:
        TapehouseError: one was never shown.
    """
    frames = iter(sorted(seen))
    frame = next(frames, None)
    for event_ms, produced_ms in sorted(sent.moments.items()):
        while frame is not None and frame[0] < event_ms:
            frame = next(frames, None)
        if frame is None:
            raise TapehouseError(f"the trade of {event_ms} ms was never shown")
        yield (frame[1] - produced_ms) / 1000


def _share(waits: Sequence[float], share: float) -> float:
    return waits[min(len(waits) - 1, int(len(waits) * share))]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.live_feed")
