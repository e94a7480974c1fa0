"""``python -m dashboards.web.pictures FOLDER``: the page's pictures, of this checkout's gold.

Playwright is a dependency of development: the page itself needs none of this.
"""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
import uvicorn
from playwright.sync_api import Browser, sync_playwright
from starlette.types import ASGIApp

from dashboards.web.__main__ import opened, site
from infra.setup import browser as chromium
from ingestion.errors import StackError, TapehouseError

# Name, what follows the address, scheme, and what is in the page once it is drawn.
PICTURES: Final = (
    ("dashboard-light", "?symbol=AAPL&range=1Y", "light", "[data-kpi]"),
    ("dashboard-dark", "?symbol=GOOG&range=1D", "dark", "[data-kpi]"),
    ("dashboard-health", "?symbol=AAPL&view=health", "light", ".health-head .level"),
)
_SIZE: Final = {"width": 1440, "height": 900}
_START_S: Final = 60.0
# The chart draws in frames of its own after its data have come.
_SETTLE_MS: Final = 2500

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folder: Annotated[Path, typer.Argument(help="Where the pictures go.")],
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Take the page's pictures, and fail where it is without gold."""
    try:
        with opened("duckdb") as gold, serving(site(gold)) as url:
            take(url, folder)
    except TapehouseError as error:
        if debug:
            raise
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)


@contextmanager
def serving(server: ASGIApp) -> Iterator[str]:
    """Serve an application on a free port of this machine; yield its address.

    Raises:
        StackError: it has not started in a minute.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(server, log_level="error", timeout_graceful_shutdown=1)
        running = uvicorn.Server(config)
        thread = threading.Thread(
            target=running.run, kwargs={"sockets": [listener]}, name="page", daemon=True
        )
        thread.start()
        try:
            _wait(running)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join()


def _wait(running: uvicorn.Server) -> None:
    until = time.monotonic() + _START_S
    while not running.started:
        if time.monotonic() > until:
            raise StackError(f"expected the page's server within {_START_S:.0f} s, found none")
        time.sleep(0.05)


@contextmanager
def browser() -> Iterator[Browser]:
    """Open a headless Chromium.

    Raises:
        StackError: there is none.
    """
    executable = chromium.find()
    if executable is None:
        raise StackError("expected Chromium, found none: apt install chromium, or set CHROME_BIN")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-gpu"]
        )
        yield found
        found.close()


def take(url: str, folder: Path) -> None:
    """Take every picture of a running page.

    Raises:
        StackError: there is no browser.
    """
    with browser() as opened_browser:
        for name, query, scheme, drawn in PICTURES:
            context = opened_browser.new_context(
                viewport=_SIZE,  # type: ignore[arg-type]  # a TypedDict that it does not export
                color_scheme=scheme,  # type: ignore[arg-type]
                locale="en-US",
                timezone_id="UTC",
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(f"{url}/{query}")
            page.wait_for_selector(drawn)
            page.wait_for_timeout(_SETTLE_MS)
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            typer.echo(f"{name}.png")
            context.close()


if __name__ == "__main__":
    app(prog_name="python -m dashboards.web.pictures")
