"""Helper processes of the drill: a control port that takes a line of JSON and answers with one."""

import asyncio
import contextlib
import json
import signal
import socket
import struct
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import typer

from drill.matrix.process import Process
from infra.local import files
from infra.local.ports import HOST
from ingestion.errors import StackError

Address = tuple[str, int]

_START_TIMEOUT_S: Final = 20.0
_ANSWER_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_RESET: Final = struct.pack("ii", 1, 0)


class Control:
    """The port's side in the helper: ``obey`` takes an order and returns the answer."""

    def __init__(self, obey: Callable[[bytes], Mapping[str, Any]]) -> None:
        self._obey = obey

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve orders until the connection ends."""
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._answer(line)) + b"\n")
                await writer.drain()
        finally:
            writer.close()

    def _answer(self, line: bytes) -> Mapping[str, Any]:
        try:
            return self._obey(line)
        except msgspec.DecodeError as error:
            return {"error": str(error)}


class Helper:
    """The drill's side: a helper process that answers on its control port."""

    def __init__(self, process: Process, control: int) -> None:
        """Start the process, which is to serve ``control``, and wait until it answers.

        Raises:
            StackError: it does not.
        """
        self._process = process
        self._control = control
        process.start()
        self._wait()

    def stop(self) -> None:
        """End the process."""
        self._process.end()

    def order(self, **order: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        """Send an order; return the answer.

        Raises:
            StackError: the helper refuses it.
        """
        with socket.create_connection((HOST, self._control), _ANSWER_TIMEOUT_S) as connection:
            connection.sendall(json.dumps(order).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
        if "error" in answer:
            raise StackError(f"{self._process.name} refuses the order {order}: {answer['error']}")
        return answer

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.is_running:
            try:
                self.order()
            except OSError:
                time.sleep(_POLL_S)
            else:
                return
        self.stop()
        said = files.last_lines(self._process.log)
        raise StackError(f"{self._process.name} did not start; end of {self._process.log}:\n{said}")


def asked_to_end() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set from here on."""
    event = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


def reset(writer: StreamWriter) -> None:
    """Close with RST: a close in order would tell the other side more than a dead host does."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # it was closed at the same moment
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


def command(module: str, control: int, *arguments: str) -> list[str]:
    """Return the command line of ``python -m drill.matrix.<module>``."""
    own = ["--control", text(HOST, control)]
    return [sys.executable, "-m", f"drill.matrix.{module}", *arguments, *own]


def text(host: str, port: int) -> str:
    """Return an address as an argument."""
    return f"{host}:{port}"


def address(argument: str) -> Address:
    """Return an argument as an address.

    Raises:
        BadParameter: it is not host:port.
    """
    host, colon, port = argument.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise typer.BadParameter(f"expected host:port, found {argument!r}")
    return host, int(port)
