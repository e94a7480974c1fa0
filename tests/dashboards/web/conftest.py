"""The page's server on a small gold, and a browser that can reach nothing else."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

from dashboards.web.feed import Feed
from dashboards.web.health import HealthReader
from dashboards.web.server import create_server
from dbt_stocks.reader import GoldReader
from infra.setup import browser as chromium
from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.settings import KafkaSettings
from tests.dashboards.web import small_gold


@pytest.fixture(scope="session")
def gold_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published file; its folder is nobody's to publish into."""
    return small_gold.publish(tmp_path_factory.mktemp("gold"), "b1")


@pytest.fixture(scope="session")
def reader(gold_file: Path) -> Iterator[GoldReader]:
    with GoldReader(gold_file.parent) as opened:
        yield opened


@dataclass
class Site:
    """A running page; `gold` is the folder that it reads."""

    url: str
    gold: Path
    _server: uvicorn.Server = field(repr=False)
    _thread: threading.Thread = field(repr=False)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


def serve(gold: Path) -> Site:
    """Serve the page of a folder on a free port, in a thread."""
    clock, exchange = SystemClock(), calendar.get()
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    reader = GoldReader(gold)
    health = HealthReader(reader, gold / "verdict.json", kafka)
    app = create_server(reader, health, Feed(kafka, exchange, clock), exchange, clock)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < until, "the server has not started"
        time.sleep(0.02)
    return Site(f"http://127.0.0.1:{listener.getsockname()[1]}", gold, server, thread)


@pytest.fixture(scope="module")
def site(gold_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / gold_file.name).hardlink_to(gold_file)
    (folder / "current").symlink_to(gold_file.name)
    running = serve(folder)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium.find()
    if executable is None:
        pytest.skip("no Chromium: apt install chromium, or CHROME_BIN")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, "
                  "EXCLUDE 127.0.0.1"],
        )  # fmt: skip
        yield found
        found.close()


@dataclass
class Watched:
    """A page, what it asked of other hosts, and what went wrong in it."""

    page: Page
    strangers: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def watch(self, url: str) -> None:
        def guard(route: Route) -> None:
            if route.request.url.startswith((f"{url}/", "data:", "blob:")):
                route.continue_()
            else:
                self.strangers.append(route.request.url)
                route.abort()

        self.page.route("**/*", guard)
        self.page.on("websocket", lambda one: self._socket(one.url, url))
        self.page.on("pageerror", lambda error: self.troubles.append(error.stack or str(error)))
        self.page.on("console", self._hear)

    def _socket(self, asked: str, url: str) -> None:
        if not asked.startswith(f"{url.replace('http', 'ws', 1)}/"):
            self.strangers.append(asked)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.type}: {message.text}")


@pytest.fixture
def watched(browser: Browser, site: Site) -> Iterator[Watched]:
    """A page that fails its test where it asks another host, or has an error or a warning."""
    kept: dict[str, Any] = {
        "viewport": {"width": 1440, "height": 900}, "color_scheme": "light", "locale": "en-US",
        # Neither UTC nor the exchange's: times must not be the reader's.
        "timezone_id": "Asia/Tokyo", "reduced_motion": "reduce",
    }  # fmt: skip
    context = browser.new_context(**kept)
    found = Watched(context.new_page())
    found.page.set_default_timeout(20_000)
    found.watch(site.url)
    yield found
    context.close()
    assert found.strangers == []
    assert found.troubles == []
