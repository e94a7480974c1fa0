"""Stands before the store: forwards what it is sent, byte for byte, and does what the rules say.

A client signs for this proxy's own address; the Host header travels on as it is, and a store
checks the signature against that header, so requests need no second signature. Each request goes
to the store on a connection of its own: an idle connection that the store has closed meanwhile
must not become a fault that nobody asked for.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TextIO

from drill.matrix.control import reset
from drill.matrix.proxy.http import (
    LONGEST_HEAD,
    Message,
    ProtocolError,
    error_answer,
    read_answer,
    read_request,
)
from drill.matrix.proxy.rules import Action, Fault, RuleBook

CODES: Final = {
    401: "InvalidAccessKeyId",
    403: "AccessDenied",
    409: "ConditionalRequestConflict",
    412: "PreconditionFailed",
    500: "InternalError",
    503: "SlowDown",
}


@dataclass(frozen=True)
class Client:
    """A connection of a client's."""

    reader: StreamReader
    writer: StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()


class Proxy:
    """The faults, by action; one task a connection."""

    def __init__(self, host: str, port: int, book: RuleBook, log: TextIO) -> None:
        self._store = host, port
        self._book = book
        self._log = log
        self._faults: dict[Action, Callable[[Fault, Message, Client], Awaitable[None]]] = {
            Action.ANSWER: self._answer,
            Action.APPLY_ANSWER: self._apply_answer,
            Action.APPLY_RESET: self._apply_reset,
            Action.APPLY_REPEAT: self._apply_repeat,
            Action.SWALLOW: self._swallow,
            Action.APPLY_SWALLOW: self._apply_swallow,
            Action.DELAY_BEFORE: self._delay_before,
            Action.TRUNCATE: self._truncate,
            Action.CORRUPT: self._corrupt,
            Action.WRONG_CHECKSUM: self._wrong_checksum,
        }

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a connection until either side ends it."""
        client = Client(reader, writer)
        try:
            while not writer.is_closing() and (request := await read_request(reader, writer)):
                await self._handle(request, client)
        except ProtocolError as error:
            await client.send(error_answer(501, "NotImplemented", str(error)))
        except (OSError, EOFError):  # the store is away, or the client: the other side sees it
            reset(client.writer)
        finally:
            writer.close()

    async def _handle(self, request: Message, client: Client) -> None:
        fault = self._book.choose(request.method, request.path)
        if fault is None:
            await client.send((await self._forward(request)).bytes())
            return
        try:
            await self._faults[fault.rule.action](fault, request, client)
        finally:
            self._note(fault, request)

    def _note(self, fault: Fault, request: Message) -> None:
        line = {
            "at": datetime.now(UTC).isoformat(),
            "rule": fault.rule.name,
            "action": fault.rule.action,
            "seconds": round(fault.seconds, 3),
            "method": request.method,
            "path": request.path,
            "bytes": len(request.body),
        }
        self._log.write(json.dumps(line) + "\n")
        self._log.flush()

    # The store --------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[tuple[StreamReader, StreamWriter]]:
        reader, writer = await asyncio.open_connection(*self._store, limit=LONGEST_HEAD)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _forward(self, request: Message) -> Message:
        async with self._connection() as (reader, writer):
            writer.write(request.bytes())
            await writer.drain()
            return await read_answer(reader, request.method)

    async def _apply(self, fault: Fault, request: Message) -> Message:
        answer = await self._forward(request)
        fault.tally.store[answer.status] += 1
        return answer

    # Faults -----------------------------------------------------------------------------------

    async def _answer(self, fault: Fault, request: Message, client: Client) -> None:
        status = fault.rule.status
        await client.send(error_answer(status, CODES[status], request.path))

    async def _apply_answer(self, fault: Fault, request: Message, client: Client) -> None:
        await self._apply(fault, request)
        await self._answer(fault, request, client)

    async def _apply_reset(self, fault: Fault, request: Message, client: Client) -> None:
        await self._apply(fault, request)
        reset(client.writer)

    async def _apply_repeat(self, fault: Fault, request: Message, client: Client) -> None:
        await self._apply(fault, request)
        await client.send((await self._apply(fault, request)).bytes())

    async def _swallow(self, _: Fault, __: Message, client: Client) -> None:
        await client.reader.read()  # until the client gives up
        reset(client.writer)

    async def _apply_swallow(self, fault: Fault, request: Message, client: Client) -> None:
        await self._apply(fault, request)
        await self._swallow(fault, request, client)

    async def _delay_before(self, fault: Fault, request: Message, client: Client) -> None:
        await asyncio.sleep(fault.seconds)
        await client.send((await self._apply(fault, request)).bytes())

    async def _truncate(self, fault: Fault, request: Message, client: Client) -> None:
        async with self._connection() as (_reader, writer):
            writer.write(request.head + request.body[: len(request.body) // 2])
            await writer.drain()
        reset(client.writer)

    async def _corrupt(self, fault: Fault, request: Message, client: Client) -> None:
        if not request.body:
            raise ProtocolError(f"{fault.rule.name}: expected a body, found none in {request.path}")
        middle = len(request.body) // 2
        flipped = bytes([request.body[middle] ^ 1])
        body = request.body[:middle] + flipped + request.body[middle + 1 :]
        await client.send((await self._apply(fault, replace(request, body=body))).bytes())

    async def _wrong_checksum(self, fault: Fault, request: Message, client: Client) -> None:
        md5 = hashlib.md5(request.body + b"?", usedforsecurity=False).digest()
        wrong = request.with_field("Content-MD5", base64.b64encode(md5).decode())
        await client.send((await self._apply(fault, wrong)).bytes())
