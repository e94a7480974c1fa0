"""Finnhub's WebSocket: one connection, and how it fails.

The key goes into the address, as Finnhub wants it. It is in no error, no log line and no frame.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Self
from urllib.parse import quote

import msgspec
from websockets.exceptions import ConnectionClosed, InvalidStatus, InvalidURI, WebSocketException
from websockets.http11 import Response
from websockets.sync import client
from websockets.sync.client import ClientConnection

from ingestion.clock import Clock
from ingestion.errors import SettingsError
from ingestion.sources.fetch import SIMULATED, Key, retry_after_s
from ingestion.sources.finnhub import NAME
from ingestion.sources.provider import (
    DeniedError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
)

_OPEN_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 2.0
# A frame of some hundred trades has 30 kB. One beyond this ends the connection, unread.
_MAX_FRAME_BYTES: Final = 16 * 2**20
_DENIED: Final = (401, 403)
_LIMITED: Final = 429


class Socket:
    """An open connection; as a context manager it is closed at the end.

    Its methods raise ProviderDownError where the connection is lost.
    """

    def __init__(self, connection: ClientConnection, key: Key) -> None:
        self._connection = connection
        self._key = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def simulated(self) -> bool:
        """What a local server says of its data."""
        response = self._connection.response
        return response is not None and response.headers.get(SIMULATED) == "true"

    def subscribe(self, symbols: Sequence[str]) -> None:
        """Ask for the trades of symbols."""
        for symbol in symbols:
            message = msgspec.json.encode({"type": "subscribe", "symbol": symbol})
            try:
                self._connection.send(message.decode())
            except (OSError, WebSocketException) as error:
                raise _down(error) from None

    def frame(self, timeout_s: float) -> bytes | None:
        """Return the next frame's bytes as they came, None where none comes in time."""
        try:
            frame = self._connection.recv(timeout=timeout_s, decode=False)
        except TimeoutError:
            return None
        except (OSError, WebSocketException) as error:
            raise _down(error) from None
        return self._key.hidden(frame if isinstance(frame, bytes) else frame.encode())


def connector(url: str, key: str, clock: Clock) -> Callable[[], Socket]:
    """Return what opens a connection.

    What is returned raises ProviderError where the handshake fails, by the status if there is one,
    and SettingsError where the address is none.
    """
    # Its handshake is logged with the address: nothing of it is.
    silent = logging.getLogger("tapehouse.websockets")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    silent.setLevel(logging.CRITICAL)

    def open_() -> Socket:
        try:
            connection = client.connect(
                f"{url}?token={quote(key, safe='')}",
                open_timeout=_OPEN_TIMEOUT_S,
                close_timeout=_CLOSE_TIMEOUT_S,
                max_size=_MAX_FRAME_BYTES,
                logger=silent,
            ).__enter__()
        except InvalidURI:
            raise SettingsError(f"expected a WebSocket's address, found {url}") from None
        except InvalidStatus as error:
            raise _refusal(error.response, clock.now()) from None
        except (OSError, WebSocketException) as error:
            raise _down(error) from None
        return Socket(connection, Key(key))

    return open_


def _refusal(response: Response, now: datetime) -> ProviderError:
    """Judge a handshake by its status."""
    status = response.status_code
    text = f"{NAME}: the stream answered with status {status}"
    if status in _DENIED:
        return DeniedError(text)
    if status == _LIMITED:
        wait_s = retry_after_s(response.headers.get("Retry-After"), now)
        return RateLimitedError(text, retry_after_s=wait_s)
    return ProviderDownError(text)


def _down(error: Exception) -> ProviderDownError:
    """Return what is safe to tell: its type, and a close code; its text may hold the address."""
    closed = (error.rcvd or error.sent) if isinstance(error, ConnectionClosed) else None
    code = "" if closed is None else f" {closed.code}"
    return ProviderDownError(f"{NAME}: no stream ({type(error).__name__}{code})")
