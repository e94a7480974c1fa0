"""The stream's life: subscribed, mute, lost, complained about, stopped; and what was missed."""

import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

from ingestion.calendar import Calendar
from ingestion.clock import Clock, SystemClock
from ingestion.contracts.records import Message, TradeMessage
from ingestion.errors import SettingsError
from ingestion.limits.account import Account, Identity
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import LimitsFile
from ingestion.limits.guard import Patience as GuardPatience
from ingestion.limits.guard import ProviderGuard
from ingestion.limits.limit import Budget, Limit
from ingestion.sources.finnhub.socket import connector
from ingestion.sources.finnhub.stream import FinnhubTrades, Patience
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import DeniedError, Guard, ProviderDownError, Unguarded
from ingestion.sources.source import Refused
from tests.ingestion.sources.providers import IN_SESSION, KEY, FakeClock, sample

PING = sample("finnhub/ping.json")
SATURDAY = datetime(2025, 7, 12, 15, 0, tzinfo=UTC)


def frame(price: int = 1, n: int = 1) -> bytes:
    item = {"p": price, "s": "SPY", "t": 1587739079469, "v": 1, "c": None}
    return json.dumps({"type": "trade", "data": [item] * n}).encode()


class Wire:
    """A scripted connection: each step is a frame, a silence in seconds, or an error."""

    def __init__(self, clock: FakeClock, steps: list[bytes | float | Exception]) -> None:
        self.clock = clock
        self.steps = steps
        self.subscribed: list[str] = []
        self.is_open = False
        self.simulated = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False

    def subscribe(self, symbols: Sequence[str]) -> None:
        self.subscribed += symbols

    def frame(self, timeout_s: float) -> bytes | None:
        assert self.is_open
        step = self.steps[0] if self.steps else 1e9
        if isinstance(step, bytes | Exception):
            self.steps.pop(0)
            if isinstance(step, Exception):
                raise step
            return step
        waited = min(step, timeout_s)
        self.clock.sleep(waited)
        self.steps[:1] = [step - waited] if step - waited > 1e-9 else []
        return None


