"""Check that a port is free, and say who holds it when it is not."""

import errno
import socket

import psutil

from infra.local.layout import Layout
from ingestion.errors import StackError

HOST = "127.0.0.1"


def is_free(port: int) -> bool:
    """Return whether a service could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise StackError(f"cannot listen on {HOST}:{port}: {error.strerror}") from error
    return True


def require_free(port: int, variable: str, layout: Layout) -> None:
    """Raise StackError that names the port, its setting and its holder where it is taken."""
    if not is_free(port):
        raise StackError(
            f"port {port} is taken by {holder(port)}: end that, or set {variable} to a free port "
            f"in {layout.env_file}"
        )


def holder(port: int) -> str:
    """Describe the process that listens on a port, as far as we may look."""
    for process in psutil.process_iter(["pid", "name"]):
        try:
            connections = process.net_connections(kind="tcp")
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue  # another user's process: the message then says "another process"
        if any(c.status == psutil.CONN_LISTEN and c.laddr.port == port for c in connections):
            return f"{process.info['name']} (process {process.pid})"
    return "another process"
