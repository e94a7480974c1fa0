"""One lander's process: put together from the settings, run until it is over, left in order."""

import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from ingestion import collector
from ingestion.clock import Clock
from ingestion.contracts.topics import TOPICS
from ingestion.land import memory, metrics, status
from ingestion.land.connection import Connection
from ingestion.land.core import Core, Limits
from ingestion.land.doctor.stamp import require_fit
from ingestion.land.ends import Ends
from ingestion.land.failpoints import Failpoint
from ingestion.land.member import Member
from ingestion.land.once import Targets
from ingestion.land.questions import Questions
from ingestion.land.requests import Requests, Workers
from ingestion.land.service import Lander
from ingestion.land.store import READ_TIMEOUT_S, BronzeStore, connect
from ingestion.settings import KafkaSettings, LandSettings, ProjectSettings, StoreSettings

_WORKERS: Final = 8
_CLOSE_TIMEOUT_S: Final = 1.5


@dataclass(frozen=True)
class Settings:
    """What landing is set to, read once."""

    land: LandSettings = field(default_factory=LandSettings.load)
    kafka: KafkaSettings = field(default_factory=KafkaSettings.load)
    store: StoreSettings = field(default_factory=StoreSettings.load)


class Sides(NamedTuple):
    """Kafka and the store as a lander asks them, and what the store calls itself."""

    connection: Connection
    questions: Questions
    store: BronzeStore
    server: str


@dataclass(frozen=True)
class Process:
    """A lander and the parts that it was made of."""

    lander: Lander
    member: Member
    questions: Questions
    store: BronzeStore
    file: status.StatusFile
    clock: Clock

    def run(self, once: bool = False) -> None:
        """Land until SIGTERM or SIGINT; with ``once`` until what Kafka holds now is landed.

        Raises:
            BrokerError: the Kafka client can not go on.
            ChainError: a partition is stalled, and the run could not end.
            StoreError: storage could not be read.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.lander.stop())
        try:
            with collector.calm():
                if once:
                    self.lander.run(TOPICS, self._until_landed())
                else:
                    self.lander.run(TOPICS)
        finally:
            close(self.member)
        self.file.remove()

    def _until_landed(self) -> Callable[[], bool]:
        partitions = self.questions.partitions(TOPICS)
        targets = Targets(partitions, self.questions, self.store.chain_end, self.clock)
        return lambda: targets.are_reached(self.lander)


def assemble(
    name: str,
    clock: Clock,
    core: Callable[[Limits], Core] = Core,
    store: Callable[..., BronzeStore] = BronzeStore,
) -> Process:
    """Build the lander called ``name`` from the settings; both sides were asked and answer.

    ``core`` and ``store`` are for whoever wants to see what a broken rule does.

    Raises:
        SettingsError: a setting is missing or malformed.
        MetricsPortError: the metrics' port cannot be listened on.
        BrokerError: Kafka refuses or does not answer.
        StoreError: the store refuses, does not answer, or is not fit for landing.
    """
    settings, run = Settings(), run_folder()
    land = settings.land
    if land.trim_memory:
        memory.trim()
    status.sweep(run, clock)
    file = status.StatusFile(status.path(run, name), clock)
    if land.metrics_port is not None:
        metrics.serve(land.metrics_address, land.metrics_port, lambda: file.told)
    connection, questions, bronze, server = open_sides(settings, clock, store=store)
    member = Member(connection, clock, land.group_protocol, land.queue_bytes)
    file.member = lambda: member.failure
    require_fit(settings.store, server, run, clock)
    limits = Limits(land.max_bytes, land.max_age_s, land.budget_bytes)
    failpoint = Failpoint.from_environment()
    perform = Requests(questions, bronze, failpoint).perform
    workers, ends = Workers(_WORKERS, perform), Ends(member, Workers(1, perform), clock)
    lander = Lander(core(limits), member, workers, file, clock, failpoint, ends=ends)
    return Process(lander, member, questions, bronze, file, clock)


def open_sides(
    settings: Settings,
    clock: Clock,
    read_timeout_s: float = READ_TIMEOUT_S,
    store: Callable[..., BronzeStore] = BronzeStore,
) -> Sides:
    """Connect to Kafka and the store as the lander, and make sure that both answer.

    No member of the group comes of it.

    Raises:
        BrokerError: Kafka refuses or does not answer.
        StoreError: the store refuses or does not answer.
    """
    client = connect(settings.store, "lander", 2 * _WORKERS, read_timeout_s)
    bronze = store(client, settings.store.bronze_bucket)
    connection = Connection(settings.kafka, clock)
    questions = Questions(connection)
    server = bronze.check()
    questions.check()
    return Sides(connection, questions, bronze, server)


def close(member: Member) -> None:
    """Leave the group, but never wait for a broker that is away: its session ends anyway."""
    closing = threading.Thread(target=member.close, name="close", daemon=True)
    closing.start()
    closing.join(_CLOSE_TIMEOUT_S)


def run_folder() -> Path:
    """Return the folder of the landers' status files."""
    return ProjectSettings.load().state("run")
