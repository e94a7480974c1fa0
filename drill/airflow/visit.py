"""A page in a headless Chromium that tells what goes wrong in it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Error, Page, Request, Response, sync_playwright

from ingestion.errors import StackError

_TIMEOUT_MS: Final = 60_000.0
_OWN_SCHEMES: Final = ("blob", "data", "about")
_WIDTH, _HEIGHT = 1600, 1000


class Visit:
    """A page of one site; what it does wrong is kept from :meth:`watch` on."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self._host = urlsplit(url).netloc
        self._strangers: list[str] = []
        self._troubles: list[str] = []
        self._known: tuple[str, ...] = ()
        page.on("request", self._requested)
        page.on("requestfailed", self._failed)
        page.on("websocket", lambda socket: self._note_host(socket.url))

    def watch(self, known: Sequence[str] = ()) -> None:
        """Take from now on every failed answer and every error of its scripts for a fault.

        Not from the beginning: before the login, a page is told that it may not ask. ``known`` are
        paths that the site's own pages ask for in vain.
        """
        self._known = tuple(known)
        self.page.on("response", self._answered)
        self.page.on("pageerror", lambda error: self._troubles.append(str(error)))

    def check(self) -> None:
        """Raise StackError where the page asked another host, or something went wrong in it."""
        if self._strangers:
            raise StackError(f"{self.page.url} asked another host: {', '.join(self._strangers)}")
        if self._troubles:
            raise StackError(f"{self.page.url}: {'; '.join(self._troubles)}")

    def _requested(self, request: Request) -> None:
        self._note_host(request.url)

    def _note_host(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _OWN_SCHEMES and parts.netloc != self._host:
            self._strangers.append(url)

    def _failed(self, request: Request) -> None:
        """Forget a request that the page's own policy refused: it never left the browser."""
        if "csp" in (request.failure or "").lower() and request.url in self._strangers:
            self._strangers.remove(request.url)

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and urlsplit(response.url).path not in self._known:
            self._troubles.append(f"{response.status} from {response.url}")


@contextmanager
def visiting(executable: str, url: str) -> Iterator[Visit]:
    """Open a page for a site; no other host than the site's has an address there.

    Raises:
        StackError: what is done in it fails, or does not come about in a minute.
    """
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=executable, args=_arguments(str(urlsplit(url).hostname))
            )
            try:
                yield Visit(_page(browser), url)
            finally:
                browser.close()
    except Error as error:
        raise StackError(f"{url} in a browser: {error.message}") from error


def _page(browser: Browser) -> Page:
    """Return a page that looks the same everywhere."""
    fixed: dict[str, Any] = {
        "viewport": {"width": _WIDTH, "height": _HEIGHT},
        "device_scale_factor": 1,
        "color_scheme": "light",
        "reduced_motion": "reduce",
        "locale": "en-US",
        "timezone_id": "UTC",
    }
    page = browser.new_context(**fixed).new_page()
    page.set_default_timeout(_TIMEOUT_MS)
    return page


def _arguments(host: str) -> list[str]:
    return [
        # Its sandbox does not start for root, nor in most containers; the pages are our own.
        "--no-sandbox",
        "--disable-gpu",
        f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {host}",
    ]
