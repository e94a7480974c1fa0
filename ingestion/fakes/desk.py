"""The desk that every request of a provider passes: counted, judged, answered, noted."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from ingestion.fakes.answer import SIMULATED, Answer
from ingestion.fakes.faults import Faults
from ingestion.fakes.market import Market
from ingestion.fakes.record import Asking, Record
from ingestion.fakes.script import (
    Asked,
    Drop,
    Payload,
    Provider,
    Refusal,
    Replace,
    Script,
    Status,
    Timeout,
    Truncate,
)

_OF_ANSWER = (Status, Refusal, Timeout, Drop, Truncate, Replace, Payload)


class Wire(Protocol):
    """A provider as its desk needs it."""

    @property
    def provider(self) -> Provider: ...

    def key(self, request: Request) -> str:
        """Return the key that a request carries, or nothing."""
        ...

    def asked(self, request: Request) -> Asked:
        """Return what a request asks for."""
        ...

    def refuse_key(self) -> Answer:
        """Return the answer to an unknown key."""
        ...

    def refuse_limit(self, asking: Asking) -> Answer:
        """Return the answer to a request over a limit."""
        ...

    def answer(self, request: Request, asking: Asking) -> Answer:
        """Return the answer to a request that may be answered."""
        ...


class House:
    """What all providers share: the market, the script's faults, the record."""

    def __init__(self, market: Market, script: Script, record: Record) -> None:
        self.market = market
        self.script = script
        self.record = record
        self.faults = Faults(script, record)
        market.faults = self.faults.of_data


class Desk:
    """An ASGI endpoint in front of one provider."""

    def __init__(self, house: House, wire: Wire, needs_key: bool) -> None:
        self._house = house
        self._wire = wire
        self._needs_key = needs_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        provider, key = self._wire.provider, self._wire.key(request)
        on = self._wire.asked(request)
        asking = self._house.record.asked(provider, on, key, request.url)
        answer = self._answer(request, asking, key)
        fault = next(iter(self._house.faults.acting(provider, on, _OF_ANSWER)), None)
        if isinstance(fault, Status | Refusal | Replace | Payload):
            answer = self._house.faults.changed(fault, answer)
        if isinstance(fault, Timeout | Drop):
            if isinstance(fault, Timeout):
                await asyncio.sleep(fault.hold_s)
            await sever(send, receive)
            self._house.record.answered(asking, str(fault.__struct_config__.tag), ())
            return
        share = fault.share if isinstance(fault, Truncate) else None
        await _send(answer, share, send)
        if share is not None:
            await sever(send, receive)
        if isinstance(fault, Replace | Payload):
            self._house.record.disturbed(provider, on, answer.body)
        given = () if share is not None else answer.given
        self._house.record.answered(asking, str(answer.status), given)

    def _answer(self, request: Request, asking: Asking, key: str) -> Answer:
        if self._needs_key and not self._house.script.knows(asking.provider, key):
            return self._wire.refuse_key()
        if asking.broken is not None:
            return self._wire.refuse_limit(asking)
        return self._wire.answer(request, asking)


async def _send(answer: Answer, share: float | None, send: Send) -> None:
    headers = {"content-type": answer.media, SIMULATED: "true", **answer.headers}
    headers["content-length"] = str(len(answer.body))
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    if share is None:
        await send({"type": "http.response.body", "body": answer.body})
        return
    part = answer.body[: int(len(answer.body) * share)]
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def sever(send: Send, receive: Receive) -> None:
    """Close an HTTP request's connection, and wait until it is closed."""
    cut(send)
    while (await receive())["type"] != "http.disconnect":
        pass  # what is left of the request's body


def cut(send: Callable[..., object]) -> None:
    """Close the connection under an ASGI ``send`` once what was written is out.

    ASGI has no word for it: the server's own ``send`` is a method of an object that has the
    transport (uvicorn's request cycle, or its WebSocket protocol).
    """
    transport: asyncio.Transport = send.__self__.transport  # type: ignore[attr-defined]
    transport.close()
