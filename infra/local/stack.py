"""Start, check and stop a stack."""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from infra.local import airflow, files, kafka, ports, processes, store, superset
from infra.local.layout import Layout
from infra.local.services import AIRFLOW, KNOWN, SERVICES, Service, ServiceName, health, service
from infra.local.supervisor import Supervisor
from ingestion.errors import StackError, TapehouseError
from ingestion.settings import ROOT

STOP_TIMEOUT_S = 60.0
LOCK_TIMEOUT_S = 120.0
POLL_S = 0.1

# States in which supervisor itself sees to it that the service runs.
ALIVE = ("RUNNING", "STARTING", "BACKOFF")

# A service that supervisor had to start more often than this is not going to stay up.
RESTARTS = 2

Report = Callable[[str], None]


def silent(_line: str) -> None:
    """Report nothing: what a library does unless its caller wants the lines."""


class Stack:
    """The local stack of one settings file; several run side by side on ports of their own."""

    def __init__(self, layout: Layout, report: Report = silent) -> None:
        self.layout = layout
        self._report = report
        self._supervisor = Supervisor(layout)

    def up(self, names: Sequence[ServiceName] = SERVICES) -> None:
        """Start these services and create what is declared; harmless when they already run.

        Raises:
            StackError: a port is taken, a tool is missing, or a service does not become healthy.
        """
        wanted = [service(name, self.layout) for name in KNOWN if name in names]
        self.layout.require_credentials()
        self.layout.make_folders()
        with self._lock():
            try:
                self._up(wanted, names)
            except TapehouseError:
                self._end_idle_supervisor()
                raise

    def _up(self, wanted: list[Service], names: Sequence[ServiceName]) -> None:
        changed = self._write_files(wanted)
        if "superset" in names:
            superset.prepare(self.layout)  # also where it runs: its files may have changed
        self._start_supervisor(wanted)
        self._start([s for s in wanted if s.name != "lander"], changed)
        self.provision(names)
        self._start([s for s in wanted if s.name == "lander"], changed)

    def _end_idle_supervisor(self) -> None:
        """Leave no process behind where nothing could be started."""
        if self._supervisor.is_running():
            states = [info["statename"] for info in self._supervisor.processes().values()]
            if not set(states) & set(ALIVE):
                self._shut_down()

    def stop(self, names: Sequence[ServiceName]) -> None:
        """Stop these services and forget them, also where their supervisor was killed.

        The others go on.

        Raises:
            StackError: a process could not be ended.
        """
        self.layout.make_folders()
        with self._lock():
            if self._supervisor.is_running():
                self._forget(names)
            # Airflow's workers outlive a scheduler that was killed.
            processes.end(processes.of_services(self.layout.state, names))
            self._end_idle_supervisor()

    def _forget(self, names: Sequence[ServiceName]) -> None:
        known = set(self._supervisor.processes()) - set(names)
        left = [service(name, self.layout) for name in KNOWN if name in known]
        self._supervisor.write_config(left)
        self._supervisor.reload()

    def down(self) -> None:
        """Stop every process of the stack, also those whose supervisor was killed.

        Raises:
            StackError: a process could not be ended.
        """
        if not self.layout.run.exists() and not processes.of_stack(self.layout.state):
            return
        self.layout.make_folders()
        with self._lock():
            if self._supervisor.is_running():
                self._shut_down()
            left = processes.of_stack(self.layout.state)
            processes.end(left)
            self.layout.socket.unlink(missing_ok=True)

    def reset(self) -> None:
        """Stop the stack and delete its state folder; the settings file stays.

        Raises:
            StackError: the state folder holds more than state.
        """
        state = self.layout.state
        if ROOT.is_relative_to(state) or Path.home().is_relative_to(state):
            raise StackError(f"TAPEHOUSE_STATE_DIR is {state}: refusing to delete that")
        self.down()
        if state.exists():
            shutil.rmtree(state)

    def provision(self, names: Sequence[ServiceName] = SERVICES) -> None:
        """Create what is declared on services that run already, whoever started them.

        Raises:
            StackError: a service refused, or has what contradicts the declaration.
            BrokerError: Kafka refused or did not answer.
        """
        self.layout.make_folders()
        if not {"kafka", "store"} & set(names):
            return
        changes = kafka.provision(self.layout) if "kafka" in names else []
        changes += store.provision(self.layout) if "store" in names else []
        self._report(f"topics, users, buckets, policies: {len(changes)} created or changed")

    def prepare_airflow(self) -> None:
        """Write the files of Airflow's services and do what comes before their start.

        Raises:
            StackError: a preparation failed.
        """
        self.layout.make_folders()
        with self._lock():
            for name, text in airflow.files(self.layout).items():
                files.write_private(self.layout.run / name, text)
            airflow.prepare(self.layout)

    def _lock(self) -> FileLock:
        return _StackLock(self.layout.run / "stack.lock", timeout=LOCK_TIMEOUT_S)

    def _write_files(self, services: Iterable[Service]) -> set[ServiceName]:
        changed: set[ServiceName] = set()
        for one in services:
            for name, text in one.files.items():
                if files.write_private(self.layout.run / name, text):
                    changed.add(one.name)
        return changed

    def _start_supervisor(self, wanted: list[Service]) -> None:
        running = self._supervisor.is_running()
        known = set(self._supervisor.processes()) if running else set()
        every = {one.name: one for one in wanted}
        every |= {name: service(name, self.layout) for name in KNOWN if name in known - set(every)}
        self._supervisor.write_config(every.values())
        if running:
            self._supervisor.reload()
            return
        orphans = processes.of_stack(self.layout.state)
        if orphans:
            self._report(f"ending {len(orphans)} process(es) that lost their supervisor")
            processes.end(orphans)
        self._supervisor.start()

    def _start(self, services: list[Service], changed: set[ServiceName]) -> None:
        began = time.monotonic()
        states = self._supervisor.processes()
        for one in services:
            if states[one.name]["statename"] in ALIVE:
                if one.name not in changed:
                    continue
                self._report(f"{one.name}: its settings changed, restarting it")
                self._supervisor.stop_program(one.name)
            self._launch(one)
        for one in services:
            self._wait_until_healthy(one, began)

    def _launch(self, one: Service) -> None:
        for variable, port in one.ports.items():
            ports.require_free(port, variable, self.layout)
        if one.name == "kafka":
            kafka.format_storage(self.layout)
        if one.name == AIRFLOW[0]:
            airflow.prepare(self.layout)
        self._supervisor.start_program(one.name)

    def _wait_until_healthy(self, one: Service, began: float) -> None:
        reason = "it does not stay up"
        pids: set[int] = set()
        while time.monotonic() - began < one.start_wait_s and len(pids) <= RESTARTS:
            info = self._supervisor.processes()[one.name]
            if info["statename"] == "FATAL":
                break
            if info["statename"] == "RUNNING":
                pids.add(info["pid"])
                problem = health(one)
                if problem is None:
                    self._report(f"{one.name}: healthy after {time.monotonic() - began:.1f} s")
                    return
                reason = problem
            time.sleep(POLL_S)
        log = self.layout.log / f"{one.name}.log"
        end = files.last_lines(log)
        raise StackError(f"{one.name} did not start ({reason}); end of {log}:\n{end}")

    def _shut_down(self) -> None:
        self._supervisor.shut_down()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while processes.of_stack(self.layout.state) and time.monotonic() < deadline:
            time.sleep(POLL_S)


class _StackLock(FileLock):
    """One command at a time changes a stack."""

    def __enter__(self) -> "_StackLock":
        try:
            self.acquire()
        except Timeout as error:
            raise StackError(f"another command holds {self.lock_file}") from error
        return self
