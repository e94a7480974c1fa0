"""What runs, since when, with how much memory, and whether it works."""

from collections.abc import Collection, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from infra.local import elsewhere, files, topics
from infra.local.layout import Layout
from infra.local.services import KNOWN, SERVICES, Service, ServiceName, health, service
from infra.local.supervisor import Supervisor
from ingestion.clock import SystemClock
from ingestion.errors import BrokerError, StackError
from ingestion.land import health as landers
from ingestion.land import overview
from ingestion.land.backlog import Backlog, Offsets
from ingestion.land.overview import Overview
from ingestion.land.protocol import Partition


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
    """The services asked for, and what the stack's landers do, the supervised one and others.

    ``landers`` is None where they are on other machines, for what they tell is there, and where
    they were not asked for.
    """

    services: tuple[ServiceStatus, ...]
    landers: Overview | None

    @property
    def is_healthy(self) -> bool:
        """Whether each of the services is, and each lander."""
        problems = self.landers.problems if self.landers else ()
        return all(one.is_healthy for one in self.services) and not problems


def look(layout: Layout, asked: Collection[ServiceName] = ()) -> StackStatus:
    """Return the state of services, or of the whole stack; asks them and starts nothing.

    Raises:
        StackError: one that is asked for cannot be asked from here.
    """
    supervisor = Supervisor(layout)
    is_running = supervisor.is_running()
    if not is_running and elsewhere.is_meant(layout):
        return StackStatus(tuple(map(_remote, _elsewhere(layout, asked))), None)
    known = supervisor.processes() if is_running else {}
    wanted: set[str] = set(asked) or {*SERVICES, *known}
    names = [name for name in KNOWN if name in wanted]
    services = tuple(_service(service(name, layout), known.get(name), layout) for name in names)
    return StackStatus(services, _landers(layout, services) if "lander" in names else None)


def _elsewhere(layout: Layout, asked: Collection[ServiceName]) -> list[Service]:
    found = elsewhere.services(layout)
    missing = set(asked) - {one.name for one in found}
    if missing:
        names = ", ".join(one.name for one in found)
        raise StackError(f"cannot ask {', '.join(sorted(missing))} from here, only {names}")
    return [one for one in found if one.name in asked or not asked]


def _remote(one: Service) -> ServiceStatus:
    return ServiceStatus(one.name, None, (), health(one) or "healthy", 0, 0)


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
    if one.name != "lander":
        return None
    pids = {member.pid for member in family(pid)}
    found = landers.of_processes(layout.run, pids, SystemClock())
    return "; ".join(lander.problem for lander in found if lander.problem) or None


def _memory(pid: int) -> int:
    total = 0
    for member in family(pid):
        with suppress(psutil.NoSuchProcess):
            total += member.memory_info().rss
    return total


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all below it; nothing where it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _landers(layout: Layout, services: Iterable[ServiceStatus]) -> Overview:
    is_away = any(one.name == "kafka" and not one.is_healthy for one in services)

    def ask() -> Mapping[Partition, Offsets]:
        if is_away:  # it was asked already, and waited for
            raise BrokerError("the service kafka is not healthy")
        with closing(Backlog(layout.kafka)) as backlog:
            return backlog.ask(names)

    names = [topic.name for topic in topics.parse(files.declared("kafka/topics.yml", layout))]
    return overview.look(layout.run, SystemClock(), ask)
