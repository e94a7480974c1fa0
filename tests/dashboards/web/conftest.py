"""The page's server on a small gold, and a browser that can reach nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

from dashboards.web.feed import Feed, Status
from dashboards.web.health import HealthReader
from dashboards.web.pictures import serving
from dashboards.web.server import create_server
from dashboards.web.tape import Seen
from dbt_stocks.reader import GoldReader
from infra.setup import browser as chromium
from infra.setup.console import Console
from ingestion import calendar
from ingestion.clock import Clock, SystemClock
from ingestion.settings import KafkaSettings
from tests.dashboards.web import small_gold

# Machines that test are busy ones.
expect.set_options(timeout=60_000)
_CLOCK: Final = SystemClock()


@pytest.fixture(scope="session")
def gold_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published file; its folder is nobody's to publish into."""
    return small_gold.publish(tmp_path_factory.mktemp("gold"), "b1")


@pytest.fixture(scope="session")
def reader(gold_file: Path) -> Iterator[GoldReader]:
    with GoldReader(gold_file.parent) as opened:
        yield opened


@dataclass(frozen=True)
class Site:
    """A running page; `gold` is the folder that it reads."""

    url: str
    gold: Path


class PlayedFeed(Feed):
    """A feed without Kafka: a test says what it tells of every symbol."""

    def __init__(self) -> None:
        super().__init__(KafkaSettings(), calendar.get(), SystemClock())
        self._status = Status("live")
        self._told: dict[str, Any] = {}
        self._version = 0

    def start(self) -> None:
        """Do nothing: no Kafka is asked."""

    def fall(self, why: str) -> None:
        """Say that Kafka is not read."""
        self._tell(Status("down", why))

    def rise(self) -> None:
        """Say that it is again."""
        self._tell(Status("live"))

    def tell(self, **told: Any) -> None:
        """Have every client told something new."""
        self._told = told
        self._version += 1

    def since(self, symbol: str, seen: Seen) -> tuple[dict[str, Any], Seen] | None:
        if self._version <= seen.version:
            return None
        return {"symbol": symbol, **self._told}, Seen(self._version, self._version)


@contextmanager
def serve(gold: Path, feed: Feed | None = None, clock: Clock = _CLOCK) -> Iterator[Site]:
    """Serve the page of a folder; no Kafka."""
    exchange = calendar.get()
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with GoldReader(gold) as reader:
        health = HealthReader(reader, gold / "verdict.json", kafka, exchange)
        live = feed or Feed(kafka, exchange, clock)
        with serving(create_server(reader, health, live, exchange, clock)) as url:
            yield Site(url, gold)


@pytest.fixture(scope="module")
def site(gold_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / gold_file.name).hardlink_to(gold_file)
    (folder / "current").symlink_to(gold_file.name)
    with serve(folder) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    executable = chromium.ensure(Console(total=1), tmp_path_factory.mktemp("browser") / "log")
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
    found.page.set_default_timeout(90_000)
    found.watch(site.url)
    yield found
    context.close()
    assert found.strangers == []
    assert found.troubles == []
