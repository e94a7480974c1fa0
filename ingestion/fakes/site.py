"""The servers together: an application and a port for each provider, and one for control."""

import asyncio
import contextlib
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from ingestion import calendar
from ingestion.clock import Clock
from ingestion.fakes import control
from ingestion.fakes.alphavantage import AlphaVantage
from ingestion.fakes.desk import Desk, House
from ingestion.fakes.finnhub import BASE, Finnhub
from ingestion.fakes.finnhub_stream import FinnhubStream
from ingestion.fakes.market import Market
from ingestion.fakes.record import Record
from ingestion.fakes.script import PROVIDERS, Provider, Script
from ingestion.fakes.served import Dating, ServedClock
from ingestion.fakes.stream import Stream
from ingestion.fakes.universe import universe
from ingestion.fakes.yahoo import Yahoo
from ingestion.fakes.yahoo_stream import YahooStream

HOST: Final = "127.0.0.1"
CONTROL: Final = "control"
_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Options:
    """What is served, and where. Ports follow from the base; 0 takes free ones."""

    providers: tuple[Provider, ...] = PROVIDERS
    port_base: int = 8610
    script: Script = field(default_factory=Script)
    served_at: datetime | None = None
    speed: float = 1.0
    seed: int = 7
    volume_fraction: Decimal = Decimal("0.04")
    more_symbols: int = 0
    keep_observations: bool = True


class _Application:
    """One provider: its HTTP desk, and its stream on the same port."""

    def __init__(self, desk: Desk, stream: Stream | None) -> None:
        self._desk = desk
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._desk(scope, receive, send)
        elif scope["type"] == "websocket" and self._stream is not None:
            await self._stream(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the servers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class _Port:
    """A listening port that can be closed and opened again."""

    def __init__(self, application: ASGIApp, port: int) -> None:
        self._application = application
        self._socket: socket.socket | None = _listen(port)
        self.number: int = self._socket.getsockname()[1]
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        return self._task is not None

    async def open(self) -> None:
        listening = self._socket or _listen(self.number)
        self._socket = None
        self._server = _Server(_config(self._application))
        self._task = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started and not self._task.done():
            await asyncio.sleep(_POLL_S)
        if self._task.done():
            self._task.result()

    async def close(self) -> None:
        """Close the port and its connections, without waiting for what is under way."""
        if self._server is None or self._task is None:
            return
        for connection in list(self._server.server_state.connections):
            connection.transport.close()  # first, or streams would be told goodbye
        self._server.should_exit = self._server.force_exit = True
        await self._task
        self._server = self._task = None


class Site:
    """All servers over one market, one script and one record."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self.options = options
        self.house = _house(options, clock)
        base = options.port_base
        applications = _applications(self.house)
        self._ports: dict[Provider, _Port] = {
            name: _Port(applications[name], base + number if base else 0)
            for number, name in enumerate(PROVIDERS)
            if name in options.providers
        }
        self._control = _Port(control.application(self.house), base + len(PROVIDERS) if base else 0)

    def urls(self) -> dict[str, str]:
        """Return where everything is, under the names of the settings."""
        found = {"CONTROL_URL": f"http://{HOST}:{self._control.number}/_control"}
        if port := self._ports.get("yahoo"):
            found["YAHOO_BASE_URL"] = f"http://{HOST}:{port.number}"
            found["YAHOO_STREAM_URL"] = f"ws://{HOST}:{port.number}/?version=2"
        if port := self._ports.get("finnhub"):
            found["FINNHUB_BASE_URL"] = f"http://{HOST}:{port.number}{BASE}"
            found["FINNHUB_STREAM_URL"] = f"ws://{HOST}:{port.number}"
        if port := self._ports.get("alphavantage"):
            found["ALPHAVANTAGE_BASE_URL"] = f"http://{HOST}:{port.number}/query"
        return found

    async def run(self, stop: asyncio.Event, ready: asyncio.Event | None = None) -> None:
        """Serve until told to stop; a provider that the script calls dead has its port closed."""
        await self._control.open()
        try:
            await self._follow_script()
            if ready is not None:
                ready.set()
            while not stop.is_set():
                await self._follow_script()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), _POLL_S)
        finally:
            ports = *self._ports.values(), self._control
            await asyncio.gather(*(port.close() for port in ports))

    async def _follow_script(self) -> None:
        for provider, port in self._ports.items():
            is_dead = self.house.faults.is_dead(provider)
            if is_dead and port.is_open:
                await port.close()
            elif not is_dead and not port.is_open:
                await port.open()


def _house(options: Options, clock: Clock) -> House:
    market_calendar = calendar.get()
    served = ServedClock(clock, options.served_at, options.speed)
    series = universe(options.more_symbols)
    last = max(one.bars[-1].session.session_date for one in series.values())
    today = None if options.served_at else served.now().astimezone(market_calendar.zone).date()
    dating = Dating.of(market_calendar, last, today)
    market = Market(series, market_calendar, dating, served, options.seed, options.volume_fraction)
    record = Record(clock, options.script, options.keep_observations)
    return House(market, options.script, record)


def _applications(house: House) -> Mapping[Provider, ASGIApp]:
    return {
        "yahoo": _Application(Desk(house, Yahoo(house), needs_key=False), YahooStream(house)),
        "finnhub": _Application(Desk(house, Finnhub(house), needs_key=True), FinnhubStream(house)),
        "alphavantage": _Application(Desk(house, AlphaVantage(house), needs_key=True), None),
    }


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
    except OSError:
        listening.close()
        raise
    return listening


def _config(application: ASGIApp) -> uvicorn.Config:
    # Below an error it only says that HTTP/2 was offered and not taken.
    logging: dict[str, Any] = {"log_config": None, "log_level": "error", "access_log": False}
    # The other WebSocket implementation warns that it is deprecated.
    return uvicorn.Config(application, ws="websockets-sansio", lifespan="off", **logging)
