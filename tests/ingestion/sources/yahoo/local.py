"""A server of the tests' own that answers like Yahoo, as a test has scripted it."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from ingestion.calendar import Session

NEW_YORK = ZoneInfo("America/New_York")


@dataclass
class Reply:
    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[str, dict[str, str]], Reply]


class LocalYahoo:
    """Cookie, crumb and time zone are answered; a question for a range is the script's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: Script = lambda symbol, query: Reply(b"{}", 500)
        self.by_path: dict[str, Reply] = {"/": Reply(b"", 404), "/v1/test/getcrumb": Reply(b"abc")}
        self.zone: Reply | None = None
        self.requests: list[str] = []
        self.ranges: list[tuple[str, dict[str, str]]] = []

    def reply(self, target: str) -> Reply:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append(target)
        if not parts.path.startswith("/v8/finance/chart/"):
            return self.by_path.get(parts.path, Reply(b'{"finance":{"error":null}}', 404))
        symbol = parts.path.rpartition("/")[2]
        if "period1" not in query:
            return self.zone or Reply(document(symbol, [], {}))
        self.ranges.append((symbol, query))
        return self.script(symbol, query)


@contextmanager
def serving() -> Iterator[LocalYahoo]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            reply = yahoo.reply(self.path)
            self.send_response(reply.status)
            headers = {"Content-Length": str(len(reply.body)), **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)
            if int(headers["Content-Length"]) != len(reply.body):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        yahoo = LocalYahoo(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield yahoo
        finally:
            server.shutdown()
            thread.join()


Row = tuple[int, Any, Any, Any, Any, Any, Any]


def row(session: Session, close: float | None = 34.099998474121094, **other: Any) -> Row:
    """A daily row stamped at the session's open; its other values follow from the close."""
    stamp = other.get("at", int(session.open_at.timestamp()))
    if close is None:
        return (stamp, None, None, None, None, other.get("volume"), None)
    values = (close - 0.5, close + 1, close - 1.25, close)
    return (stamp, *values, other.get("volume", 1_000_000), close / 2)


def document(symbol: str, rows: Sequence[Row], events: dict[str, Any], /, **meta: Any) -> bytes:
    """An answer of the chart endpoint with these rows."""
    columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 7
    stated = {
        "currency": "USD",
        "symbol": symbol,
        "instrumentType": "EQUITY",
        "exchangeTimezoneName": "America/New_York",
        "dataGranularity": "1d",
        "validRanges": ["1d", "5d", "max"],
        **meta,
    }
    names = ("open", "high", "low", "close", "volume")
    indicators: dict[str, Any] = {"quote": [dict(zip(names, columns[1:6], strict=True))]}
    if stated["dataGranularity"] == "1d":
        indicators["adjclose"] = [{"adjclose": columns[6]}]
    result = {"meta": stated, "timestamp": columns[0], "events": events, "indicators": indicators}
    return json.dumps({"chart": {"result": [result], "error": None}}).encode()


def asked_days(query: dict[str, str]) -> tuple[date, date]:
    """The first and the last day of a question; both are inclusive."""
    first = datetime.fromtimestamp(int(query["period1"]), NEW_YORK)
    end = datetime.fromtimestamp(int(query["period2"]), NEW_YORK)
    return first.date(), (end - timedelta(days=1)).date()
