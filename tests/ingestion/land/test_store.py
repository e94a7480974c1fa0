"""The store's client against a server that answers as stores do under faults."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingestion.errors import ChainError, StoreError, StoreUnavailableError
from ingestion.land import objects
from ingestion.land.protocol import Kind, PutOutcome
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import StoreSettings
from tests.ingestion.land.world import GENERATION, P0, chunk

BODY, HEAD = objects.build(0, 2, Kind.DATA, (chunk(0, 1),))
KEY = objects.key(P0, GENERATION, 0)
DROP = 0  # close the connection without an answer
HANG = -1  # keep the connection, never answer
TIMEOUT_S = 0.5


@dataclass
class Script:
    """What the server answers, in order (the last one for ever), and what it was asked."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def then(self, status: int, code: str = "", **headers: str) -> "Script":
        body = f"<Error><Code>{code}</Code><Message>scripted</Message></Error>" if code else ""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, body.encode()))
        return self

    def next(self) -> tuple[int, dict[str, str], bytes]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def then_object(self, body: bytes = BODY) -> "Script":
        """Answer with the object that `BODY` and `HEAD` are, or other bytes in its place."""
        meta = {f"x-amz-meta-{name}": value for name, value in objects.metadata(HEAD).items()}
        self.answers.append((200, meta, body))
        return self


