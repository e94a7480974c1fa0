"""What the view "Data health" shows: a source that is absent or broken says so.

Published gold tells of feeds, tests and quarantine, the auditor's verdict of the reconciliation,
Kafka of its topics, groups and dead letters. None of them can hide another one or break the page.
"""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol, TypeVar

from dashboards.web.freshness import Reads
from dashboards.web.health_audit import reconciliation
from dashboards.web.health_gold import lag, last_build, quarantine, worst
from dashboards.web.health_kafka import Cluster
from dashboards.web.health_model import (
    DeadLetter,
    DeadLetters,
    FeedLag,
    Gap,
    Group,
    Health,
    Kafka,
    Lag,
    LastBuild,
    Level,
    Quarantine,
    QuarantineRule,
    Reconciliation,
    Stage,
    TestScore,
    Topic,
)
from ingestion.calendar import Calendar
from ingestion.clock import Clock, SystemClock
from ingestion.contracts.topics import DEAD_LETTERS
from ingestion.settings import KafkaSettings

__all__ = [
    "DeadLetter",
    "DeadLetters",
    "FeedLag",
    "Gap",
    "Group",
    "Health",
    "HealthReader",
    "Kafka",
    "Lag",
    "LastBuild",
    "Level",
    "OpensBuild",
    "Quarantine",
    "QuarantineRule",
    "Reconciliation",
    "Stage",
    "TestScore",
    "Topic",
]

_CLOCK: Final = SystemClock()
T = TypeVar("T")


class OpensBuild(Protocol):
    """What gives a published build: `dbt_stocks.reader.GoldReader` is one."""

    def pinned(self) -> AbstractContextManager[Reads]: ...


class HealthReader:
    """Reads every source, with short timeouts; an answer is kept for `ttl_s`. Thread-safe.

    While one thread reads, the others get the answer before.
    """

    def __init__(
        self,
        gold: OpensBuild,
        verdict: Path,
        kafka: KafkaSettings,
        calendar: Calendar,
        ttl_s: float = 10.0,
        clock: Clock = _CLOCK,
    ) -> None:
        """Take gold, ``var/audit/verdict.json``, Kafka as auditor, and whose sessions make late."""
        self._gold = gold
        self._verdict = verdict
        self._settings = kafka
        self._calendar = calendar
        self._ttl_s = ttl_s
        self._clock = clock
        self._mutex = threading.Lock()
        self._cluster: Cluster | None = None
        self._last: Health | None = None
        self._read_at = 0.0

    def read(self) -> Health:
        """Return the health of now; what a source raises is in it as text."""
        if self._last is not None and self._clock.monotonic() - self._read_at < self._ttl_s:
            return self._last
        if not self._mutex.acquire(blocking=self._last is None):
            assert self._last is not None  # noqa: S101 - else it would have waited
            return self._last
        try:
            if self._last is None or self._clock.monotonic() - self._read_at >= self._ttl_s:
                self._last, self._read_at = self._read(), self._clock.monotonic()
            return self._last
        finally:
            self._mutex.release()

    def _read(self) -> Health:
        feeds, build, refused = self._read_gold()
        verdict = self._read_verdict(build.finished_at)
        kafka, letters = self._read_kafka()
        parts = (verdict, feeds, build, refused, letters, kafka)
        level = worst([part.level for part in parts])
        return Health(level, self._clock.now(), verdict, feeds, build, refused, letters, kafka)

    def _read_gold(self) -> tuple[Lag, LastBuild, Quarantine]:
        try:
            with self._gold.pinned() as build:
                return (
                    _or(
                        lambda: lag(build, self._clock.now(), self._calendar),
                        lambda text: Lag("unknown", f"Gold: {text}"),
                    ),
                    _or(
                        lambda: last_build(build),
                        lambda text: LastBuild("unknown", f"Gold: {text}"),
                    ),
                    _or(
                        lambda: quarantine(build),
                        lambda text: Quarantine("unknown", f"Gold: {text}"),
                    ),
                )
        except Exception as error:  # of any engine's client: the view tells it
            text = f"Gold: {_line(error)}"
            return Lag("unknown", text), LastBuild("unknown", text), Quarantine("unknown", text)

    def _read_verdict(self, built_at: datetime | None) -> Reconciliation:
        if not self._verdict.is_file():
            text = "Nothing has been audited yet: `make audit`"
            return Reconciliation("unknown", text)
        return _or(
            lambda: reconciliation(self._verdict, built_at, self._clock.now(), self._calendar),
            lambda text: Reconciliation("unknown", f"{self._verdict.name} is no verdict: {text}"),
        )

    def _read_kafka(self) -> tuple[Kafka, DeadLetters]:
        try:
            cluster = self._cluster = self._cluster or Cluster(self._settings)
            kafka = cluster.kafka()
        except Exception as error:  # of any kind: the view tells it
            text = _line(error)
            text = text if text.startswith("Kafka") else f"Kafka: {text}"
            return Kafka("unknown", text), DeadLetters("unknown", text)
        records = sum(one.records for one in kafka.topics if one.name == DEAD_LETTERS)
        letters = _or(
            lambda: cluster.dead_letters(records), lambda text: DeadLetters("unknown", text)
        )
        return kafka, letters


def _or(read: Callable[[], T], told: Callable[[str], T]) -> T:
    """Return what is read, or what is told of why it could not be."""
    try:
        return read()
    except Exception as error:  # of any engine's client: the view tells it
        return told(_line(error))


def _line(error: Exception) -> str:
    first, _, _ = str(error).strip().partition("\n")
    return first or type(error).__name__
