"""What an answer means by its status, what is kept of it, and what nobody may see."""

import gzip
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from ingestion.sources import fetch
from ingestion.sources.fetch import Answer, Http
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
)
from tests.ingestion.sources.providers import (
    IN_HEADER,
    IN_QUERY,
    IN_SESSION,
    KEY,
    FakeClock,
    Observing,
    Reply,
    Server,
    http,
    sample,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


def ask(client: Http) -> Answer:
    return client.get("/quote", {"symbol": "BRK.B"}, lambda answer: answer)


def failure(client: Http) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        ask(client)
    return caught.value


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, DeniedError), (403, DeniedError), (404, NoDataError), (429, RateLimitedError),
        (500, ProviderDownError), (502, ProviderDownError), (503, ProviderDownError),
        (408, ProviderDownError), (400, MalformedError), (418, MalformedError),
        (204, MalformedError), (302, MalformedError),
    ],
)  # fmt: skip
def test_the_status_decides_whatever_the_body_says(
    server: Server, status: int, error: type[ProviderError]
) -> None:
    body = b"" if status == 204 else sample("finnhub/error-429.json")
    server.always(Reply(body, status, {"Location": "/elsewhere"}))

    found = failure(http(server))

    assert type(found) is error
    assert found.body == body
    assert len(server.asked) == 1, "a redirect was followed, or the request sent again"


def test_an_answer_has_its_bytes_and_when_they_came(server: Server) -> None:
    server.always(b'{"c": 1.50}')
    answer = ask(http(server))

    assert (answer.body, answer.fetched_at) == (b'{"c": 1.50}', IN_SESSION)
    assert server.asked[0].query == {"symbol": "BRK.B"}
    assert server.asked[0].headers["X-Token"] == KEY


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": "Tue, 08 Jul 2025 14:31:00 GMT"}, 60.0),
        ({"Retry-After": "Tue, 08 Jul 2025 14:29:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "9" * 5_000}, None),
        ({}, None),
        ({"X-Ratelimit-Reset": str(int((IN_SESSION + timedelta(seconds=9)).timestamp()))}, 9.0),
        ({"X-Ratelimit-Reset": "30"}, 30.0),
        ({"Retry-After": "17", "X-Ratelimit-Reset": "30"}, 17.0),
    ],
)
def test_a_rate_limit_says_how_long(
    server: Server, headers: dict[str, str], expected: float | None
) -> None:
    server.always(Reply(b"{}", 429, headers))
    found = failure(http(server))

    assert isinstance(found, RateLimitedError)
    assert found.retry_after_s == expected


@pytest.mark.parametrize(
    ("told", "error"),
    [("120", RateLimitedError), ("0", ProviderDownError), ("soon", ProviderDownError)],
)
def test_a_server_that_says_when_it_is_back_is_left_alone_until_then(
    server: Server, told: str, error: type[ProviderError]
) -> None:
    server.always(Reply(b"", 503, {"Retry-After": told}))

    found = failure(http(server))

    assert type(found) is error
    assert not isinstance(found, RateLimitedError) or found.retry_after_s == 120.0


def test_the_guard_is_told_what_the_provider_still_allows(server: Server) -> None:
    guard = Observing()
    client = Http("provider", server.url, IN_HEADER, guard, FakeClock())
    server.always(Reply(b"{}", 200, {"X-Ratelimit-Remaining": "3", "X-Ratelimit-Reset": "20"}))
    ask(client)
    server.always(Reply(b"{}", 200, {"X-Ratelimit-Remaining": "many"}))
    ask(client)

    assert guard.observed == [(3, 20.0, "minute")]


def test_a_refusal_found_in_a_body_is_the_requests_own(server: Server) -> None:
    seen: list[ProviderError] = []

    class Watching(Observing):
        def call(self, request: Callable[[], Any]) -> Any:
            try:
                return request()
            except ProviderError as error:
                seen.append(error)
                raise

    def refuse(answer: Answer) -> None:
        raise DeniedError("no", answer.body)

    client = Http("provider", server.url, IN_HEADER, Watching(), FakeClock())
    with pytest.raises(DeniedError):
        client.get("/", {}, refuse)
    assert len(seen) == 1


def test_an_answer_without_end_does_not_fill_the_memory(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "MAX_BODY_BYTES", 1_000)
    server.always(b"x" * 100_000)

    found = failure(http(server))

    assert isinstance(found, MalformedError)
    assert found.body == b"x" * 1_000


def test_an_answer_that_drips_ends_some_time(server: Server) -> None:
    class Fast(FakeClock):
        def monotonic(self) -> float:
            self.elapsed_s += 70
            return super().monotonic()

    server.always(b"x" * 10)
    assert isinstance(failure(http(server, clock=Fast())), ProviderDownError)


def test_a_packed_answer_is_kept_packed(server: Server) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    server.always(Reply(bomb, 200, {"Content-Encoding": "gzip"}))

    found = failure(http(server))

    assert isinstance(found, MalformedError)
    assert found.body == bomb
    assert server.asked[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (HEAD + b"half", b"half"), (b"\x00\xffgarbage", b""), (b"", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b""),
    ],
)  # fmt: skip
def test_no_whole_answer_is_a_provider_that_is_down(
    server: Server, raw: bytes, kept: bytes
) -> None:
    server.always(Reply(raw=raw))

    found = failure(http(server))

    assert isinstance(found, ProviderDownError)
    assert found.body == kept


def test_nobody_there_is_a_provider_that_is_down() -> None:
    assert isinstance(failure(http(Server("http://127.0.0.1:9"))), ProviderDownError)


@pytest.mark.parametrize("key", [IN_HEADER, IN_QUERY])
@pytest.mark.parametrize("status", [200, 403, 429, 500])
def test_the_key_is_nowhere_but_in_the_request(
    server: Server, key: fetch.Key, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = b"We have detected your API key as %s and our standard API rate limit" % KEY.encode()
    server.always(Reply(words, status))
    client = http(server, key)
    try:
        shown = repr(ask(client))
    except ProviderError as error:
        shown = repr(error.body) + "".join(traceback.format_exception(error))

    assert "key as *** and" in shown
    assert KEY not in shown + repr(key) + caplog.text
    assert KEY in repr(server.asked[0])


def test_a_traceback_of_a_lost_connection_has_no_key(server: Server) -> None:
    server.always(Reply(raw=HEAD + KEY.encode()))
    found = failure(http(server, IN_QUERY))

    assert KEY not in "".join(traceback.format_exception(found)) + repr(found.body)
