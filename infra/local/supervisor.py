"""Talk to the supervisor of a stack: start it, ask it, stop it."""

import http.client
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from infra.local import files
from infra.local.layout import Layout
from infra.local.services import Service
from ingestion.errors import StackError
from ingestion.settings import ROOT

LOG_BYTES = "10MB"
LOG_BACKUPS = 3


class Supervisor:
    """The one supervisor daemon of a stack, reached through its socket."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def is_running(self) -> bool:
        """Return whether the daemon answers."""
        if not self._layout.socket.is_socket():
            return False
        try:
            state: Any = self._call("getState")
        except StackError:
            return False
        return bool(state["statename"] == "RUNNING")

    def start(self) -> None:
        """Start the daemon with no program running.

        Raises:
            StackError: it did not come up.
        """
        path = self._layout.run / "supervisord.conf"
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
            env=self._layout.child_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StackError(f"supervisord did not start: {(done.stderr or done.stdout).strip()}")

    def write_config(self, services: Iterable[Service]) -> None:
        """Write the daemon's configuration for these services."""
        files.write_private(self._layout.run / "supervisord.conf", render(self._layout, services))

    def reload(self) -> None:
        """Make the daemon know added and changed programs; changed ones are stopped."""
        added, changed, removed = self._call("reloadConfig")[0]
        for group in [*changed, *removed]:
            self._call("stopProcessGroup", group)
            self._call("removeProcessGroup", group)
        for group in [*changed, *added]:
            self._call("addProcessGroup", group)

    def processes(self) -> dict[str, dict[str, Any]]:
        """Return supervisor's information on each program, by name."""
        return {info["name"]: info for info in self._call("getAllProcessInfo")}

    def start_program(self, name: str) -> None:
        """Start a program and return at once; its state tells how it went."""
        self._call("startProcess", name, False)

    def stop_program(self, name: str) -> None:
        """Stop a program and wait for its end."""
        self._call("stopProcess", name, True)

    def shut_down(self) -> None:
        """Ask the daemon to stop every program, landers first, and then itself."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object) -> Any:  # noqa: ANN401 - XML-RPC is untyped
        transport = SupervisorTransport(None, None, f"unix://{self._layout.socket}")
        try:
            with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"supervisor refused {method}: {fault.faultString}") from fault
        except (OSError, http.client.HTTPException) as error:
            raise StackError(f"supervisor does not answer: {error}") from error


def render(layout: Layout, services: Iterable[Service]) -> str:
    """Return supervisord's configuration; it holds no secret."""
    path = {
        name: str(getattr(layout, name)).replace("%", "%%") for name in ("run", "log", "socket")
    }
    head = f"""\
[unix_http_server]
file={path["socket"]}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
identifier=tapehouse
nodaemon=false
pidfile={path["run"]}/supervisord.pid
logfile={path["log"]}/supervisord.log
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOG_BACKUPS}
childlogdir={path["log"]}
directory={str(ROOT).replace("%", "%%")}
umask=077
"""
    return head + "".join(_program(path["log"], service) for service in services)


def _program(log: str, service: Service) -> str:
    environment = ",".join(
        f'{name}="{value.replace("%", "%%")}"' for name, value in service.environment.items()
    )
    twice = log.replace("%", "%%")  # supervisor expands this one value two times
    # Shut-down goes from the highest priority down: the lander before what it writes to.
    return f"""
[program:{service.name}]
command={service.command_line()}
environment={environment}
priority={20 if service.name == "lander" else 10}
autostart=false
autorestart=true
startsecs=1
startretries=3
stopwaitsecs={service.stop_wait_s}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={twice}/{service.name}.log
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={LOG_BACKUPS}
"""
