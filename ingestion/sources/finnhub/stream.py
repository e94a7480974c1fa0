"""Finnhub's trades, as its WebSocket sends them, for as long as the run lasts.

One connection at a time: a key has but one. It is opened anew when it is lost, and when it is mute,
which such streams become without closing: no trade for ``mute_after_s`` of a session that has been
open for as long. Nothing is sent again by Finnhub, so what was missed is noted as a gap.
"""

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from random import Random, SystemRandom
from typing import Final, Protocol, Self
from uuid import uuid4

from ingestion import logs
from ingestion.calendar import Calendar
from ingestion.clock import Clock, rfc3339
from ingestion.contracts.records import Message
from ingestion.contracts.topics import REALTIME
from ingestion.errors import ContractError, SettingsError
from ingestion.sources.finnhub import NAME
from ingestion.sources.finnhub.frames import PROVIDER_ERROR, Place, StreamError, Trades, read
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import DeniedError, Guard, ProviderError, StoppedError
from ingestion.sources.sessions import open_session
from ingestion.sources.source import Refused

_SLICE_S: Final = 0.1
# After a stop what has come is read, from a server that never pauses no longer than this.
_ENDING_S: Final = 1.0
# Gaps that are told one by one; all are counted.
_GAPS_KEPT: Final = 100


class Connection(AbstractContextManager["Connection"], Protocol):
    """One connection: `socket.Socket`."""

    @property
    def simulated(self) -> bool: ...
    def __enter__(self) -> Self: ...
    def subscribe(self, symbols: Sequence[str]) -> None: ...
    def frame(self, timeout_s: float) -> bytes | None: ...


@dataclass(frozen=True)
class Patience:
    """How long silence is borne, and how long a lost connection is left alone, in seconds.

    The n-th attempt in a row comes after a random time up to ``base_s * 2**n``, at most ``cap_s``
    ("full jitter": clients that lost one server together do not come back together). A list of
    symbols that hardly trade is not connected anew for ever: each mute connection in a row is given
    twice the time of the one before, five times at most. What the guard waits, and tries by itself,
    comes on top.
    """

    mute_after_s: float = 60.0
    base_s: float = 1.0
    cap_s: float = 60.0

    def back_off_s(self, attempt: int, random: Random) -> float:
        return random.uniform(0.0, min(self.cap_s, self.base_s * 2.0 ** min(attempt, 30)))

    def silence_s(self, n_mute: int) -> float:
        return self.mute_after_s * 2.0 ** min(n_mute, 5)


