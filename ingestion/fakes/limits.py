"""Whether a client keeps a provider's limits: windows that slide, per key."""

from collections import deque
from collections.abc import Sequence

from ingestion.fakes.script import Limit


class Windows:
    """The accepted requests of one key, as far back as its longest limit reaches."""

    def __init__(self, limits: Sequence[Limit], slack_s: float) -> None:
        self._limits = limits
        self._slack_s = slack_s
        self._accepted: deque[float] = deque()

    def broken_by(self, at: float) -> Limit | None:
        """Return the limit that a request at this second breaks, or accept it."""
        longest = max((limit.seconds for limit in self._limits), default=0.0)
        while self._accepted and self._accepted[0] <= at - longest:
            self._accepted.popleft()
        for limit in self._limits:
            if self.used(limit, at) >= limit.requests:
                return limit
        self._accepted.append(at)
        return None

    def used(self, limit: Limit, at: float) -> int:
        """Count the accepted requests within a limit's window that ends now."""
        since = at - max(limit.seconds - self._slack_s, 0.0)
        used = 0
        for moment in reversed(self._accepted):
            if moment <= since:
                break
            used += 1
        return used
