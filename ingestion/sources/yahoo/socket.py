"""Yahoo's WebSocket through yfinance: its connection, its subscription, its decoder.

Its ``listen()`` is not used: it gives no frame that it cannot decode, and does not end when it is
told to. Importing this takes pandas with it.
"""

import base64
import binascii
import json
from typing import Any, Final

import yfinance
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync import client

from ingestion.clock import Clock
from ingestion.errors import ContractError
from ingestion.sources.fetch import SIMULATED, retry_after_s
from ingestion.sources.provider import DeniedError, ProviderDownError, RateLimitedError

_CLOSE_TIMEOUT_S: Final = 2.0
# An update has 200 bytes. One beyond this ends the connection, unread.
_MAX_FRAME_BYTES: Final = 16 * 2**20


class Socket(yfinance.WebSocket):  # type: ignore[misc]  # yfinance has no types
    """One connection."""

    _ws: Any

    def __init__(self, url: str) -> None:
        super().__init__(url, verbose=False)

    def _connect(self) -> None:
        """Open the connection as websockets wants it now; yfinance's own way only warns."""
        if self._ws is None:
            self._ws = client.connect(
                self.url, close_timeout=_CLOSE_TIMEOUT_S, max_size=_MAX_FRAME_BYTES
            ).__enter__()

    def frame(self, timeout_s: float) -> str | bytes | None:
        """Return the next frame as received, None when none came.

        Raises:
            ProviderDownError: the connection is lost.
        """
        try:
            received: str | bytes = self._ws.recv(timeout=timeout_s)
        except TimeoutError:
            return None
        except (WebSocketException, OSError) as error:
            raise ProviderDownError(f"Yahoo's stream: {type(error).__name__}") from error
        return received

    @property
    def simulated(self) -> bool:
        """What a local server says of its data."""
        return bool(self._ws.response.headers.get(SIMULATED) == "true")

    def subscribe(self, symbols: list[str]) -> None:
        """Ask for symbols; asked again, it keeps the connection from being closed as idle."""
        try:
            super().subscribe(symbols)
        except (WebSocketException, OSError) as error:
            raise ProviderDownError(f"Yahoo's stream: {type(error).__name__}") from error

    def decode(self, frame: str | bytes) -> dict[str, Any]:
        """Return the fields of a price update by their names; those that are 0 are absent.

        Raises:
            ContractError: the frame is none.
        """
        try:
            document = json.loads(frame)
            if not isinstance(document, dict) or document.get("type") != "pricing":
                raise ContractError("expected a frame of type 'pricing', found another")
            message = str(document.get("message"))
            base64.b64decode(message, validate=True)  # yfinance skips what is not base64
            fields: dict[str, Any] = self._decode_message(message)
        except (ValueError, RecursionError, binascii.Error, DecodeError) as error:
            raise ContractError(f"not a frame of the stream: {str(error)[:200]}") from None
        return fields


def connect(url: str, clock: Clock) -> Socket:
    """Open a connection.

    Raises:
        ProviderError: it cannot be opened; by the status, where there is one.
    """
    yfinance.config.debug.hide_exceptions = False
    socket = Socket(url)
    try:
        socket.__enter__()
    except InvalidStatus as error:
        status = error.response.status_code
        text = f"Yahoo's stream: status {status}"
        if status == 429:
            wait_s = retry_after_s(error.response.headers.get("Retry-After"), clock.now())
            raise RateLimitedError(text, retry_after_s=wait_s) from error
        raise (DeniedError if status in (401, 403) else ProviderDownError)(text) from error
    except (WebSocketException, OSError) as error:
        raise ProviderDownError(f"Yahoo's stream: {type(error).__name__}") from error
    return socket
