"""The adapter around yfinance: nothing else of the project imports it.

Importing it takes pandas with it, two seconds: only a command that talks to Yahoo imports this.
"""

import logging
import threading
import warnings
from datetime import date, timedelta
from pathlib import Path
from typing import Final, Self

import yfinance
from yfinance.cache import _CookieDBManager, _ISINDBManager, _TzDBManager
from yfinance.data import YfData
from yfinance.exceptions import YFException, YFRateLimitError

from ingestion import logs
from ingestion.clock import Clock
from ingestion.errors import TapehouseError
from ingestion.sources.provider import (
    DeniedError,
    Guard,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
)
from ingestion.sources.yahoo.answer import Answer
from ingestion.sources.yahoo.session import GuardedSession

_DENIED: Final = (401, 403)
# yfinance has one session, one cookie and one cache in a process, whoever uses it.
_lock = threading.Lock()


class Client:
    """Asks Yahoo through yfinance, one question at a time, and gives back the answers' bytes.

    ``folder`` is where yfinance keeps what it knows of symbols (their time zones) and its cookie.
    """

    def __init__(
        self, guard: Guard, clock: Clock, folder: Path, base_url: str | None, timeout_s: float
    ) -> None:
        self._session = GuardedSession(guard, clock, base_url)
        self._timeout_s = timeout_s
        _configure(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, and yfinance's files."""
        self._session.close()
        for manager in (_TzDBManager, _CookieDBManager, _ISINDBManager):
            manager.close_db()

    def chart(self, symbol: str, interval: str, start: date, end: date) -> Answer:
        """Ask for a symbol's bars and actions from ``start`` to ``end``, both inclusive.

        ``symbol`` and ``interval`` are in Yahoo's spelling.

        Raises:
            ProviderError: there is no answer to the question; by what the last answer was.
            StoppedError: the run was asked to end.
        """
        with _lock, warnings.catch_warnings():
            # pandas tells yfinance of its own future; yfinance lets that through.
            warnings.simplefilter("ignore")
            # It remembers answers about the past, and corrections with them.
            YfData.cache_get.cache_clear()
            self._session.begin()
            try:
                self._ask(symbol, interval, start, end)
            except TapehouseError:
                raise
            except Exception as error:
                # pandas may fail on what yfinance was given: that is judged where it is read.
                if self._session.answered is None:
                    raise _typed(error, symbol, self._session) from error
                logs.get("yahoo").info("yfinance_failed", symbol=symbol, error=str(error)[:200])
            return self._answer(symbol)

    def _ask(self, symbol: str, interval: str, start: date, end: date) -> None:
        yfinance.Ticker(symbol, session=self._session).history(
            start=start.isoformat(),
            end=(end + timedelta(days=1)).isoformat(),
            interval=interval,
            auto_adjust=False,
            keepna=True,
            actions=True,
            repair=False,
            timeout=self._timeout_s,
        )

    def _answer(self, symbol: str) -> Answer:
        if self._session.answered is None:
            raise NoDataError(f"Yahoo: no answer about {symbol}", self._session.body)
        return self._session.answered


def _configure(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    yfinance.set_tz_cache_location(str(folder))
    yfinance.config.debug.hide_exceptions = False
    yfinance.config.network.retries = 0  # the guard decides what is tried again
    log = logging.getLogger("yfinance")
    if not log.handlers:  # what it would print quotes what was received
        log.addHandler(logging.NullHandler())
    log.propagate = False


def _typed(error: Exception, symbol: str, session: GuardedSession) -> ProviderError:
    """Return what a failure inside yfinance means, by the last chart answer before it."""
    if isinstance(error, YFRateLimitError):
        return RateLimitedError(f"Yahoo: {symbol}: too many requests", session.body)
    if session.status in _DENIED:
        return DeniedError(f"Yahoo: {symbol}: status {session.status}", session.body)
    if session.status is None:
        # Also what yfinance's own files do: the text is all that tells it from a dead server.
        text = f"{type(error).__name__}: {str(error)[:200]}"
        return ProviderDownError(f"Yahoo: {symbol}: before any answer: {text}")
    if isinstance(error, YFException):
        return NoDataError(f"Yahoo: {str(error)[:200]}", session.body)
    return MalformedError(f"Yahoo: {symbol}: {type(error).__name__}", session.body)
