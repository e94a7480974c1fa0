"""``python -m drill.matrix.proxy``: the fault proxy as a process of its own."""

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from drill.matrix.proxy.control import Control
from drill.matrix.proxy.http import LONGEST_HEAD
from drill.matrix.proxy.rules import RuleBook
from drill.matrix.proxy.server import Proxy


def main(
    listen: Annotated[str, typer.Option(help="host:port for the clients of the store.")],
    store: Annotated[str, typer.Option(help="host:port of the store.")],
    control: Annotated[str, typer.Option(help="host:port that takes the rules.")],
    log: Annotated[Path, typer.Option(help="Each fault becomes a line of JSON here.")],
) -> None:
    """Forward S3 requests byte for byte, but for the faults that the rules ask for."""
    asyncio.run(_run(_address(listen), _address(store), _address(control), log))


async def _run(
    listen: tuple[str, int], store: tuple[str, int], control: tuple[str, int], log: Path
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    book = RuleBook()
    with log.open("a") as lines:
        proxy = Proxy(*store, book, lines)
        await asyncio.start_server(proxy.serve, *listen, limit=LONGEST_HEAD)
        await asyncio.start_server(Control(book).serve, *control, limit=2**20)
        await stop.wait()


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit()):
        raise typer.BadParameter(f"expected host:port, found {text!r}")
    return host, int(port)


if __name__ == "__main__":
    typer.run(main)
