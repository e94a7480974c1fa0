"""Find and end the processes of a stack, those that lost their supervisor included."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from infra.local.environment import MARKER
from ingestion.errors import StackError

TERMINATE_S = 20.0
KILL_S = 10.0


def of_stack(state: Path) -> list[psutil.Process]:
    """Return the live processes that carry the mark of the stack with this state folder."""
    return [process for process in psutil.process_iter() if _belongs(process, str(state))]


def of_services(state: Path, names: Iterable[str]) -> list[psutil.Process]:
    """Return those of the stack's processes that were started for these services, or below them."""
    wanted = set(names)
    return [process for process in of_stack(state) if _service(process) in wanted]


def _service(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("SUPERVISOR_PROCESS_NAME")
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return None  # gone meanwhile


def _belongs(process: psutil.Process, state: str) -> bool:
    try:
        if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.environ().get(MARKER) == state
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False  # gone meanwhile, or not ours to read: then it is not ours to end either


def end(processes: Iterable[psutil.Process]) -> None:
    """Ask processes to stop, then kill those that do not.

    Raises:
        StackError: one of them outlived being killed.
    """
    waiting = list(processes)
    _signal(waiting, "terminate")
    _, waiting = psutil.wait_procs(waiting, timeout=TERMINATE_S)
    _signal(waiting, "kill")
    _, waiting = psutil.wait_procs(waiting, timeout=KILL_S)
    if waiting:
        raise StackError(f"could not end process {', '.join(str(p.pid) for p in waiting)}")


def _signal(processes: Iterable[psutil.Process], action: str) -> None:
    for process in processes:
        try:
            getattr(process, action)()
        except psutil.NoSuchProcess:
            continue  # ended by itself, as wanted
