"""Ways that are cut by direction: nothing gets through, it is counted, and healing goes on."""

import contextlib
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from drill.matrix.control import Helper, command
from drill.matrix.network import (
    NamespaceNetwork,
    Network,
    RelayedNetwork,
    choose_pairs,
    forget_abandoned,
    why_no_namespace,
)
from drill.matrix.relay import Way
from infra.local import scratch
from ingestion.errors import StackError
from tests.drill.matrix.helpers import in_folder

# Says each line that it is given to a server, and prints what that answers.
CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as server:
    answers = server.makefile("r")
    for line in sys.stdin:
        server.sendall(line.encode())
        print(answers.readline().strip(), flush=True)
"""
SILENCE_S = 0.7


class Server:
    """Answers each line with ``got <line>``, and remembers it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection, connection.makefile("rw") as lines:
            for line in lines:
                self.heard.append(line.strip())
                lines.write(f"got {line}")
                lines.flush()

    def close(self) -> None:
        self._socket.close()


class Talk:
    """A client inside a network, connected to a relay."""

    def __init__(self, network: Network, host: str, port: int) -> None:
        talk = [sys.executable, "-c", CLIENT, host, str(port)]
        self._process = subprocess.Popen(
            [*network.prefix(), *talk],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def answer(self, timeout_s: float = 20.0) -> str | None:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], timeout_s)
        return self._process.stdout.readline().strip() if ready else None

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


class Bench:
    """A server, the relay before it, and a network from which a client talks to it."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.server = Server()
        pairs = choose_pairs() if kind == "namespace" else None
        host = pairs["kafka"].address(1) if pairs else "127.0.0.1"
        here, control = scratch.choose_ports(2)
        own: Network | None = NamespaceNetwork(pairs) if pairs else None
        arguments = ["--kafka", f"{host}:{here}=127.0.0.1:{self.server.port}"]
        process = in_folder(folder, "relay", command("relay", control, *arguments))
        self.relays = Helper(process, control)
        self.network: Network = own or RelayedNetwork(self.relays)
        self.talk = Talk(self.network, host, here)

    def close(self) -> None:
        self.talk.close()
        self.relays.stop()
        self.network.close()
        self.server.close()


@pytest.fixture(params=["relay", "namespace"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "namespace" and (reason := why_no_namespace()):
        pytest.skip(reason)
    made = Bench(tmp_path, request.param)
    yield made
    made.close()


def greet(bench: Bench) -> None:
    bench.talk.say("hello")
    assert bench.talk.answer() == "got hello"


@pytest.mark.parametrize(
    ("way", "heard", "direction"),
    [
        (Way.HOLD_REQUESTS, [], "requests"),
        (Way.HOLD_ANSWERS, ["still there"], "answers"),
        (Way.HOLD_BOTH, [], "requests"),
    ],
)
def test_a_direction_that_is_cut_is_silent_counted_and_goes_on_when_healed(
    bench: Bench, way: Way, heard: list[str], direction: str
) -> None:
    greet(bench)

    bench.network.set("kafka", way)
    bench.talk.say("still there")

    assert bench.talk.answer(SILENCE_S) is None
    assert bench.server.heard[1:] == heard
    assert bench.network.dropped("kafka")[direction] > 0
    bench.network.set("kafka", Way.PASS)
    assert bench.talk.answer() == "got still there"
    assert bench.network.dropped("kafka") == {"requests": 0, "answers": 0}


def test_the_other_side_s_way_is_left_alone(bench: Bench) -> None:
    bench.network.set("store", Way.HOLD_BOTH)

    greet(bench)


def test_an_unknown_side_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "relay")
    try:
        with pytest.raises(StackError, match="expected one of kafka, store"):
            bench.relays.order(to="mars", way="pass")
    finally:
        bench.close()


def test_a_machine_without_the_tools_says_which_are_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert why_no_namespace() == "ip and tc missing: install iproute2"


def test_the_namespace_of_a_killed_drill_is_deleted_and_a_living_one_s_stays() -> None:
    if reason := why_no_namespace():
        pytest.skip(reason)
    ended = subprocess.Popen(["true"])
    ended.wait()
    left = NamespaceNetwork(choose_pairs(), f"tapehouse-{ended.pid}")
    own = NamespaceNetwork(choose_pairs())

    forget_abandoned()

    with pytest.raises(StackError, match="No such file"):
        left.close()
    own.close()
