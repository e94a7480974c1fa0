"""What the two streams share: frames at an interval, subscriptions, and the script's faults."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from ingestion.fakes.answer import SIMULATED
from ingestion.fakes.desk import House, cut
from ingestion.fakes.record import Asking, Observation
from ingestion.fakes.script import AnyFault, Drop, ErrorFrame, Mute, Payload, Provider, Status

NORMAL: Final = 1000


@dataclass(frozen=True)
class Frame:
    """One text frame and what it hands out."""

    text: str
    given: Sequence[Observation] = ()


class Connection:
    """One client: its socket, its subscriptions, and when it was last served."""

    def __init__(self, socket: WebSocket, send: Send, asking: Asking, name: str) -> None:
        self.socket = socket
        self.asking = asking
        self.name = name
        self.symbols: dict[str, datetime] = {}
        self.frames = 0
        self.done_faults: set[int] = set()
        self._send = send

    def served_until(self, symbol: str, now: datetime) -> datetime | None:
        """Serve a symbol until now; return since when, or None where it was unsubscribed."""
        since = self.symbols.get(symbol)
        if since is not None:
            self.symbols[symbol] = now
        return since

    async def say(self, text: str) -> None:
        """Send a text frame."""
        await self.socket.send_text(text)
        self.frames += 1

    async def give(self, body: bytes) -> None:
        """Send a payload: as text where it is UTF-8, or as a binary frame."""
        try:
            await self.say(body.decode())
        except UnicodeDecodeError:
            await self.socket.send_bytes(body)
            self.frames += 1

    def sever(self) -> None:
        """End the connection without a close frame."""
        cut(self._send)


class Stream(ABC):
    """An ASGI endpoint that serves one provider's stream."""

    provider: Provider
    error_type = "error"

    def __init__(self, house: House) -> None:
        self._house = house
        self._opened = 0
        self._keys: set[str] = set()

    @abstractmethod
    async def told(self, connection: Connection, message: Any) -> None:  # noqa: ANN401 - JSON
        """Take what a client says: to subscribe, to unsubscribe."""

    @abstractmethod
    def frames(self, connection: Connection, now: datetime) -> AsyncIterator[Frame]:
        """Return what has happened to the subscribed symbols since the last call."""

    @abstractmethod
    def refusal(self, key: str, asking: Asking) -> int | None:
        """Return the status that refuses a connection, or None."""

    def ping(self) -> str | None:
        """Return the provider's own ping frame, if it has one."""
        return None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        socket = WebSocket(scope, receive, send)
        key = socket.query_params.get("token", "")
        asking = self._house.record.asked(self.provider, "stream", key, socket.url)
        status = self._scripted_status() or self.refusal(key, asking)
        if status is not None:
            self._house.record.answered(asking, str(status), ())
            await socket.send_denial_response(Response(status_code=status))
            return
        await socket.accept(headers=[(SIMULATED.lower().encode(), b"true")])
        self._opened += 1
        await self._serve(Connection(socket, send, asking, f"{self.provider}-{self._opened}"), key)

    async def _serve(self, connection: Connection, key: str) -> None:
        self._keys.add(key)
        tasks = {
            asyncio.create_task(self._listen(connection)),
            asyncio.create_task(self._talk(connection)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except WebSocketDisconnect:
            pass  # the client has gone: that is how a stream ends
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._keys.discard(key)
            self._house.record.answered(connection.asking, "stream", ())

    async def _listen(self, connection: Connection) -> None:
        while True:
            text = await connection.socket.receive_text()
            try:
                message = msgspec.json.decode(text)
            except msgspec.DecodeError:
                continue  # the providers ignore what they cannot read
            await self.told(connection, message)

    async def _talk(self, connection: Connection) -> None:
        pinged = self._house.record.elapsed_s()
        while True:
            await asyncio.sleep(self._house.script.frame_s)
            faults = self._faults(connection)
            if any(isinstance(fault, Drop) for fault in faults):
                connection.sever()
                await asyncio.Future()  # the listening side sees it, and ends both
            await self._disturb(connection, faults)
            mute = next((fault for fault in faults if isinstance(fault, Mute)), None)
            pinged = await self._ping(connection, pinged, mute)
            await self._frames(connection, is_mute=mute is not None)

    def _scripted_status(self) -> int | None:
        faults = self._house.faults.acting(self.provider, "stream", Status)
        return next((fault.status for fault in faults if isinstance(fault, Status)), None)

    def _faults(self, connection: Connection) -> list[AnyFault]:
        kinds = Mute, ErrorFrame, Drop, Payload
        acting: list[AnyFault] = list(self._house.faults.acting(self.provider, "stream", kinds))
        return [fault for fault in acting if fault.kind == "stream"]

    async def _disturb(self, connection: Connection, faults: Sequence[AnyFault]) -> None:
        for fault in faults:
            if isinstance(fault, Payload):
                body = self._house.faults.next_payload(fault)
                await connection.give(body)
                self._house.record.disturbed(self.provider, "stream", body)
            if isinstance(fault, ErrorFrame) and id(fault) not in connection.done_faults:
                connection.done_faults.add(id(fault))
                text = error_frame(fault.text)
                await connection.say(text)
                self._house.record.disturbed(self.provider, "stream", text.encode())

    async def _ping(self, connection: Connection, pinged: float, mute: Mute | None) -> float:
        now, ping = self._house.record.elapsed_s(), self.ping()
        is_due = ping is not None and now - pinged >= self._house.script.ping_s
        if ping is None or not is_due or (mute is not None and not mute.pings):
            return pinged
        await connection.say(ping)
        return now

    async def _frames(self, connection: Connection, is_mute: bool) -> None:
        async for frame in self.frames(connection, self._house.market.clock.now()):
            if is_mute:  # what happens meanwhile is lost to this client
                self._house.record.withheld(frame.given)
                continue
            await connection.say(frame.text)
            self._house.record.handed_out(self.provider, frame.given)


def error_frame(text: str) -> str:
    """Return Finnhub's error frame."""
    return msgspec.json.encode({"type": "error", "msg": text}).decode()
