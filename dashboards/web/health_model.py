"""What the view "Data health" shows, as plain data."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Level = Literal["ok", "warn", "bad", "unknown"]  # unknown: could not be read, which is not ok


@dataclass(frozen=True)
class Stage:
    """Records of one partition by stage, each from its own storage; None: does not apply."""

    topic: str
    partition: int
    kafka: int | None
    bronze: int | None
    lake: int | None
    rejected: int | None
    deduplicated: int | None
    warehouse: int | None
    silver: int | None
    quarantined: int | None
    gap: int


@dataclass(frozen=True)
class Gap:
    """A check of the auditor that does not hold; `examples` names up to 20 offsets, keys or ids."""

    check: str
    status: str
    where: str
    detail: str
    differences: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Reconciliation:
    """The auditor's last verdict."""

    level: Level
    summary: str
    verdict: str | None = None
    audited_at: datetime | None = None
    checks: int = 0
    stages: tuple[Stage, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class FeedLag:
    """How far a feed was behind at the build's now."""

    source: str
    feed: str
    status: str
    simulated: bool
    lag_sessions: int
    lag_open_s: int
    last_event_at: datetime


@dataclass(frozen=True)
class Lag:
    """Lag by feed."""

    level: Level
    summary: str
    feeds: tuple[FeedLag, ...] = ()


@dataclass(frozen=True)
class TestScore:
    """Tests of one model and dimension in the last run of the gate that is known."""

    model: str
    dimension: str
    checked: int
    failed: int
    warned: int
    failing_rows: int


@dataclass(frozen=True)
class LastBuild:
    """The published build and the tests that it passed; `failing` are those that did not."""

    level: Level
    summary: str
    build_id: str | None = None
    as_of: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    note: str | None = None
    checked: int = 0
    failed: int = 0
    warned: int = 0
    failing: tuple[TestScore, ...] = ()


@dataclass(frozen=True)
class QuarantineRule:
    """Records that one rule has refused."""

    relation: str
    rule: str
    reason: str
    records: int
    last_loaded_at: datetime | None


@dataclass(frozen=True)
class Quarantine:
    """Refused records by rule."""

    level: Level
    summary: str
    records: int = 0
    rules: tuple[QuarantineRule, ...] = ()


@dataclass(frozen=True)
class DeadLetter:
    """A record that was refused at the edge; what it holds is not shown."""

    offset: int
    at: datetime | None
    source: str
    reason: str
    detail: str
    topic: str
    state: str
    """waiting, redriven, or cut: too large to be kept whole."""


@dataclass(frozen=True)
class DeadLetters:
    """What is in the topic of dead letters: `records`, notes of what was re-driven among them.

    `newest` are the last few letters, the newest first.
    """

    level: Level
    summary: str
    records: int = 0
    newest: tuple[DeadLetter, ...] = ()


@dataclass(frozen=True)
class Topic:
    """A topic's log; `records` is end less start over its partitions."""

    name: str
    partitions: int
    records: int
    end: int


@dataclass(frozen=True)
class Group:
    """A group in one topic: the landers' in all of them, others where they have committed.

    `lag` is in records; what has never been committed counts whole.
    """

    name: str
    topic: str
    members: int
    state: str
    lag: int


@dataclass(frozen=True)
class Kafka:
    """Topics and groups."""

    level: Level
    summary: str
    topics: tuple[Topic, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Health:
    """All of it; `level` is the worst of its parts."""

    level: Level
    checked_at: datetime
    reconciliation: Reconciliation
    lag: Lag
    build: LastBuild
    quarantine: Quarantine
    dead_letters: DeadLetters
    kafka: Kafka
