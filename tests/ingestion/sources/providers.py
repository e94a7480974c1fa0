"""A tiny HTTP server that answers as it is told, and a clock that only moves when told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ingestion.settings import ROOT
from ingestion.sources.fetch import Http, Key
from ingestion.sources.provider import Scope, Unguarded

SAMPLES = ROOT / "tests" / "ingestion" / "fakes" / "samples"
KEY = "secret-key-0123456789"
# A Tuesday, one hour into the session.
IN_SESSION = datetime(2025, 7, 8, 14, 30, tzinfo=UTC)
IN_HEADER = Key(KEY, header="X-Token")
IN_QUERY = Key(KEY, parameter="apikey")


def sample(name: str) -> bytes:
    return Path(SAMPLES / name).read_bytes()


@dataclass(frozen=True)
class Reply:
    """``raw`` is written instead of a well-formed response, and the connection closed."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None


@dataclass(frozen=True)
class Request:
    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class Server:
    """``answer`` decides; what was asked is kept."""

    url: str = ""
    answer: Callable[[Request], Reply] = lambda request: Reply()
    asked: list[Request] = field(default_factory=list)

    def always(self, reply: Reply | bytes) -> None:
        fixed = Reply(reply) if isinstance(reply, bytes) else reply
        self.answer = lambda request: fixed


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {k: v[0] for k, v in parse_qs(parts.query).items()}
            request = Request(parts.path, query, dict(self.headers))
            server.asked.append(request)
            self._send(server.answer(request))

        def _send(self, reply: Reply) -> None:
            self.close_connection = True
            if reply.raw is not None:
                self.wfile.write(reply.raw)
                return
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that has enough of an answer hangs up."""

    httpd = Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


class FakeClock:
    """Time passes only while somebody sleeps, a microsecond at least."""

    def __init__(self, now: datetime = IN_SESSION) -> None:
        self._start = now
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        return 1_000.0 + self.elapsed_s

    def sleep(self, seconds: float) -> None:
        self.elapsed_s += max(seconds, 1e-6) if seconds else 0.0


@dataclass
class Observing(Unguarded):
    """A guard that lets all through and keeps what it was told."""

    observed: list[tuple[int, float | None, Scope]] = field(default_factory=list)

    def observe(
        self, remaining: int, reset_s: float | None = None, scope: Scope = "minute"
    ) -> None:
        self.observed.append((remaining, reset_s, scope))


def http(server: Server, key: Key = IN_HEADER, clock: FakeClock | None = None) -> Http:
    return Http("provider", server.url, key, Unguarded(), clock or FakeClock())
