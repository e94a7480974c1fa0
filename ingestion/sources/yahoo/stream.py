"""Yahoo's stream of price updates, as quotes: the decoded fields as they are.

A field that is 0 or not set is absent. ``time`` is a text of milliseconds since 1970, and so are
all 64-bit numbers texts; ``day_volume`` is the day's so far, never to be summed; ``last_size`` is
that of the last trade. An update is a quote and no trade: it names no single print, repeats, and
leaves prints out.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, Self

import msgspec

from ingestion import logs
from ingestion.calendar import Calendar
from ingestion.clock import Clock, rfc3339
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import Message
from ingestion.contracts.topics import QUOTES
from ingestion.errors import ContractError
from ingestion.sources.provider import DeniedError, Guard, ProviderError, StoppedError
from ingestion.sources.source import Refused
from ingestion.sources.yahoo.messages import NAME, spell

_SCHEMA: Final = "quote.v1"
_SLICE_S: Final = 0.1
# As yfinance's own asynchronous client does.
_HEARTBEAT_S: Final = 15.0


class Connection(AbstractContextManager["Connection"], Protocol):
    """One connection: ``socket.Socket``, which takes pandas to import."""

    @property
    def simulated(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def subscribe(self, symbols: list[str]) -> None: ...
    def frame(self, timeout_s: float) -> str | bytes | None: ...
    def decode(self, frame: str | bytes) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long silence is borne in a session, and the pause before another connection, in seconds.

    The n-th pause in a row is a random time up to ``base_s * 2**n`` and at most ``cap_s``.
    """

    mute_after_s: float = 60.0
    base_s: float = 1.0
    cap_s: float = 60.0


class _MuteError(Exception):
    """The connection and the exchange are open, and nothing comes."""


class YahooStream:
    """A live source: quotes of the subscribed symbols, None while it is silent.

    What a lost or mute connection did not give is not sent again by Yahoo; both are counted.
    """

    name = NAME

    def __init__(
        self,
        connect: Callable[[], Connection],
        guard: Guard,
        symbols: Sequence[str],
        calendar: Calendar,
        clock: Clock,
        run_id: str,
        stopping: Callable[[], bool],
        patience: Patience = Patience(),
    ) -> None:
        self._connect = connect
        self._guard = guard
        self._project_symbol = {spell(symbol): symbol for symbol in symbols}
        self._calendar = calendar
        self._clock = clock
        self._run_id = run_id
        self._stopping = stopping
        self._patience = patience
        self._heard_at = clock.now()
        self._attempts = 0
        self._counts: Counter[str] = Counter()
        self._log = logs.get("stream").bind(source=NAME)

    def messages(self) -> Iterator[Message | Refused | None]:
        """Receive until asked to stop.

        Raises:
            DeniedError: Yahoo does not let us have the stream.
        """
        while not self._stopping():
            try:
                with self._guard.call(self._connect) as connection:
                    yield from self._received(connection)
            except StoppedError:
                return
            except DeniedError:
                raise
            except _MuteError:
                self._lost("mute", f"nothing for {self._patience.mute_after_s:g} s of a session")
            except ProviderError as error:
                self._lost("lost", str(error))
            yield from self._pause()

    def facts(self) -> Mapping[str, object]:
        names = ("connections", "quotes", "refused", "mute", "lost")
        return {name: self._counts[name] for name in names}

    def _received(self, connection: Connection) -> Iterator[Message | Refused | None]:
        self._counts["connections"] += 1
        self._heard_at = self._clock.now()
        beat_at = float("-inf")
        while not self._stopping():
            if self._clock.monotonic() - beat_at >= _HEARTBEAT_S:
                connection.subscribe(list(self._project_symbol))
                beat_at = self._clock.monotonic()
            frame = connection.frame(_SLICE_S)
            if frame is None:
                self._refuse_silence()
                yield None
            else:
                yield self._made(connection, frame)

    def _made(self, connection: Connection, frame: str | bytes) -> Message | Refused:
        now = self._clock.now()
        self._heard_at, self._attempts = now, 0
        body = frame.encode(errors="surrogatepass") if isinstance(frame, str) else frame
        try:
            message = self._quote(connection.decode(frame), now, connection.simulated)
        except ContractError as error:
            self._counts["refused"] += 1
            return Refused(body, QUOTES, "malformed", str(error))
        except msgspec.ValidationError as error:
            self._counts["refused"] += 1
            return Refused(body, QUOTES, "contract", str(error))
        self._counts["quotes"] += 1
        return message

    def _quote(self, fields: dict[str, Any], now: datetime, simulated: bool) -> Message:
        named = str(fields.get("id", ""))
        symbol, event_time = self._project_symbol.get(named, named), _event_time(fields)
        message: Message = msgspec.convert(
            {
                "schema": _SCHEMA,
                "event_id": observation_id(NAME, _SCHEMA, symbol, event_time, fields),
                "source": NAME,
                "simulated": simulated,
                "symbol": symbol,
                "event_time": event_time,
                "fetched_at": rfc3339(now),
                "run_id": self._run_id,
                "data": fields,
            },
            Message,
        )
        return message

    def _refuse_silence(self) -> None:
        now = self._clock.now()
        session = self._calendar.session_of(now)
        if session is None or not session.open_at <= now < session.close_at:
            return
        silent = now - max(self._heard_at, session.open_at)
        if silent > timedelta(seconds=self._patience.mute_after_s):
            raise _MuteError

    def _lost(self, how: str, why: str) -> None:
        self._counts[how] += 1
        self._attempts += 1
        self._log.warning("connection_lost", how=how, why=why)

    def _pause(self) -> Iterator[None]:
        """Leave Yahoo alone for a while, still ticking."""
        longest = min(self._patience.cap_s, self._patience.base_s * 2.0 ** min(self._attempts, 30))
        until = self._clock.monotonic() + random.uniform(0, longest)  # noqa: S311 - not a secret
        while self._clock.monotonic() < until and not self._stopping():
            self._clock.sleep(_SLICE_S)
            yield None


def _event_time(fields: Mapping[str, Any]) -> str:
    """Return the update's time.

    Raises:
        ContractError: it has none, or one of another age.
    """
    text = str(fields.get("time", ""))
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    except (ValueError, OverflowError):
        raise ContractError(f"expected a time in milliseconds, found {text[:30]!r}") from None
    return rfc3339(moment)


def connect(
    guard: Guard,
    symbols: Sequence[str],
    calendar: Calendar,
    clock: Clock,
    run_id: str,
    stopping: Callable[[], bool],
    url: str,
) -> YahooStream:
    """Return the stream of a server."""
    from ingestion.sources.yahoo import socket  # pandas: two seconds

    def opened() -> Connection:
        return socket.connect(url, clock)

    return YahooStream(opened, guard, symbols, calendar, clock, run_id, stopping)
