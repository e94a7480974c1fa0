"""The drill's end of the fault proxy: start it, give it rules, read what it did."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from drill.matrix.control import Helper, text
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

    @classmethod
    def start(
        cls,
        store_port: int,
        ports: tuple[int, int],
        folder: Path,
        environment: Mapping[str, str],
    ) -> Self:
        """Start a proxy before the store at a port of this machine.

        ``ports`` are those for the store's clients and for control; its logs go to ``folder``.

        Raises:
            StackError: it does not come up.
        """
        arguments = ["--listen", text(HOST, ports[0]), "--store", text(HOST, store_port)]
        arguments += ["--log", str(folder / "faults.jsonl")]
        return cls(Helper.start("proxy", arguments, ports[1], folder, environment), ports[0])

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
