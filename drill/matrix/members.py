"""Processes as the drill sees them: a lander with status file and log, a loaded producer."""

import json
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, Final

from drill.matrix.cluster import Cluster
from ingestion.land import status
from ingestion.land.failpoints import VARIABLE
from ingestion.land.protocol import Partition

STOP_S: Final = 10.0  # what a lander has from SIGTERM to its end


@dataclass(frozen=True)
class Orders:
    """How a lander is to run; as it stands, exactly as the product's own."""

    broken: str = ""
    failpoint: str = ""
    protocol: str = "classic"
    forced: tuple[str, ...] = ()  # topics whose partitions it takes outside the group
    settings: tuple[tuple[str, str], ...] = ()
    prefix: tuple[str, ...] = ()  # what its command line begins with

    @property
    def kills(self) -> bool:
        """Whether the failpoint ends it."""
        return self.failpoint.count(":") == 1


class Member:
    """One lander; started when made."""

    def __init__(self, cluster: Cluster, name: str, orders: Orders) -> None:
        self.name = name
        self.orders = orders
        self._file = status.path(_run_folder(cluster, orders), name)
        environment = {"LAND_GROUP_PROTOCOL": orders.protocol, **dict(orders.settings)}
        if orders.failpoint:
            environment[VARIABLE] = orders.failpoint
        command = [*orders.prefix, *_command(name, orders)]
        self.process = cluster.process(f"lander-{name}", command, environment)
        self.process.start()

    def status(self) -> dict[str, Any]:
        """Return what it tells of itself now; empty before it has told anything."""
        found = _told_in(self._file)
        return found if found and found["pid"] == self.process.pid else {}

    def complaint(self) -> str | None:
        """Return how it ended otherwise than it was told to; None where it did not, or runs."""
        code, told = self.process.exit_code, self.process.told
        if code in (None, 0) and (code is None or told):
            return None
        if code == -signal.SIGKILL and (told is signal.SIGKILL or self.orders.kills):
            return None
        if code == -signal.SIGTERM and told is signal.SIGTERM and not self.said("assigned"):
            return None  # it was asked to end before it had anything to lose
        asked = f"after {told.name}" if told else "unasked"
        return f"{self.name} ended with {code} {asked}; see {self.process.log}"

    def rebalances(self) -> int:
        """Return how many rebalances it has told of."""
        return rebalances([line["event"] for line in self.said("assigned", "revoked", "lost")])

    def follows(self) -> set[Partition]:
        """Return the partitions that it says it reads."""
        rows = self.status().get("partitions", [])
        return {Partition(r["topic"], r["partition"]) for r in rows if r["phase"] == "following"}

    def said(self, *events: str) -> list[dict[str, Any]]:
        """Return the lines of its log with one of these events."""
        return [line for line in self._lines() if line.get("event") in events]

    def _lines(self) -> list[dict[str, Any]]:
        found = []
        for text in self.process.log.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except json.JSONDecodeError:  # a traceback, or a line that is being written
                continue
            if isinstance(line, dict):
                found.append(line)
        return found


class Load:
    """A loaded producer (``python -m drill load``); started when made."""

    def __init__(self, cluster: Cluster, name: str, rate: float, ledger: Path) -> None:
        self._report = cluster.layout.run / f"load-{name}.json"
        command = [sys.executable, "-m", "drill", "load", "--rate", str(rate)]
        command += ["--ledger", str(ledger), "--report", str(self._report)]
        self.process = cluster.process(f"load-{name}", command)
        self.process.start()

    def told(self) -> dict[str, int]:
        """Return its counts; empty before it has told anything."""
        return _told_in(self._report)

    def delivered(self) -> int:
        """Return how many of its records Kafka has confirmed."""
        return self.told().get("delivered", 0)


def rebalances(events: Iterable[str]) -> int:
    """Count rebalances: what is assigned after partitions were taken away is of the same one."""
    pairs = pairwise(chain([""], events))
    return sum(event != "assigned" or before in ("", "assigned") for before, event in pairs)


def partition_of(name: str) -> Partition:
    """Return the partition that a lander's log names."""
    topic, _, number = name.rpartition("/")
    return Partition(topic, int(number))


def _told_in(path: Path) -> dict[str, Any]:
    """Return what a process has written of itself; empty before it has."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return found


def _run_folder(cluster: Cluster, orders: Orders) -> Path:
    own = dict(orders.settings).get("TAPEHOUSE_STATE_DIR")
    return Path(own) / "run" if own else cluster.layout.run


def _command(name: str, orders: Orders) -> Sequence[str]:
    if not orders.broken and not orders.forced:
        return [sys.executable, "-m", "ingestion", "land", "--name", name]
    own = [sys.executable, "-m", "drill", "lander", "--name", name, "--break", orders.broken]
    return [*own, *(word for topic in orders.forced for word in ("--force", topic))]
