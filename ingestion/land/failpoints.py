"""Places where a test can have this process killed.

``TAPEHOUSE_FAILPOINT=before-put:3`` sends SIGKILL to the process at the third time it comes to
``before-put``. Names: ``after-poll``, ``before-put``, ``after-put``, ``in-revoke``. Unset, a
failpoint costs one comparison.
"""

import os
import signal
from typing import Final

from ingestion.errors import SettingsError

VARIABLE: Final = "TAPEHOUSE_FAILPOINT"
NAMES: Final = frozenset({"after-poll", "before-put", "after-put", "in-revoke"})


class Failpoint:
    """One armed failpoint, or none."""

    def __init__(self, text: str = "") -> None:
        name, _, count = text.partition(":")
        if text and (name not in NAMES or not count.isdigit() or int(count) < 1):
            raise SettingsError(f"{VARIABLE}: expected <{'|'.join(sorted(NAMES))}>:<n>: {text!r}")
        self._name = name
        self._left = int(count or 0)

    @classmethod
    def from_environment(cls) -> "Failpoint":
        """Read `VARIABLE`.

        Raises:
            SettingsError: it is malformed.
        """
        return cls(os.environ.get(VARIABLE, ""))

    def reach(self, name: str) -> None:
        """Come to a named place; die there when it is this one's turn."""
        if name != self._name:
            return
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
