"""The HTTP session that yfinance is given: every request counted, every chart answer kept.

yfinance makes several requests of one call (cookie, crumb, time zone, chart) and has no option for
another server. A session of one's own is its public way in.
"""

from copy import copy
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urljoin, urlsplit

from curl_cffi.curl import CURL_WRITEFUNC_ERROR
from curl_cffi.requests import Response, Session
from curl_cffi.requests.exceptions import RequestException

from ingestion.clock import Clock
from ingestion.sources.fetch import SIMULATED, retry_after_s
from ingestion.sources.provider import (
    Guard,
    MalformedError,
    NoDataError,
    ProviderDownError,
    RateLimitedError,
)
from ingestion.sources.yahoo import answer
from ingestion.sources.yahoo.answer import Answer

# A year of daily bars is 30 kB, 8 days of minutes 250 kB, all days since 1962 1.5 MB.
MAX_BODY_BYTES: Final = 32 * 2**20
_CHART: Final = "/v8/finance/chart/"
# Name and path of the cookie that yfinance keeps.
_COOKIE: Final = ("A3", "/")
_MAX_REDIRECTS: Final = 10
_TOO_MANY: Final = "Yahoo: too many requests (429)"
_NO_DATA: Final = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY}
)
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class GuardedSession(Session[Response]):
    """Sends each request of yfinance through the guard; to ``base_url`` where one is given.

    Attributes:
        answered: the last chart answer with status 200 to a question for a range.
        status: the status of the last chart answer.
        body: its body.
    """

    def __init__(self, guard: Guard, clock: Clock, base_url: str | None) -> None:
        # Without TLS curl would ask each time to change to HTTP/2, which Yahoo's own hosts speak.
        is_plain = (base_url or "").startswith("http://")
        super().__init__(impersonate="chrome", http_version="v1" if is_plain else None)
        self._guard = guard
        self._clock = clock
        self._base_url = base_url.rstrip("/") if base_url else None
        self.begin()

    def begin(self) -> None:
        """Forget the answers to earlier questions."""
        self.answered: Answer | None = None
        self.status: int | None = None
        self.body = b""

    def request(self, method: Any, url: str, **options: Any) -> Response:  # type: ignore[override]  # noqa: ANN401 - as curl_cffi has it
        """Send a request and follow its redirects: each is one more request.

        Raises:
            ProviderError: of a chart request, by its status; of any, a 429 that says how long to
                wait. All else is passed on as it is: what a failed cookie or crumb means, and a
                chart request denied for them, yfinance knows.
        """
        follows = options.pop("allow_redirects", True)
        for _ in range(_MAX_REDIRECTS):
            response = self._guarded(method, url, options)
            target = response.headers.get("location")
            if not (follows and target and response.status_code in _REDIRECTS):
                return response
            url, method = urljoin(url, target), "GET" if method != "HEAD" else method
            options = {"timeout": options.get("timeout")}
        raise ProviderDownError(f"Yahoo: more than {_MAX_REDIRECTS} redirects")

    def _guarded(self, method: str, url: str, options: dict[str, Any]) -> Response:
        is_chart = urlsplit(url).path.startswith(_CHART)
        send = self._chart if is_chart else self._beside
        return self._guard.call(lambda: send(method, url, options))

    def _beside(self, method: str, url: str, options: dict[str, Any]) -> Response:
        response = self._send(method, url, options)
        wait_s = retry_after_s(response.headers.get("retry-after"), self._clock.now())
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and wait_s is not None:
            raise RateLimitedError(_TOO_MANY, response.content, wait_s)
        return response

    def _chart(self, method: str, url: str, options: dict[str, Any]) -> Response:
        try:
            response = self._send(method, url, options)
        except RequestException as error:
            raise ProviderDownError(f"Yahoo: no answer: {type(error).__name__}") from error
        self.status, self.body = response.status_code, response.content
        _judge(response, self._clock.now())
        if response.status_code == HTTPStatus.OK and "period1" in _asked(url, options):
            simulated = response.headers.get(SIMULATED) == "true"
            self.answered = Answer(response.content, self._clock.now(), simulated)
        return response

    def _send(self, method: str, url: str, options: dict[str, Any]) -> Response:
        kept = _Kept()
        own: dict[str, Any] = {"allow_redirects": False, "content_callback": kept.take}
        try:
            response = super().request(method, self._target(url), **options, **own)  # type: ignore[arg-type]
        except RequestException as error:
            if kept.is_full:
                text = f"Yahoo: expected at most {MAX_BODY_BYTES} bytes, found more"
                raise MalformedError(text, kept.chunks[0]) from error
            raise
        response.content = b"".join(kept.chunks)
        if self._base_url is not None:
            self._lend_cookie()
        return response

    def _lend_cookie(self) -> None:
        """Give another server's cookie to Yahoo's domain too, where yfinance looks for it."""
        jar = self.cookies.jar
        for cookie in [*jar]:
            is_kept = cookie.domain.endswith("yahoo.com")
            # All others, and one without an end, yfinance would store and then fail to read.
            if not is_kept and (cookie.name, cookie.path) == _COOKIE and cookie.expires:
                lent = copy(cookie)
                lent.domain = ".yahoo.com"
                jar.set_cookie(lent)

    def _target(self, url: str) -> str:
        parts = urlsplit(url)
        if self._base_url is None or not (parts.hostname or "").endswith("yahoo.com"):
            return url
        return f"{self._base_url}{parts.path or '/'}{'?' + parts.query if parts.query else ''}"


class _Kept:
    """The body as it comes, unpacked; more than it may be breaks the transfer off."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.is_full = False
        self._size = 0

    def take(self, chunk: bytes) -> int:
        self._size += len(chunk)
        if self._size > MAX_BODY_BYTES:
            self.is_full = True
            return CURL_WRITEFUNC_ERROR
        self.chunks.append(chunk)
        return len(chunk)


def _judge(response: Response, now: datetime) -> None:
    """Raise what a chart answer's status means; 401 and 403 yfinance tries again with new cookies.

    Raises:
        ProviderError: the typed error.
    """
    status, body = response.status_code, response.content
    wait_s = retry_after_s(response.headers.get("retry-after"), now)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimitedError(_TOO_MANY, body, wait_s)
    if status == HTTPStatus.SERVICE_UNAVAILABLE and wait_s:
        # It says for how long it is overloaded: it wants to be left alone, as with a 429.
        raise RateLimitedError(f"Yahoo: overloaded ({status})", body, wait_s)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ProviderDownError(f"Yahoo: status {status}", body)
    if status in _NO_DATA:
        raise NoDataError(f"Yahoo: {answer.reason(body)} ({status})", body)
    if status not in (HTTPStatus.OK, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *_REDIRECTS):
        raise MalformedError(f"Yahoo: expected status 200, found {status}", body)


def _asked(url: str, options: dict[str, Any]) -> dict[str, Any]:
    return {**parse_qs(urlsplit(url).query), **(options.get("params") or {})}
