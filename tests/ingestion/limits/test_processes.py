"""Several processes, one of them killed and started again, against one server that counts."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ingestion.settings import ROOT

# Two processes without a budget would send about 20 a second.
PER_SECOND = 8
REQUESTS = 24

# One process: a guard over the budget's file, and requests that are late on their way.
CLIENT = """
import random, sys, time
from pathlib import Path
import httpx
from ingestion.clock import SystemClock
from ingestion.limits.account import Account, Identity
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import LimitsFile
from ingestion.limits.guard import Patience, ProviderGuard
from ingestion.limits.limit import Budget, parse

folder, url, count, limits = sys.argv[1:]
account = Account(
    LimitsFile(Path(folder)), Identity("finnhub", "local", ""),
    Budget(parse(limits, "limits")), BreakerPolicy(),
)
guard = ProviderGuard("finnhub", account, Patience(), SystemClock(), lambda: False)
with httpx.Client(trust_env=False) as client:
    def request():
        time.sleep(random.random() * 0.1)
        return client.get(url).raise_for_status()
    for _ in range(int(count)):
        guard.call(request)
"""


class Server:
    """Counts when requests arrive, by its own clock."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        arrivals = self.arrivals

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                arrivals.append(time.monotonic())
                time.sleep(0.01)
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Stay silent."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    with closing(Server()) as made:
        yield made


def start(folder: Path, server: Server) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", CLIENT, str(folder), server.url]
    return subprocess.Popen([*command, str(REQUESTS), f"{PER_SECOND}/second,500/minute"], cwd=ROOT)


def wait_for_arrivals(server: Server, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(server.arrivals) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_processes_and_a_restart_in_the_middle_never_exceed_it(
    tmp_path: Path, server: Server
) -> None:
    clients = [start(tmp_path, server), start(tmp_path, server)]
    wait_for_arrivals(server, PER_SECOND)
    clients[0].send_signal(signal.SIGKILL)
    clients[0].wait()
    clients.append(start(tmp_path, server))

    codes = [client.wait(timeout=90) for client in clients[1:]]

    assert codes == [0, 0]
    arrivals = sorted(server.arrivals)
    assert len(arrivals) >= 2 * REQUESTS
    windows = [sum(first <= other < first + 1.0 for other in arrivals) for first in arrivals]
    assert max(windows) <= PER_SECOND
    # The budget is used too: a limiter that is merely slow would pass as well.
    assert max(windows) >= PER_SECOND // 2
