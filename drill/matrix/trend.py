"""Whether a process grows: memory and file descriptors over time, and the lines fitted to both."""

import threading
import time
from typing import Final, Self

import numpy as np
import psutil

_EVERY_S: Final = 2.0
# The share of the time in which a process still finds its size. A lander's is that of the most
# records that a fault has made it hold: in a soak of 25 minutes it took 14 to get to it (108 MiB
# after two minutes, 147 after 14, 146 after 20).
_WARM_UP: Final = 0.6
_LEAST: Final = 60  # samples after that; fewer make no trend
_RSS_SHARE: Final = 0.2  # of its median size may a process grow while it is watched
_DESCRIPTORS: Final = 15  # connections come and go with brokers


class Trend:
    """Samples a process until the block ends."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="trend", daemon=True)
        self.rows: list[tuple[float, float, float]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def notes(self) -> dict[str, float]:
        """Return sizes, and what they gain a minute; nothing where there is no sample."""
        rows = self._settled()
        if len(rows) < 2:
            return {}
        minutes, rss, descriptors = rows.T
        return {
            "rss_mb_median": round(float(np.median(rss)), 1),
            "rss_mb_per_min": round(float(np.polyfit(minutes, rss, 1)[0]), 3),
            "fds_median": float(np.median(descriptors)),
            "fds_per_min": round(float(np.polyfit(minutes, descriptors, 1)[0]), 3),
        }

    def problem(self) -> str | None:
        """Return how it grows beyond bounds; None where it does not, or `unjudged`."""
        rows = self._settled()
        if self.unjudged():
            return None
        found, minutes = self.notes(), float(rows[-1, 0] - rows[0, 0])
        gained_mb = found["rss_mb_per_min"] * minutes
        gained_fds = found["fds_per_min"] * minutes
        if gained_mb > _RSS_SHARE * found["rss_mb_median"]:
            return f"{gained_mb:.1f} MB more in {minutes:.1f} min: {found}"
        if gained_fds > _DESCRIPTORS:
            return f"{gained_fds:.0f} descriptors more in {minutes:.1f} min: {found}"
        return None

    def unjudged(self) -> str | None:
        """Return why there is no trend; None where there is one."""
        found = len(self._settled())
        return None if found >= _LEAST else f"expected {_LEAST} samples at least, found {found}"

    def _settled(self) -> np.ndarray:
        rows = self.rows
        return np.array(rows[int(len(rows) * _WARM_UP) :]).reshape(-1, 3)

    def _sample(self) -> None:
        began = time.monotonic()
        while not self._over.wait(_EVERY_S):
            try:
                rss, descriptors = self._process.memory_info().rss, self._process.num_fds()
            except psutil.NoSuchProcess:
                return
            self.rows.append(((time.monotonic() - began) / 60, rss / 2**20, descriptors))
