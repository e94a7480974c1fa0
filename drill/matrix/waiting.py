"""Polling: the drill waits for what it can see, never for a time to pass."""

import time
from collections.abc import Callable
from typing import Final

from drill.matrix.errors import RedError, UnseenError

POLL_S: Final = 0.1


def until(
    condition: Callable[[], object], timeout_s: float, what: str, error: type[RedError]
) -> float:
    """Return the seconds until ``condition`` was seen to hold.

    Raises:
        RedError: of the type ``error``, when it did not within ``timeout_s``.
    """
    began = time.monotonic()
    while not _holds(condition):
        if time.monotonic() - began > timeout_s:
            raise error(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(POLL_S)
    return time.monotonic() - began


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except UnseenError:
        return False
