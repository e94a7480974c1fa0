"""Places where a test can have this process killed, or made to stand still.

``TAPEHOUSE_FAILPOINT=before-put:3`` sends SIGKILL to the process at the third time it comes to
``before-put``. Names: ``after-poll``, ``before-put``, ``after-put``, ``in-revoke``. With ``:stop``
behind it the process stops there as a whole until SIGCONT, with ``:hold`` only the thread that came
there stands still, for ever, while the others go on. Unset, a failpoint costs one comparison.
"""

import os
import signal
import threading
from typing import Final

from ingestion.errors import SettingsError

VARIABLE: Final = "TAPEHOUSE_FAILPOINT"
NAMES: Final = frozenset({"after-poll", "before-put", "after-put", "in-revoke"})
DEEDS: Final = frozenset({"", "stop", "hold"})


class Failpoint:
    """One armed failpoint, or none."""

    def __init__(self, text: str = "") -> None:
        name, _, rest = text.partition(":")
        count, _, deed = rest.partition(":")
        is_count = count.isdigit() and int(count) >= 1
        if text and not (name in NAMES and is_count and deed in DEEDS):
            raise SettingsError(
                f"{VARIABLE}: expected <{'|'.join(sorted(NAMES))}>:<n>[:stop|:hold]: {text!r}"
            )
        self._name = name
        self._left = int(count or 0)
        self._deed = deed
        self._counting = threading.Lock()  # workers come to a place at once

    @classmethod
    def from_environment(cls) -> "Failpoint":
        """Read `VARIABLE`.

        Raises:
            SettingsError: it is malformed.
        """
        return cls(os.environ.get(VARIABLE, ""))

    def reach(self, name: str) -> None:
        """Come to a named place; when it is this one's turn, die, stop or stay there."""
        if name != self._name or not self._is_its_turn():
            return
        match self._deed:
            case "stop":
                # To this very thread: another one would take a signal to the process later on.
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
            case "hold":
                threading.Event().wait()
            case _:
                os.kill(os.getpid(), signal.SIGKILL)

    def _is_its_turn(self) -> bool:
        """Count a visit; true for one thread alone, whoever comes later."""
        with self._counting:
            self._left -= 1
            return self._left == 0