@dataclass(frozen=True)
class Gap:
    """A time in which no connection was open, or the one that was said nothing."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{rfc3339(self.start)}/{rfc3339(self.end)}"


class _MuteError(Exception):
    """The connection is open, the exchange too, and no trade comes."""


class FinnhubTrades:
    """A live source: trades of the subscribed symbols, None while it is silent."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        guard: Guard,
        symbols: Sequence[str],
        calendar: Calendar,
        clock: Clock,
        envelopes: Envelopes,
        stopping: Callable[[], bool],
        patience: Patience | None = None,
        random: Random | None = None,
    ) -> None:
        if not symbols:
            raise SettingsError("expected at least one symbol to subscribe to, found none")
        self._connect = connect
        self._guard = guard
        self._symbols = list(dict.fromkeys(symbols))
        self._calendar = calendar
        self._clock = clock
        self._envelopes = envelopes
        self._stopping = stopping
        self._patience = patience or Patience()
        self._random = random or SystemRandom()
        self._counts: Counter[str] = Counter()
        self._gaps: deque[Gap] = deque(maxlen=_GAPS_KEPT)
        self._n_without = 0  # symbols that the plan had no room for, on this connection
        self._attempts = 0  # connections since the last trade
        self._n_mute = 0
        self._seq = 0
        self._trade_at = 0.0  # monotonic
        self._heard_at: datetime | None = None  # the last frame
        self._traded_at: datetime | None = None  # the last trade, or the subscription
        self._lost_at: datetime | None = None  # since when nothing is received
        self._log = logs.get("stream").bind(source=NAME)

    @property
    def name(self) -> str:
        return NAME

    def messages(self) -> Iterator[Message | Refused | None]:
        """Receive until asked to stop.

        Raises:
            DeniedError: the key is not valid, or may not use the stream.
        """
        try:
            while not self._stopping():
                yield from self._connected()
        finally:
            self._end_gap()

    def facts(self) -> Mapping[str, object]:
        return {
            **{
                name: self._counts[name]
                for name in ("connections", "frames", "trades", "refused", "pings", "errors")
            },
            "mute_connections": self._counts["mute"],
            "lost_connections": self._counts["lost"],
            "gaps": self._counts["gaps"],
            "last_gaps": [str(gap) for gap in self._gaps],
            "not_subscribed": self._without(),
        }

    def _connected(self) -> Iterator[Message | Refused | None]:
        """Receive from one connection, and leave the server alone for a while once it is lost."""
        try:
            with (yield from self._opened()) as connection:
                yield from self._received(connection)
        except StoppedError:
            return
        except DeniedError:
            raise
        except _MuteError:
            self._n_mute += 1
            # Pings came, but what trades did not?
            self._lose("mute", "no trade for too long in a session", self._traded_at)
        except ProviderError as error:
            self._lose("lost", str(error), self._heard_at)
        yield from self._pause()

    def _opened(self) -> Generator[None, None, Connection]:
        """Open a connection; what waits behind the source does not wait for the guard."""
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(self._guard.call, self._connect)
            while not wait([opening], _SLICE_S).done:
                yield None
        return opening.result()

    def _received(self, connection: Connection) -> Iterator[Message | Refused | None]:
        identity = uuid4().hex
        self._envelopes = replace(self._envelopes, simulated=connection.simulated)
        self._subscribe(connection, identity)
        number, until = 0, inf
        while self._clock.monotonic() < until:
            is_ending = self._stopping()
            if is_ending and until == inf:
                until = self._clock.monotonic() + _ENDING_S
            frame = connection.frame(0.0 if is_ending else _SLICE_S)
            if frame is not None:
                yield from self._read(frame, identity, number)
                number += 1
            elif is_ending:
                return
            else:
                self._refuse_silence()
                yield None

    def _subscribe(self, connection: Connection, identity: str) -> None:
        connection.subscribe(self._symbols)
        now = self._clock.now()
        self._counts["connections"] += 1
        self._log.info("connected", connection=identity, symbols=len(self._symbols))
        self._end_gap()
        self._heard_at = self._traded_at = now
        self._trade_at = self._clock.monotonic()
        self._n_without = 0

    def _read(self, frame: bytes, identity: str, number: int) -> Iterator[Message | Refused]:
        now = self._clock.now()
        self._heard_at = now
        self._counts["frames"] += 1
        place = Place(identity, number, rfc3339(now), self._seq)
        try:
            found = read(frame, place, self._envelopes)
        except ContractError as error:
            self._counts["refused"] += 1
            detail = f"frame {number} of {identity}: {error}"
            context = place.context(self._envelopes)
            yield Refused(frame, REALTIME, "malformed", detail, NAME, context)
            return
        if isinstance(found, Trades):
            yield from self._trades(found.made)
        elif isinstance(found, StreamError):
            yield self._complaint(found, frame, place)
        else:
            self._counts["pings"] += 1

    def _trades(self, made: list[Message | Refused]) -> Iterator[Message | Refused]:
        refused = sum(isinstance(item, Refused) for item in made)
        self._seq += len(made)
        self._counts["trades"] += len(made) - refused
        self._counts["refused"] += refused
        if made:
            self._traded_at = self._heard_at
            self._trade_at = self._clock.monotonic()
            self._attempts = self._n_mute = 0
        yield from made

    def _complaint(self, error: StreamError, frame: bytes, place: Place) -> Refused:
        self._counts["errors"] += 1
        detail = f"frame {place.frame} of {place.connection}: {error.text}"
        if error.is_too_many_symbols:
            self._n_without += 1
            detail = f"{detail}; without {', '.join(self._without())}"
        self._log.warning("provider_error", detail=detail)
        context = place.context(self._envelopes)
        return Refused(frame, REALTIME, PROVIDER_ERROR, detail, NAME, context)

    def _without(self) -> list[str]:
        """Return the symbols that were not subscribed: a full plan refuses the last of the list."""
        return self._symbols[-self._n_without :] if self._n_without else []

    def _refuse_silence(self) -> None:
        """Tell a mute connection by the session clock: outside of it silence is nothing.

        Raises:
            _MuteError: it is mute.
        """
        now = self._clock.now()
        session = open_session(self._calendar, now)
        if session is None:
            self._n_mute = 0  # each session begins with its own patience
            return
        limit_s = self._patience.silence_s(self._n_mute)
        open_for_s = (now - session.open_at).total_seconds()
        if min(open_for_s, self._clock.monotonic() - self._trade_at) > limit_s:
            raise _MuteError

    def _lose(self, what: str, why: str, heard_at: datetime | None) -> None:
        self._counts[what] += 1
        self._log.warning("connection_lost", how=what, detail=why)
        self._lost_at = self._lost_at or heard_at or self._clock.now()

    def _end_gap(self) -> None:
        if self._lost_at is None:
            return
        gap, self._lost_at = Gap(self._lost_at, self._clock.now()), None
        self._gaps.append(gap)
        self._counts["gaps"] += 1
        self._log.warning("gap", start=rfc3339(gap.start), end=rfc3339(gap.end))

    def _pause(self) -> Iterator[None]:
        until = self._clock.monotonic() + self._patience.back_off_s(self._attempts, self._random)
        self._attempts += 1
        while not self._stopping() and (left := until - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left, _SLICE_S))
            yield None