def handler_of(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.requests.append((self.command, self.path, dict(self.headers)))
            status, headers, body = script.next()
            if status == HANG:
                script.released.wait(30)
            if status in (DROP, HANG):
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean."""

    return Handler


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def store(script: Script) -> Iterator[BronzeStore]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(script))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    settings = StoreSettings(
        endpoint=f"http://127.0.0.1:{server.server_port}",
        lander_access_key="key",
        lander_secret_key="secret",
    )
    client = connect(settings, "lander", read_timeout_s=TIMEOUT_S)
    yield BronzeStore(client, "bronze")
    client.close()
    script.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "outcome"),
    [
        (200, "", PutOutcome.LANDED),
        (412, "PreconditionFailed", PutOutcome.EXISTS),
        (409, "ConditionalRequestConflict", PutOutcome.CONFLICT),
        (503, "SlowDown", PutOutcome.UNKNOWN),
        (500, "InternalError", PutOutcome.UNKNOWN),
        (DROP, "", PutOutcome.UNKNOWN),
        (HANG, "", PutOutcome.UNKNOWN),
        (400, "RequestTimeout", PutOutcome.UNKNOWN),
        (400, "IncompleteBody", PutOutcome.UNKNOWN),
        (400, "BadDigest", PutOutcome.UNKNOWN),
        (400, "XAmzContentSHA256Mismatch", PutOutcome.UNKNOWN),
        (400, "ExpiredToken", PutOutcome.REFUSED),
        (403, "SignatureDoesNotMatch", PutOutcome.REFUSED),
        (403, "RequestTimeTooSkewed", PutOutcome.REFUSED),
        (403, "InvalidAccessKeyId", PutOutcome.REFUSED),
        (401, "InvalidToken", PutOutcome.REFUSED),
        (403, "AccessDenied", PutOutcome.REFUSED),
        (404, "NoSuchBucket", PutOutcome.REFUSED),
    ],
)
def test_how_a_put_ends(
    store: BronzeStore, script: Script, status: int, code: str, outcome: PutOutcome
) -> None:
    script.then(status, code, ETag='"tag"')
    assert store.put(KEY, BODY, HEAD)[0] is outcome
    assert len(script.requests) == 1, "a PUT must never be repeated unseen"


def test_every_put_is_create_only_and_carries_the_interval(
    store: BronzeStore, script: Script
) -> None:
    script.then(200, ETag='"tag"')
    store.put(KEY, BODY, HEAD)
    [(method, path, headers)] = script.requests
    assert (method, path) == ("PUT", f"/bronze/{KEY.replace('=', '%3D')}")
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["if-none-match"] == "*"
    assert sent["x-amz-meta-next"] == "2"
    assert sent["x-amz-meta-sha256"] == HEAD.sha256
    assert sent["x-amz-content-sha256"] == HEAD.sha256, "the store must be able to check the body"


def test_a_200_that_no_store_gave_is_an_unknown_outcome(store: BronzeStore, script: Script) -> None:
    script.then(200)
    outcome, words = store.put(KEY, BODY, HEAD)
    assert outcome is PutOutcome.UNKNOWN
    assert "ETag" in words


def test_a_put_that_was_applied_before_its_500_is_found_by_looking(
    store: BronzeStore, script: Script
) -> None:
    script.then(500, "InternalError").then_object()
    assert store.put(KEY, BODY, HEAD)[0] is PutOutcome.UNKNOWN
    assert store.get(P0, GENERATION, 0) == (HEAD, BODY)


def test_a_server_that_is_not_there_is_an_unknown_outcome() -> None:
    settings = StoreSettings(
        endpoint="http://127.0.0.1:9", lander_access_key="k", lander_secret_key="s"
    )
    store = BronzeStore(connect(settings, "lander"), "bronze")
    assert store.put(KEY, BODY, HEAD)[0] is PutOutcome.UNKNOWN
    with pytest.raises(StoreUnavailableError):
        store.check()


def test_a_read_is_repeated_while_the_store_is_unavailable(
    store: BronzeStore, script: Script
) -> None:
    script.then(503, "SlowDown").then(404, "NoSuchKey")
    assert store.get(P0, GENERATION, 0) is None
    assert len(script.requests) == 2


def test_a_read_is_given_up_after_a_few_attempts(store: BronzeStore, script: Script) -> None:
    script.then(503, "SlowDown")
    with pytest.raises(StoreUnavailableError, match="SlowDown"):
        store.last(P0, GENERATION)
    assert len(script.requests) == 3


def test_a_listing_that_is_no_listing_is_an_unavailable_store(
    store: BronzeStore, script: Script
) -> None:
    script.then(200)
    script.answers[0] = (200, {}, b"<html>Sign in to this network")
    with pytest.raises(StoreUnavailableError):
        store.last(P0, GENERATION)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (401, "InvalidToken"),
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "RequestTimeTooSkewed"),
        (403, "SignatureDoesNotMatch"),
    ],
)
def test_a_refused_read_is_not_repeated(
    store: BronzeStore, script: Script, status: int, code: str
) -> None:
    script.then(status, code)
    with pytest.raises(StoreError, match=code) as caught:
        store.get(P0, GENERATION, 0)
    assert not isinstance(caught.value, StoreUnavailableError)
    assert len(script.requests) == 1


def test_an_object_is_read_and_verified(store: BronzeStore, script: Script) -> None:
    script.then_object()
    assert store.get(P0, GENERATION, 0) == (HEAD, BODY)


def test_an_object_with_a_flipped_byte_is_refused(store: BronzeStore, script: Script) -> None:
    script.then_object(bytes([BODY[0] ^ 1]) + BODY[1:])
    with pytest.raises(ChainError, match="sha256"):
        store.get(P0, GENERATION, 0)


def test_a_listing_of_several_pages_ends_at_the_last_key(
    store: BronzeStore, script: Script
) -> None:
    for start, more in ((5, "true"), (9, "false")):
        key = objects.key(P0, GENERATION, start)
        page = (
            f"<ListBucketResult><IsTruncated>{more}</IsTruncated>"
            f"<NextContinuationToken>t{start}</NextContinuationToken>"
            f"<Contents><Key>{key}</Key></Contents></ListBucketResult>"
        )
        script.answers.append((200, {"Content-Type": "application/xml"}, page.encode()))
    assert store.last(P0, GENERATION, since=5) == 9
    assert "start-after=" in script.requests[0][1]
    assert "0004.jsonl.zst" in script.requests[0][1], "StartAfter is exclusive"
    assert "continuation-token=t5" in script.requests[1][1]
