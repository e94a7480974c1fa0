"""Wait until the broker acts by what its controller has written."""

import time
from collections.abc import Callable

from ingestion.errors import BrokerError

TIMEOUT_S = 20.0
POLL_S = 0.05


def wait_until(missing: Callable[[], list[str]], what: str) -> None:
    """Return when the broker shows all of it; ``missing`` says what it does not show yet.

    The controller answers a request as soon as the change is in its log. A broker replays that log
    in its own time, and until then refuses a user who is already allowed.

    Raises:
        BrokerError: it still does not after ``TIMEOUT_S`` seconds.
    """
    deadline = time.monotonic() + TIMEOUT_S
    while lacking := missing():
        if time.monotonic() >= deadline:
            raise BrokerError(
                f"Kafka took the {what} but does not act by them after {TIMEOUT_S:g} s: "
                f"{len(lacking)} differ, among them {lacking[0]}"
            )
        time.sleep(POLL_S)
