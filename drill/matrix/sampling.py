"""Memory of landers over time, read by a thread of its own while a row waits for other things."""

import threading
from collections.abc import Sequence
from typing import Final, Self

import psutil

from drill.matrix.members import Member

_EVERY_S: Final = 0.25
MIB: Final = 2**20
# What a lander may take of memory in its default profile, at any backlog.
RSS_LIMIT: Final = 350_000_000


class Sampler:
    """The highest resident size and the most buffered bytes that any of some landers showed."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.rss = 0
        self.buffered = 0
        self.was_paused = False
        self._members = members
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        for member in self._members:
            self.rss = max(self.rss, rss(member))
            status = member.status()
            self.buffered = max(self.buffered, status.get("buffered_bytes", 0))
            self.was_paused |= status.get("paused", False)


def rss(member: Member) -> int:
    """Return a lander's resident bytes; 0 where its process has ended."""
    try:
        return int(psutil.Process(member.process.pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
