"""HTTP/1.1 as bytes: messages are kept as they were sent, because a signature covers them."""

import asyncio
from asyncio import StreamReader
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

_END: Final = b"\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_NO_BODY: Final = frozenset({"204", "304"})
LONGEST_HEAD: Final = 2**16


class ProtocolError(Exception):
    """A message that this proxy does not forward; the text says why."""


@dataclass(frozen=True)
class Message:
    """A request or an answer: the bytes up to the blank line, and those after it."""

    head: bytes
    body: bytes = b""

    @property
    def words(self) -> list[str]:
        """The three parts of the first line."""
        return self.head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)

    @property
    def method(self) -> str:
        return self.words[0]

    @property
    def path(self) -> str:
        return self.words[1]

    @property
    def status(self) -> str:
        return self.words[1]

    def field(self, name: str) -> str | None:
        """Return a header's value; None where it is not there."""
        for line in self.head.split(b"\r\n")[1:]:
            found, _, value = line.decode("latin-1").partition(":")
            if found.lower() == name:
                return value.strip()
        return None

    def with_field(self, name: str, value: str) -> "Message":
        """Return the message with one more header; those it had stay as they are."""
        line = f"\r\n{name}: {value}".encode("latin-1")
        return replace(self, head=self.head.removesuffix(_END) + line + _END)

    def bytes(self) -> bytes:
        return self.head + self.body


async def read_request(reader: StreamReader, writer: asyncio.StreamWriter) -> Message | None:
    """Read a request with its body, telling a client that waits for it to go on; None at the end.

    Raises:
        ProtocolError: the body's length is not told beforehand.
        OSError, EOFError: the client is gone.
    """
    try:
        head = Message(await reader.readuntil(_END))
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    if head.field("transfer-encoding"):
        raise ProtocolError(f"{head.method} {head.path}: expected Content-Length, found chunks")
    if (head.field("expect") or "").lower() == "100-continue":
        writer.write(_CONTINUE)
    return replace(head, body=await reader.readexactly(int(head.field("content-length") or 0)))


async def read_answer(reader: StreamReader, method: str) -> Message:
    """Read the answer to a request of this method, over interim ones.

    Raises:
        OSError, EOFError: the store is gone.
    """
    head = Message(await reader.readuntil(_END))
    while head.status.startswith("1"):
        head = Message(await reader.readuntil(_END))
    if method == "HEAD" or head.status in _NO_BODY:
        return head
    return replace(head, body=await _answer_body(reader, head))


async def _answer_body(reader: StreamReader, head: Message) -> bytes:
    if (length := head.field("content-length")) is not None:
        return await reader.readexactly(int(length))
    if head.field("transfer-encoding"):
        return await _chunks(reader)
    return await reader.read()


async def _chunks(reader: StreamReader) -> bytes:
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.split(b";")[0], 16)
        parts += [size, await reader.readexactly(length + 2)]
        if not length:
            return b"".join(parts)


def error_answer(status: int, code: str, path: str) -> bytes:
    """Return an S3 error as a store writes it."""
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>injected by the fault proxy</Message>"
        f"<Resource>{path}</Resource></Error>"
    ).encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return head + body
