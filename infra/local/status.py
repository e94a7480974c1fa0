"""What runs, since when, with how much memory, and whether it works."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psutil

from infra.local import files, lag, topics
from infra.local.layout import Layout
from infra.local.services import SERVICES, Service, health, service
from infra.local.supervisor import Supervisor
from ingestion.clock import SystemClock
from ingestion.errors import BrokerError
from ingestion.land import health as landers


@dataclass(frozen=True)
class ServiceStatus:
    """One service as seen now; without a process, pid is None and the figures are 0.

    ``health`` is "healthy", the state of a service that does not run, or what is wrong with it.
    """

    name: str
    pid: int | None
    ports: tuple[int, ...]
    health: str
    uptime_s: int
    memory_bytes: int

    @property
    def is_healthy(self) -> bool:
        """Whether its process runs and answers."""
        return self.health == "healthy"


@dataclass(frozen=True)
class StackStatus:
    """Every service, and the landers' lag by topic (None where Kafka cannot tell)."""

    services: tuple[ServiceStatus, ...]
    lag: dict[str, int] | None

    @property
    def is_healthy(self) -> bool:
        """Whether every service is."""
        return all(one.is_healthy for one in self.services)


def look(layout: Layout) -> StackStatus:
    """Return the state of the stack; asks each service itself and starts nothing."""
    supervisor = Supervisor(layout)
    known = supervisor.processes() if supervisor.is_running() else {}
    services = tuple(_service(service(name, layout), known.get(name), layout) for name in SERVICES)
    return StackStatus(services, _lag(layout, services))


def _service(one: Service, info: dict[str, Any] | None, layout: Layout) -> ServiceStatus:
    ports = tuple(one.ports.values())
    if info is None or info["statename"] != "RUNNING":
        state = info["statename"].lower() if info else "stopped"
        return ServiceStatus(one.name, None, ports, state, 0, 0)
    uptime_s = info["now"] - info["start"]
    state = health(one) or _writing(one, info["pid"], layout) or "healthy"
    return ServiceStatus(one.name, info["pid"], ports, state, uptime_s, _memory(info["pid"]))


def _writing(one: Service, pid: int, layout: Layout) -> str | None:
    """Return why a lander does not write; its process runs on and keeps what it holds."""
    found = landers.of_process(layout.run, pid, SystemClock()) if one.name == "lander" else None
    return found.problem if found else None


def _memory(pid: int) -> int:
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        return sum(member.memory_info().rss for member in family)
    except psutil.NoSuchProcess:
        return 0


def _lag(layout: Layout, services: Iterable[ServiceStatus]) -> dict[str, int] | None:
    if not any(one.name == "kafka" and one.is_healthy for one in services):
        return None
    names = [topic.name for topic in topics.parse(files.declared("kafka/topics.yml", layout))]
    try:
        return lag.by_topic(layout.kafka, names)
    except BrokerError:
        return None