class World:
    """Connects to one scripted wire after the other; the last one stays silent."""

    def __init__(
        self,
        calendar: Calendar,
        *scripts: list[bytes | float | Exception] | Exception,
        seconds: float = 50,
        now: datetime = IN_SESSION,
        symbols: tuple[str, ...] = ("SPY", "AAPL"),
        guard: Guard | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock(now)
        self.scripts = list(scripts)
        self.wires: list[Wire] = []
        self.connected_at: list[float] = []
        self.source = FinnhubTrades(
            self.connect,
            guard or Unguarded(),
            symbols,
            calendar,
            self.clock,
            Envelopes("finnhub", "run"),
            lambda: self.clock.elapsed_s >= seconds,
            random=Random(7),
        )

    def connect(self) -> Wire:
        assert not any(wire.is_open for wire in self.wires), "two connections with one key"
        self.connected_at.append(self.clock.elapsed_s)
        script = self.scripts.pop(0) if self.scripts else []
        if isinstance(script, Exception):
            raise script
        self.wires.append(Wire(self.clock, script))
        return self.wires[-1]

    def made(self) -> list[Message | Refused]:
        return [item for item in self.source.messages() if item is not None]


def closed() -> ProviderDownError:
    return ProviderDownError("gone")


def test_it_subscribes_to_all_symbols_once(nyse: Calendar) -> None:
    world = World(nyse, symbols=("SPY", "AAPL", "SPY"))
    world.made()

    assert world.wires[0].subscribed == ["SPY", "AAPL"]


def test_trades_have_an_identity_of_connection_frame_and_index(nyse: Calendar) -> None:
    world = World(nyse, [frame(n=2), frame(n=2), closed()], [frame(n=2)])
    made = world.made()

    ids = {m.event_id for m in made if isinstance(m, TradeMessage)}
    assert len(ids) == 6, "equal trades are different events, after a reconnect too"
    assert [m.data.seq for m in made if isinstance(m, TradeMessage)] == list(range(6))
    assert [m.event_id for m in World(nyse, [frame(n=2)]).made()] != [m.event_id for m in made[:2]]  # type: ignore[union-attr]


def test_a_lost_connection_is_opened_again_and_its_gap_told(nyse: Calendar) -> None:
    world = World(nyse, [frame(), 10.0, closed()], [5.0, frame()])
    made = world.made()
    facts = world.source.facts()

    assert len(made) == 2
    assert [len(wire.subscribed) for wire in world.wires] == [2, 2], "not subscribed again"
    assert facts["gaps"] == 1
    reconnected = IN_SESSION + timedelta(seconds=world.connected_at[1])
    assert facts["last_gaps"] == [
        f"{IN_SESSION:%Y-%m-%dT%H:%M:%S.%fZ}/{reconnected:%Y-%m-%dT%H:%M:%S.%fZ}"
    ]
    assert 10 <= world.connected_at[1] <= 11.5


@pytest.mark.parametrize("steps", [[frame(), 10.0, closed()], closed()])
def test_what_was_missed_is_told_although_nobody_came_back(
    nyse: Calendar, steps: list[bytes | float | Exception] | Exception
) -> None:
    world = World(nyse, steps, *[closed()] * 40)
    world.made()
    facts = world.source.facts()
    ended = IN_SESSION + timedelta(seconds=world.clock.elapsed_s)

    assert facts["gaps"] == 1
    assert facts["last_gaps"] == [
        f"{IN_SESSION:%Y-%m-%dT%H:%M:%S.%fZ}/{ended:%Y-%m-%dT%H:%M:%S.%fZ}"
    ]


def test_a_first_connection_that_fails_is_a_gap(nyse: Calendar) -> None:
    world = World(nyse, closed(), closed(), [frame()])
    world.made()
    assert world.source.facts()["gaps"] == 1


def test_attempts_come_ever_later_up_to_the_cap_and_at_random(nyse: Calendar) -> None:
    down = [closed() for _ in range(40)]
    world = World(nyse, *down, seconds=900)
    world.made()

    waits = [b - a for a, b in zip(world.connected_at, world.connected_at[1:], strict=False)]
    assert all(wait <= min(60, 2**n) + 0.2 for n, wait in enumerate(waits[:39]))
    assert sum(waits[8:30]) / 22 == pytest.approx(30, rel=0.35), "full jitter has half the cap"
    assert min(waits[8:30]) < 15


def test_a_trade_ends_the_back_off(nyse: Calendar) -> None:
    steps: list[Any] = [closed() for _ in range(9)]
    world = World(nyse, *steps, [frame(), closed()], [], seconds=1_000)
    world.made()
    assert world.connected_at[10] - world.connected_at[9] <= 1.2


def test_a_server_that_hangs_up_at_once_is_not_hammered(nyse: Calendar) -> None:
    steps: list[Any] = [[closed()] for _ in range(200)]
    world = World(nyse, *steps, seconds=600)
    world.made()
    assert len(world.connected_at) < 60


def test_a_mute_connection_in_a_session_is_opened_anew(nyse: Calendar) -> None:
    world = World(nyse, [frame(), 30.0, PING, 200.0], [frame()], seconds=100)
    made = world.made()

    assert len(made) == 2
    assert world.connected_at[1] == pytest.approx(60, abs=1.5), "a ping is no trade"
    assert world.source.facts()["mute_connections"] == 1
    [gap] = world.source.facts()["last_gaps"]  # type: ignore[misc]
    assert gap.startswith(f"{IN_SESSION:%Y-%m-%dT%H:%M:%S.%fZ}/"), "since the last trade"


def test_symbols_that_hardly_trade_are_given_ever_more_time(nyse: Calendar) -> None:
    world = World(nyse, seconds=3_600)
    world.made()

    waits = [b - a for a, b in zip(world.connected_at, world.connected_at[1:], strict=False)]
    assert waits[0] == pytest.approx(60, abs=2)
    assert waits[3] == pytest.approx(480, abs=10)


def test_a_trade_ends_the_longer_patience(nyse: Calendar) -> None:
    world = World(nyse, [], [frame()], [frame()], seconds=300)
    world.made()

    second, third = world.connected_at[1:3]
    assert second == pytest.approx(60, abs=2)
    assert third - second == pytest.approx(60, abs=2)


def test_a_connection_says_whether_its_trades_are_simulated(nyse: Calendar) -> None:
    world = World(nyse, [frame(), closed()], [frame()])

    def connect() -> Wire:
        wire = world.connect()
        wire.simulated = len(world.wires) == 1
        return wire

    world.source._connect = connect
    assert [m.simulated for m in world.made() if isinstance(m, TradeMessage)] == [True, False]


def test_each_session_begins_with_its_own_patience(nyse: Calendar) -> None:
    """Mute from the afternoon to the close, and still (or again) at the next open."""
    afternoon = datetime(2025, 7, 8, 17, 0, tzinfo=UTC)
    world = World(nyse, seconds=21 * 3_600, now=afternoon)
    world.made()

    next_open_s = (datetime(2025, 7, 9, 13, 30, tzinfo=UTC) - afternoon).total_seconds()
    after_open = [at for at in world.connected_at if at > next_open_s]
    assert 60 <= after_open[0] - next_open_s <= 60 + 62, "mute, and a pause after many others"


def test_silence_on_a_holiday_is_fine(nyse: Calendar) -> None:
    world = World(nyse, seconds=4 * 3_600, now=datetime(2025, 7, 4, 15, 0, tzinfo=UTC))
    world.made()
    assert len(world.wires) == 1


@pytest.mark.parametrize(
    "before_open",
    [datetime(2025, 3, 7, 14, 29, tzinfo=UTC), datetime(2025, 3, 10, 13, 29, tzinfo=UTC)],
)
def test_the_open_moves_with_the_clocks_of_the_exchange(
    nyse: Calendar, before_open: datetime
) -> None:
    world = World(nyse, [], [frame()], seconds=130, now=before_open)
    world.made()
    assert world.connected_at[1:] == [pytest.approx(120, abs=1.5)]


def test_silence_outside_of_sessions_is_fine(nyse: Calendar) -> None:
    world = World(nyse, seconds=20_000, now=SATURDAY)
    world.made()
    assert len(world.wires) == 1


def test_silence_counts_from_the_open(nyse: Calendar) -> None:
    before_open = datetime(2025, 7, 8, 13, 0, tzinfo=UTC)
    world = World(nyse, [], [frame()], seconds=1_870, now=before_open)
    world.made()
    assert world.connected_at[1:] == [pytest.approx(1_860, abs=1.5)]


def test_silence_after_an_early_close_is_fine(nyse: Calendar) -> None:
    half_day = datetime(2025, 7, 3, 17, 0, tzinfo=UTC)
    world = World(nyse, seconds=3_600, now=half_day)
    world.made()
    assert len(world.wires) == 1


def test_too_many_symbols_names_those_left_out_and_goes_on(nyse: Calendar) -> None:
    error = sample("finnhub/stream-error.json")
    world = World(nyse, [error, error, frame()], symbols=("A", "B", "C", "D"))
    made = world.made()

    refused = [m for m in made if isinstance(m, Refused)]
    assert [m.body for m in refused] == [error, error]
    assert refused[-1].reason == "provider_error"
    assert refused[-1].detail.endswith("without C, D")
    assert world.source.facts()["not_subscribed"] == ["C", "D"]
    assert isinstance(made[-1], TradeMessage)


def test_a_bad_frame_is_kept_and_the_next_one_read(nyse: Calendar) -> None:
    world = World(nyse, [b"\xff\x00", frame(), b'{"type":"trade","data":[1]}'])
    made = world.made()

    assert [type(m).__name__ for m in made] == ["Refused", "TradeMessage", "Refused"]
    assert isinstance(made[0], Refused)
    assert (made[0].body, made[0].reason) == (b"\xff\x00", "malformed")
    facts = world.source.facts()
    assert (facts["frames"], facts["trades"], facts["refused"]) == (3, 1, 2)


def test_a_stop_reads_what_has_come_and_closes(nyse: Calendar) -> None:
    world = World(nyse, [0.5, frame(1), frame(2), frame(3)], seconds=0.5)
    assert len(world.made()) == 3
    assert not world.wires[0].is_open


def test_a_server_that_never_pauses_cannot_hold_up_a_stop(nyse: Calendar) -> None:
    class Flood(Wire):
        def frame(self, timeout_s: float) -> bytes:
            self.clock.sleep(0.01)
            return frame()

    world = World(nyse, seconds=10)
    flood = Flood(world.clock, [])
    world.source._connect = lambda: flood
    world.made()
    assert 10 <= world.clock.elapsed_s < 12


def test_nothing_to_subscribe_to_is_told(nyse: Calendar) -> None:
    with pytest.raises(SettingsError):
        World(nyse, symbols=())


@contextmanager
def guarding(folder: Path, clock: Clock, per_minute: int) -> Iterator[ProviderGuard]:
    """A guard with a budget of its own."""
    with closing(LimitsFile(folder)) as file:
        account = Account(
            file,
            Identity("finnhub", "localhost", ""),
            Budget((Limit(per_minute, "minute"),)),
            BreakerPolicy(),
        )
        yield ProviderGuard("finnhub", account, GuardPatience(), clock, lambda: False)


def test_a_server_that_hangs_up_after_each_trade_cannot_spend_the_budget(
    nyse: Calendar, tmp_path: Path
) -> None:
    """A trade ends the back-off: nothing but the guard then keeps the connections apart."""
    steps: list[Any] = [[frame(), closed()] for _ in range(200)]
    clock = FakeClock()
    with guarding(tmp_path, clock, 10) as guard:
        world = World(nyse, *steps, seconds=200, guard=guard, clock=clock)
        world.made()
    at = world.connected_at
    assert 25 <= len(at) < 45
    assert all(later - first >= 60 for first, later in zip(at, at[10:], strict=False))


# Against a real socket.


@contextmanager
def serving(
    handler: Callable[[ServerConnection], None],
    process_request: Callable[[ServerConnection, Request], Response | None] | None = None,
) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0, process_request=process_request) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def live(
    url: str, calendar: Calendar, stop: threading.Event, guard: Guard | None = None
) -> FinnhubTrades:
    clock, patience = SystemClock(), Patience(base_s=0.01, cap_s=0.05)
    return FinnhubTrades(
        connector(url, KEY, clock), guard or Unguarded(), ["SPY", "AAPL"], calendar, clock,
        Envelopes("finnhub", "run"), stop.is_set, patience,
    )  # fmt: skip


