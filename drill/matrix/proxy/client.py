"""The drill's end of the fault proxy: start it, give it rules, read what it did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from drill.matrix.control import Helper, command, text
from drill.matrix.process import Process
from drill.matrix.proxy.rules import Rule
from infra.local.ports import HOST


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


@dataclass(frozen=True)
class FaultProxy:
    """A running fault proxy, and the port at which the store's clients find it."""

    helper: Helper
    port: int

    @property
    def url(self) -> str:
        """The endpoint for the store's clients."""
        return f"http://{HOST}:{self.port}"

    def inject(self, *rules: Rule) -> Report:
        """Put rules in force instead of those before; return what those did."""
        return _report(self.helper.order(rules=[msgspec.to_builtins(rule) for rule in rules]))

    def heal(self) -> Report:
        """Let everything through again; return what the rules did."""
        return self.inject()

    def report(self) -> Report:
        """Return what the rules in force have done."""
        return _report(self.helper.order())

    def stop(self) -> None:
        """End the process."""
        self.helper.stop()


def _report(answer: Mapping[str, Any]) -> Report:
    return Report(answer["requests"], {one["rule"]: one for one in answer["tallies"]})


def start(
    processes: Callable[[str, Sequence[str]], Process],
    store_port: int,
    ports: tuple[int, int],
    log: Path,
) -> FaultProxy:
    """Start a proxy before the store at a port of this machine.

    ``processes`` makes a process of a name and a command; ``ports`` are those for the store's
    clients and for control; each fault becomes a line of ``log``.

    Raises:
        StackError: it does not come up.
    """
    own = ["--listen", text(HOST, ports[0]), "--store", text(HOST, store_port), "--log", str(log)]
    made = processes(f"proxy-{ports[0]}", command("proxy", ports[1], *own))
    return FaultProxy(Helper(made, ports[1]), ports[0])
