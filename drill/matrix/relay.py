"""``python -m drill.matrix.relay``: TCP relays whose connections can be held, by direction.

What is held is not lost: the bytes wait, as they do in a sender that hears nothing and sends
again, and go on when the relay is healed. For whoever waits at an end this is a network that
drops every packet of that direction.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from enum import StrEnum
from typing import Annotated, Any, Final

import msgspec
import typer

from drill.matrix.control import Address, Control, address, asked_to_end, reset

_CHUNK: Final = 2**16


class Way(StrEnum):
    """What becomes of the connections of a relay."""

    PASS = "pass"  # noqa: S105 - not a password
    HOLD_REQUESTS = "hold-requests"
    HOLD_ANSWERS = "hold-answers"
    HOLD_BOTH = "hold-both"


_HELD: Final[dict[Way, set[str]]] = {
    Way.PASS: set(),
    Way.HOLD_REQUESTS: {"requests"},
    Way.HOLD_ANSWERS: {"answers"},
    Way.HOLD_BOTH: {"requests", "answers"},
}


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """Set every relay that leads to ``to``: "kafka" or "store"."""

    to: str | None = None
    way: Way = Way.PASS


class Gate:
    """All relays to one kind of server: one state, and counts since it was last set."""

    def __init__(self) -> None:
        self._open = {"requests": asyncio.Event(), "answers": asyncio.Event()}
        self.held = {"requests": 0, "answers": 0}
        self.set(Way.PASS)

    def set(self, way: Way) -> None:
        """Put the relays into a state."""
        self.held = dict.fromkeys(self.held, 0)
        for direction, event in self._open.items():
            if direction in _HELD[way]:
                event.clear()
            else:
                event.set()

    async def relay(self, server: Address, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a client's connection until one side ends it."""
        try:
            answers, requests = await asyncio.open_connection(*server)
        except OSError:
            reset(writer)
            return
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump("requests", reader, requests))
                pumps.create_task(self._pump("answers", answers, writer))
        except* OSError:
            pass  # one side is gone: so goes the other
        finally:
            for one in (writer, requests):
                one.transport.abort()

    async def _pump(self, direction: str, reader: StreamReader, writer: StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            if not self._open[direction].is_set():
                self.held[direction] += len(data)
                await self._open[direction].wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionError(f"end of the {direction}")


def obey(gates: dict[str, Gate], line: bytes) -> dict[str, Any]:
    """Follow an order; return what the gates did until then.

    Raises:
        DecodeError: it is not an order.
    """
    order = msgspec.json.decode(line, type=Order)
    answer = {name: {"held": gate.held} for name, gate in gates.items()}
    if order.to is not None:
        if order.to not in gates:
            raise msgspec.ValidationError(f"expected one of {', '.join(gates)}: {order.to!r}")
        gates[order.to].set(order.way)
    return answer


def main(
    control: Annotated[str, typer.Option(help="host:port that takes the orders.")],
    kafka: Annotated[
        list[str] | None, typer.Option(help="host:port=host:port: where to listen, and a broker.")
    ] = None,
    store: Annotated[
        list[str] | None, typer.Option(help="host:port=host:port: where to listen, and the store.")
    ] = None,
) -> None:
    """Relay TCP to brokers and store, so that one client's way to them can fail alone."""
    asyncio.run(_run(address(control), {"kafka": kafka or [], "store": store or []}))


async def _run(control: Address, relays: dict[str, list[str]]) -> None:
    over = asked_to_end()
    gates = {name: Gate() for name in relays}
    for name, pairs in relays.items():
        for pair in pairs:
            await _listen(gates[name], *pair.split("="))
    await asyncio.start_server(Control(lambda line: obey(gates, line)).serve, *control)
    await over.wait()


async def _listen(gate: Gate, here: str, there: str) -> None:
    server = address(there)
    await asyncio.start_server(lambda r, w: gate.relay(server, r, w), *address(here))


if __name__ == "__main__":
    typer.run(main)