def test_over_a_socket_it_survives_a_server_that_goes(
    nyse: Calendar, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens: list[str] = []
    stop = threading.Event()

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        tokens.append(connection.request.path)
        for _ in range(2):
            connection.recv()
        connection.send(frame(len(tokens), n=3).decode())
        connection.send(b"\xff\xfe")  # a binary frame
        connection.close(1012)

    made: list[Message | Refused] = []
    with serving(handle) as url:
        source = live(url, nyse, stop)
        for item in source.messages():
            made += [item] if item is not None else []
            if len(made) >= 12:
                stop.set()

    trades = [m for m in made if isinstance(m, TradeMessage)]
    assert {m.data.price for m in trades} >= {"1", "2", "3"}
    assert len({m.event_id for m in trades}) == len(trades) >= 9
    assert b"\xff\xfe" in [m.body for m in made if isinstance(m, Refused)]
    assert tokens[0] == f"/?token={KEY}"
    ours = "".join(r.getMessage() for r in caplog.records if r.name != "websockets.server")
    assert KEY not in ours + capsys.readouterr().err


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_valid_ends_the_source(nyse: Calendar, status: int) -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus(status), "Invalid API key")

    with serving(lambda connection: None, refuse) as url:
        source = live(url, nyse, threading.Event())
        with pytest.raises(DeniedError) as caught:
            list(source.messages())
    assert KEY not in str(caught.value)


