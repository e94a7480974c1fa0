"""The drill's end of the fault proxy: start it, give it rules, read what it did."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from drill.matrix.proxy.rules import Rule
from infra.local.ports import HOST
from ingestion.errors import StackError
from ingestion.settings import ROOT

_START_TIMEOUT_S: Final = 20.0
_ANSWER_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05


@dataclass(frozen=True)
class Report:
    """What the rules have done so far, by name."""

    requests: int
    tallies: Mapping[str, Mapping[str, Any]]

    def done(self, rule: str) -> int:
        """Return how often a rule's fault was done."""
        return int(self.tallies[rule]["done"])

    def store(self, rule: str) -> dict[str, int]:
        """Return what the store said to the requests of a rule, status to times."""
        return dict(self.tallies[rule]["store"])


class ProxyProcess:
    """A running fault proxy."""

    def __init__(self, process: subprocess.Popen[bytes], listen: int, control: int) -> None:
        self._process = process
        self._control = control
        self.port = listen

    @classmethod
    def start(
        cls,
        store_port: int,
        ports: tuple[int, int],
        folder: Path,
        environment: Mapping[str, str],
        host: str = HOST,
    ) -> Self:
        """Start a proxy on ``host`` before the store at a port of this machine.

        ``ports`` are those for clients and for control; its log goes to ``folder``.

        Raises:
            StackError: it does not come up.
        """
        listen, control = ports
        command = [sys.executable, "-m", "drill.matrix.proxy"]
        command += ["--listen", f"{host}:{listen}", "--store", f"{HOST}:{store_port}"]
        command += ["--control", f"{HOST}:{control}", "--log", str(folder / "faults.jsonl")]
        with (folder / "proxy.log").open("ab") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=log)
        proxy = cls(process, listen, control)
        proxy._wait(folder / "proxy.log")
        return proxy

    def inject(self, *rules: Rule) -> Report:
        """Put rules in force instead of those before; return what those did."""
        return self._order({"rules": [msgspec.to_builtins(rule) for rule in rules]})

    def heal(self) -> Report:
        """Let everything through again; return what the rules did."""
        return self.inject()

    def report(self) -> Report:
        """Return what the rules in force have done."""
        return self._order({})

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait()

    def _wait(self, log: Path) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.report()
            except OSError:
                time.sleep(_POLL_S)
            else:
                return
        self.stop()
        raise StackError(f"the fault proxy did not start; {log}: {log.read_text()[-500:]}")

    def _order(self, order: Mapping[str, Sequence[Any]]) -> Report:
        address = HOST, self._control
        with socket.create_connection(address, _ANSWER_TIMEOUT_S) as connection:
            connection.sendall(json.dumps(order).encode() + b"\n")
            answer = json.loads(connection.makefile("rb").readline())
        if "error" in answer:
            raise StackError(f"the fault proxy refuses its rules: {answer['error']}")
        return Report(answer["requests"], {one["rule"]: one for one in answer["tallies"]})
