"""Landers that have joined their group before there is anything to land: no start in the figure.

The records of a run are spread over all partitions of three topics: how a group shares partitions
does not heed which topic they are of, and one topic's could all stay with one lander.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import Final

from benchmarks.land import data, measure, ours
from ingestion.contracts.topics import BATCH, QUOTES, REALTIME

TOPICS: Final = (BATCH, QUOTES, REALTIME)
_SHARE: Final = 0.9


class Hot:
    """One stack's runs: each lands what the one before has left behind, and its own records."""

    def __init__(self, messages: int, environment: Mapping[str, str]) -> None:
        self._each = messages // len(TOPICS)
        self._environment = {**ours.fresh(environment), "LAND_PROFILE": "fast"}
        self._home = Path(environment["TAPEHOUSE_ENV_FILE"]).parent
        self._runs = 0

    def land(self, processes: int) -> measure.Run:
        """Measure from the moment that records can be read until nine tenths of them are landed.

        The last objects are not full: they wait for their age, however fast a lander is.

        Raises:
            TapehouseError: a lander does not join or fails, or bronze lacks a record.
        """
        self._runs += 1
        held = data.Held(f"held-{self._runs}")
        for topic in TOPICS:
            held.fill(topic, data.made_up(self._each))
        logs = [self._home / f"hot-{self._runs}-{number}.log" for number in range(processes)]
        with ExitStack() as files:
            landers = [
                ours.start(self._environment, files.enter_context(log.open("wb"))) for log in logs
            ]
            for log in logs:
                ours.await_partitions(log)
            begin = time.time()
            held.release()
            wanted = self._each * len(TOPICS)
            samples = measure.watch(landers, lambda: sum(map(_landed, logs)) >= wanted)
        for lander, log in zip(landers, logs, strict=True):
            measure.require_success(lander, log)
        for topic in TOPICS:
            ours.require_landed(topic, self._runs * self._each, self._environment)
        landed, end = reached(_SHARE * wanted, [event for log in logs for event in ours.told(log)])
        return measure.run_of(samples, landed, begin, end)


def reached(wanted: float, events: Iterable[ours.Event]) -> tuple[int, float]:
    """Return how many records were landed, and when, as soon as there were ``wanted`` of them."""
    landed = sorted((at, told["count"]) for name, at, told in events if name == "landed")
    totals = accumulate(count for _, count in landed)
    return next((n, at) for n, (at, _) in zip(totals, landed, strict=True) if n >= wanted)


def _landed(log: Path) -> int:
    return sum(told["count"] for name, _, told in ours.told(log) if name == "landed")
