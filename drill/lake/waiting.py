"""Wait for another process, by a file that it makes."""

import time
from pathlib import Path
from typing import Final

_WAIT_S: Final = 300.0
_POLL_S: Final = 0.005


def wait_for(path: Path) -> None:
    """Wait until a file is there.

    Raises:
        TimeoutError: it is not within five minutes.
    """
    deadline = time.monotonic() + _WAIT_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} did not appear")
        time.sleep(_POLL_S)
