"""What the landers of this machine do, partition by partition, against what Kafka holds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from ingestion.clock import Clock, rfc3339
from ingestion.errors import BrokerError
from ingestion.land import health
from ingestion.land.backlog import Offsets
from ingestion.land.chain import Phase
from ingestion.land.health import Health
from ingestion.land.protocol import Partition
from ingestion.land.status import Document

UNOWNED: Final = "unowned"
# Between two owners a partition has none: for the session of one that died (45 s is the longest
# that we run with), and a rebalance.
_BETWEEN_OWNERS_S: Final = 60.0


@dataclass(frozen=True)
class Row:
    """One partition as one lander tells it; as Kafka does where no lander here has it.

    ``landed`` of a partition that nobody has, or whose chain's end is being found, is the committed
    offset: bronze has that much at least. None is what nobody knows.
    """

    lander: str | None
    topic: str
    partition: int
    phase: str
    landed: int | None
    log_end: int | None
    lag: int | None
    received_per_s: float = 0.0
    landed_per_s: float = 0.0
    buffered_records: int = 0
    buffered_bytes: int = 0
    oldest_unlanded_s: float | None = None
    error: str | None = None

    @property
    def place(self) -> Partition:
        """The partition's name."""
        return Partition(self.topic, self.partition)


@dataclass(frozen=True)
class LanderState:
    """One lander process; ``problem`` is why it does not write, None while it does."""

    name: str
    pid: int
    problem: str | None
    is_silent: bool
    paused: bool
    landed_records: int
    landed_objects: int
    alarms: Mapping[str, int]


@dataclass(frozen=True)
class Totals:
    """Over all partitions; one that two landers tell of has the smaller lag of both."""

    lag: int
    received_per_s: float
    landed_per_s: float
    buffered_records: int
    buffered_bytes: int
    oldest_unlanded_s: float | None


@dataclass(frozen=True)
class Overview:
    """The landers at one moment; ``problems`` is empty where all is as it should be."""

    at: str
    landers: tuple[LanderState, ...]
    dead: Mapping[str, int]
    """Landers that died lately, and how many records each held, to be read again."""
    partitions: tuple[Row, ...]
    totals: Totals
    problems: tuple[str, ...]


def look(run: Path, clock: Clock, ask: Callable[[], Mapping[Partition, Offsets]]) -> Overview:
    """Return what the landers with a status file in ``run`` tell, and what ``ask`` finds in Kafka.

    Kafka need not answer: a BrokerError of ``ask`` is one of the problems.
    """
    landers = health.of_landers(run, clock)
    offsets, problems = _ask(ask)
    rows = (*_owned(landers, offsets), *_unowned(landers, offsets))
    totals = _totals(rows)
    if not landers and totals.lag:
        problems.append(f"no lander runs here, and {totals.lag} offsets are not in bronze")
    problems += [
        f"lander {x.told['name']} (process {x.pid}) is {x.problem}" for x in landers if x.problem
    ]
    problems += _left_out(landers, rows, clock)
    return Overview(
        at=rfc3339(clock.now()),
        landers=tuple(map(_state, landers)),
        dead={told["name"]: told["buffered_records"] for told in health.of_dead(run)},
        partitions=tuple(sorted(rows, key=lambda row: (row.place, row.lander or ""))),
        totals=totals,
        problems=tuple(problems),
    )


def _left_out(landers: Iterable[Health], rows: Iterable[Row], clock: Clock) -> Iterator[str]:
    """Yield the landers that the group gives nothing, although there is something to give."""
    lag = sum(row.lag or 0 for row in rows if row.phase == UNOWNED)
    for lander in landers:
        since = lander.idle_since
        if lag and since and not lander.problem and _age_s(since, clock) > _BETWEEN_OWNERS_S:
            name = f"lander {lander.told['name']} (process {lander.pid})"
            yield (
                f"{name} has had no partition since {health.second(since)}, "
                f"and {lag} offsets wait in partitions that no lander here has"
            )


def _age_s(moment: str, clock: Clock) -> float:
    return (clock.now() - datetime.fromisoformat(moment)).total_seconds()


def _ask(
    ask: Callable[[], Mapping[Partition, Offsets]],
) -> tuple[Mapping[Partition, Offsets], list[str]]:
    try:
        return ask(), []
    except BrokerError as error:
        return {}, [f"Kafka does not answer, so log ends are as landers saw them last: {error}"]


def _owned(landers: Iterable[Health], offsets: Mapping[Partition, Offsets]) -> Iterator[Row]:
    for lander in landers:
        for told in lander.told["partitions"]:
            yield _row(lander.told["name"], told, offsets.get(_place(told)))


def _row(name: str, told: Document, offsets: Offsets | None) -> Row:
    end = max(
        (x for x in (told["log_end"], offsets and offsets.end) if x is not None), default=None
    )
    landed = told["landed"]
    if told["phase"] == Phase.LOCATING:
        landed = offsets.committed if offsets else None
    return Row(
        lander=name,
        topic=told["topic"],
        partition=told["partition"],
        phase=told["phase"],
        landed=landed,
        log_end=end,
        lag=None if end is None or landed is None else max(0, end - landed),
        received_per_s=told["received_per_s"],
        landed_per_s=told["landed_per_s"],
        buffered_records=told["buffered_records"],
        buffered_bytes=told["buffered_bytes"],
        oldest_unlanded_s=told["oldest_unlanded_s"],
        error=told["error"],
    )


def _unowned(landers: Iterable[Health], offsets: Mapping[Partition, Offsets]) -> Iterator[Row]:
    owned = {_place(told) for lander in landers for told in lander.told["partitions"]}
    for place, found in offsets.items():
        if place not in owned:
            yield Row(None, *place, UNOWNED, found.committed, found.end, found.lag)


def _totals(rows: Iterable[Row]) -> Totals:
    rows = list(rows)
    ages = [row.oldest_unlanded_s for row in rows if row.oldest_unlanded_s is not None]
    return Totals(
        lag=sum(_lags(rows).values()),
        received_per_s=round(sum(row.received_per_s for row in rows), 1),
        landed_per_s=round(sum(row.landed_per_s for row in rows), 1),
        buffered_records=sum(row.buffered_records for row in rows),
        buffered_bytes=sum(row.buffered_bytes for row in rows),
        oldest_unlanded_s=max(ages, default=None),
    )


def _lags(rows: Iterable[Row]) -> dict[Partition, int]:
    lags: dict[Partition, int] = {}
    for row in rows:
        if row.lag is not None:
            lags[row.place] = min(row.lag, lags.get(row.place, row.lag))
    return lags


def _state(lander: Health) -> LanderState:
    told = lander.told
    return LanderState(
        name=told["name"],
        pid=lander.pid,
        problem=lander.problem,
        is_silent=lander.is_silent,
        paused=told["paused"],
        landed_records=told["landed_records"],
        landed_objects=told["landed_objects"],
        alarms=told["alarms"],
    )


def _place(told: Document) -> Partition:
    return Partition(told["topic"], told["partition"])