def test_a_busy_server_is_left_alone_for_as_long_as_it_says(nyse: Calendar, tmp_path: Path) -> None:
    asked: list[float] = []
    clock, stop = SystemClock(), threading.Event()

    def refuse(connection: ServerConnection, request: Request) -> Response:
        asked.append(clock.monotonic())
        response = connection.respond(HTTPStatus.TOO_MANY_REQUESTS, "slow down")
        response.headers["Retry-After"] = "1"
        return response

    with serving(lambda connection: None, refuse) as url, guarding(tmp_path, clock, 60) as guard:
        for _ in live(url, nyse, stop, guard).messages():
            if len(asked) == 2:
                stop.set()
    assert asked[1] - asked[0] >= 1


def test_a_key_that_the_provider_repeats_is_hidden(nyse: Calendar) -> None:
    stop = threading.Event()

    def handle(connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "error", "msg": f"{KEY} is at its limit"}))
        for _ in connection:
            pass

    made: list[Message | Refused] = []
    with serving(handle) as url:
        for item in live(url, nyse, stop).messages():
            if item is not None:
                made.append(item)
                stop.set()
    [refused] = made
    assert isinstance(refused, Refused)
    assert refused.body == b'{"type": "error", "msg": "*** is at its limit"}'
    assert KEY not in repr(refused)


def test_a_frame_of_many_megabytes_is_kept(nyse: Calendar) -> None:
    stop = threading.Event()
    large = b"x" * (9 * 2**20)

    def handle(connection: ServerConnection) -> None:
        connection.send(large)
        for _ in connection:
            pass

    made: list[Message | Refused] = []
    with serving(handle) as url:
        for item in live(url, nyse, stop).messages():
            if item is not None:
                made.append(item)
                stop.set()
    assert [m.body for m in made if isinstance(m, Refused)] == [large]
