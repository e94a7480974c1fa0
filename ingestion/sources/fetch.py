"""One HTTP request to a provider, and what its answer means by its status.

The key is never in an error, a log line or a body: httpx names URLs in its log, and a provider may
repeat the key in its answer.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import httpx

from ingestion.clock import Clock
from ingestion.sources.provider import (
    Denied,
    DeniedError,
    Guard,
    MalformedError,
    NoDataError,
    ProviderDownError,
    RateLimitedError,
)

# With the two below a request ends within the minute for which the budget takes it as under way.
CONNECT_TIMEOUT_S: Final = 5.0
READ_TIMEOUT_S: Final = 10.0
# For a whole answer: one that drips would otherwise never end.
TOTAL_TIMEOUT_S: Final = 30.0
# The largest answer asked for, a month of minute bars, is about 4 MB.
MAX_BODY_BYTES: Final = 32 * 2**20

_Read = TypeVar("_Read")

# With a valid key 403 is what a plan without the symbol gets, or one without the whole endpoint.
_DENIED: Final[Mapping[int, Denied]] = {401: "key", 403: "symbol"}
_DOWN: Final = (408, 425)
_HIDDEN: Final = b"***"
# How a local server says that its data is not the provider's.
SIMULATED: Final = "x-tapehouse-simulated"
# A shorter key is a demonstration key or a mistake; looking for it would change other words.
_MIN_SECRET: Final = 8
# Larger numbers in a rate limit's header are points in time, not seconds from now.
_EPOCH_FROM: Final = 10**8


@dataclass(frozen=True)
class Key:
    """A provider's key and where it belongs in a request: a header or a parameter."""

    secret: str = field(repr=False)
    header: str | None = None
    parameter: str | None = None

    def hidden(self, received: bytes | bytearray) -> bytes:
        """Return what was received without the key, which a provider may repeat."""
        secret = self.secret.encode()
        return bytes(received.replace(secret, _HIDDEN) if len(secret) >= _MIN_SECRET else received)


@dataclass(frozen=True)
class Answer:
    """A body that came with status 200, and when all of it had come.

    ``simulated`` is what a local server says of its data.
    """

    body: bytes
    fetched_at: datetime
    simulated: bool = False


class Http:
    """Requests to one provider with one key, each behind the guard."""

    def __init__(self, provider: str, base_url: str, key: Key, guard: Guard, clock: Clock) -> None:
        self._provider = provider
        self._key = key
        self._guard = guard
        self._clock = clock
        logging.getLogger("httpx").setLevel(logging.WARNING)  # below, it logs whole URLs
        # A redirect is not followed: it would take the key elsewhere. An encoded answer is not
        # asked for: a few bytes could unpack to more than there is memory.
        self._base_url = base_url.rstrip("/")
        self._client = httpx.Client(
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            follow_redirects=False,
        )

    def get(
        self, path: str, parameters: Mapping[str, str], read: Callable[[Answer], _Read]
    ) -> _Read:
        """Ask for a path, and return what ``read`` makes of the answer.

        ``read`` is part of the request: where it raises a ProviderError, since a refusal may come
        with status 200, the guard acts on that as on any other.

        Raises:
            ProviderError: as `Guard.call`: by the status, by ``read``, or no answer came.
        """
        return self._guard.call(lambda: read(self._exchange(path, parameters)))

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._client.close()

    def _exchange(self, path: str, parameters: Mapping[str, str]) -> Answer:
        body, until = bytearray(), self._clock.monotonic() + TOTAL_TIMEOUT_S
        try:
            with self._client.stream(
                "GET",
                self._base_url + path,
                params=self._parameters(parameters),
                headers=self._headers(),
            ) as response:
                self._read(response, body, until)
        except httpx.HTTPError as error:
            # Its own text may hold the URL or a header.
            text = f"{self._provider}: no whole answer ({type(error).__name__})"
            raise ProviderDownError(text, self._key.hidden(body)) from None
        now = self._clock.now()
        self._judge(response, self._key.hidden(body), now)
        is_simulated = response.headers.get(SIMULATED) == "true"
        return Answer(self._key.hidden(body), now, is_simulated)

    def _read(self, response: httpx.Response, body: bytearray, until: float) -> None:
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                text = f"{self._provider}: expected at most {MAX_BODY_BYTES} bytes, found more"
                raise MalformedError(text, self._key.hidden(body[:MAX_BODY_BYTES]))
            if self._clock.monotonic() > until:
                text = f"{self._provider}: no whole answer in {TOTAL_TIMEOUT_S:.0f} s"
                raise ProviderDownError(text, self._key.hidden(body))

    def _judge(self, response: httpx.Response, body: bytes, now: datetime) -> None:
        status, headers = response.status_code, response.headers
        remaining, reset_s = _count(headers.get("x-ratelimit-remaining")), _reset_s(headers, now)
        if remaining is not None:
            self._guard.observe(remaining, reset_s)
        text = f"{self._provider} answered with status {status}"
        wait_s = retry_after_s(headers.get("retry-after"), now)
        # A server that is overloaded, and says for how long, wants to be left alone as well.
        is_overloaded = status == httpx.codes.SERVICE_UNAVAILABLE and bool(wait_s)
        if status == httpx.codes.TOO_MANY_REQUESTS or is_overloaded:
            raise RateLimitedError(text, body, reset_s if wait_s is None else wait_s)
        if status in _DENIED:
            raise DeniedError(text, body, _DENIED[status])
        if status == httpx.codes.NOT_FOUND:
            raise NoDataError(text, body)
        if status in _DOWN or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ProviderDownError(text, body)
        encoding = headers.get("content-encoding", "identity")
        if status != httpx.codes.OK or encoding != "identity":
            raise MalformedError(f"{text}, content encoding {encoding!r:.40}", body)

    def _parameters(self, parameters: Mapping[str, str]) -> dict[str, str]:
        name = self._key.parameter
        return {**parameters, **({name: self._key.secret} if name else {})}

    def _headers(self) -> dict[str, str]:
        return {self._key.header: self._key.secret} if self._key.header else {}


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, given as such or as a date (RFC 9110)."""
    seconds = _count(value)
    if value is None or seconds is not None:
        return seconds
    try:
        wait = parsedate_to_datetime(value) - now
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return None
    return max(wait / timedelta(seconds=1), 0.0)


def _reset_s(headers: httpx.Headers, now: datetime) -> float | None:
    value: int | None = _count(headers.get("x-ratelimit-reset"))
    if value is None or value < _EPOCH_FROM:
        return value
    return max(value - now.timestamp(), 0.0)


def _count(value: str | None) -> int | None:
    """Return a header's whole number; None where it has none that is meant seriously."""
    is_number = value is not None and value.isascii() and value.isdigit() and len(value) <= 12
    return int(value) if value is not None and is_number else None
