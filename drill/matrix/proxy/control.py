"""The control port: a line of JSON in, a line of JSON out."""

from asyncio import StreamReader, StreamWriter
from typing import Any

import msgspec

from drill.matrix.proxy.rules import Rule, RuleBook


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """Put these rules in force, where given; the answer tells what those before them did."""

    rules: list[Rule] | None = None


class Control:
    """Serves orders on the rules of one proxy."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve orders until the connection ends."""
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._obey(line)) + b"\n")
                await writer.drain()
        finally:
            writer.close()

    def _obey(self, line: bytes) -> dict[str, Any]:
        try:
            order = msgspec.json.decode(line, type=Order)
        except msgspec.DecodeError as error:
            return {"error": str(error)}
        tallies = [tally.as_dict() for tally in self._book.tallies()]
        answer = {"requests": self._book.requests, "tallies": tallies}
        if order.rules is not None:
            self._book.replace(order.rules)
        return answer
