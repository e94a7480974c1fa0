"""Landers that have joined their group before there is anything to land: no start in the figure.

The records of a run are spread evenly over all partitions of all topics: how a group shares
partitions heeds neither topic nor records, and one topic's could all stay with one lander.
"""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import Final

from benchmarks.land import data, joined, measure, ours
from benchmarks.land.joined import PARTITIONS_OF
from ingestion.errors import TapehouseError
from ingestion.land import process
from ingestion.land.protocol import PutOutcome

# Between these shares of all records the rate is measured: the first objects have been filled
# while nothing else was, and the last 96 MiB of lines a process (half of what it may hold) wait for
# their age, however fast it is. Of 3 M records, 870 MiB of lines, two processes hold 22 % so.
_FROM: Final = 0.1
_TO: Final = 0.7
_STALL_S: Final = 90.0  # objects close after 2 s, and a lander gives the store 60 s to answer


class Hot:
    """One stack's runs: each lands its own records, of the same values, behind the others'."""

    def __init__(self, messages: int, environment: Mapping[str, str]) -> None:
        self._each = messages // sum(PARTITIONS_OF.values())
        self._environment = {**ours.fresh(environment), "LAND_PROFILE": "fast"}
        self._home = Path(environment["TAPEHOUSE_ENV_FILE"]).parent
        self._runs = 0

    def land(self, processes: int) -> measure.Run:
        """Measure landing between two shares of what is landed, the landers having joined before.

        Raises:
            TapehouseError: a lander does not join or fails, or bronze does not hold what was sent.
        """
        self._runs += 1
        logs = [self._home / f"hot-{self._runs}-{number}.log" for number in range(processes)]
        with ExitStack() as ending:
            held = ending.enter_context(data.Held(data.transactional(f"held-{self._runs}")))
            sent = {topic: held.fill(topic, self._items(topic)) for topic in PARTITIONS_OF}
            landers = [self._start(log, ending) for log in logs]
            joined.wait(landers, process.run_folder())
            wanted = sum(one.records for one in sent.values())
            progress = Progress(logs, wanted)
            samples = measure.watch(landers, progress.is_over, held.release)
        for lander, log in zip(landers, logs, strict=True):
            measure.require_success(lander, log)
        for topic, one in sent.items():
            ours.require_landed(topic, one.times(self._runs), self._environment)
        return measure.run_of(samples, *between(wanted, _told(logs)))

    def _items(self, topic: str) -> Iterator[data.Item]:
        partitions = PARTITIONS_OF[topic]
        for item in data.made_up(self._each * partitions):
            yield item._replace(partition=item.partition % partitions)

    def _start(self, log: Path, ending: ExitStack) -> "subprocess.Popen[bytes]":
        lander = ours.start(self._environment, ending.enter_context(log.open("wb")))
        ending.callback(measure.end, lander)
        return lander


class Progress:
    """Tells from the landers' logs whether all records of a run are landed."""

    def __init__(
        self, logs: Sequence[Path], wanted: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        """Take where they log and how many records there are."""
        self._logs = logs
        self._wanted = wanted
        self._now = now
        self._landed, self._since = 0, now()

    def is_over(self) -> bool:
        """Tell whether it is so.

        Raises:
            TapehouseError: an object was adopted, so that no lander will say that its records are
                landed; or no lander has said anything for long.
        """
        told, now = _told(self._logs), self._now()
        _require_none_adopted(told)
        landed: int = sum(one.told["count"] for one in told if one.name == "landed")
        if landed > self._landed:
            self._landed, self._since = landed, now
        if landed < self._wanted and now - self._since > _STALL_S:
            raise TapehouseError(
                f"expected {self._wanted:,} records to be landed, found {landed:,} and nothing "
                f"more in {_STALL_S:.0f} s"
            )
        return landed >= self._wanted


def between(records: int, events: Iterable[ours.Event]) -> tuple[int, float, float]:
    """Return what was landed between the two shares of ``records``, from when, until when.

    Raises:
        TapehouseError: less was landed, or one object reaches both.
    """
    told = list(events)
    before, begin = reached(_FROM * records, told)
    landed, end = reached(_TO * records, told)
    if end <= begin:
        raise TapehouseError(f"{records:,} records are too few: landed at one and the same moment")
    return landed - before, begin, end


def reached(wanted: float, events: Iterable[ours.Event]) -> tuple[int, float]:
    """Return how many records were landed, and when, as soon as there were ``wanted`` of them.

    Raises:
        TapehouseError: there never were.
    """
    landed = sorted((one.at, one.told["count"]) for one in events if one.name == "landed")
    total = 0
    for total, (at, _) in zip(accumulate(count for _, count in landed), landed, strict=True):
        if total >= wanted:
            return total, at
    raise TapehouseError(f"expected {wanted:,.0f} records to be landed, found {total:,}")


def _told(logs: Iterable[Path]) -> list[ours.Event]:
    return [event for log in logs for event in ours.told(log)]


def _require_none_adopted(events: Iterable[ours.Event]) -> None:
    for _, _, told in (one for one in events if one.name == "not_landed"):
        if told["outcome"] == PutOutcome.EXISTS.value:
            raise TapehouseError(
                f"{told['partition']}: the object at {told['start']} was there before and is "
                "adopted: its records are landed, but nobody can say when"
            )
