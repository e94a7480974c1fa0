"""``python -m drill.matrix.proxy``: the fault proxy as a process of its own."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from drill.matrix.control import Address, Control, address, asked_to_end
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
    asyncio.run(_run(address(listen), address(store), address(control), log))


async def _run(listen: Address, store: Address, control: Address, log: Path) -> None:
    over = asked_to_end()
    book = RuleBook()
    with log.open("a") as lines:
        proxy = Proxy(*store, book, lines)
        await asyncio.start_server(proxy.serve, *listen, limit=LONGEST_HEAD)
        await asyncio.start_server(Control(book.obey).serve, *control, limit=2**20)
        await over.wait()


if __name__ == "__main__":
    typer.run(main)
