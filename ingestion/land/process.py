"""One lander's process: put together from the settings, run until it is over, left in order."""

import gc
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ingestion.clock import Clock
from ingestion.contracts.topics import BATCH, DEAD_LETTERS, QUOTES, REALTIME
from ingestion.land import memory, metrics, status
from ingestion.land.core import Core, Limits
from ingestion.land.doctor.stamp import require_fit
from ingestion.land.ends import Ends
from ingestion.land.failpoints import Failpoint
from ingestion.land.kafka import Kafka
from ingestion.land.once import Targets
from ingestion.land.requests import Requests, Workers
from ingestion.land.service import Lander
from ingestion.land.store import READ_TIMEOUT_S, BronzeStore, connect
from ingestion.settings import KafkaSettings, LandSettings, ProjectSettings, StoreSettings

TOPICS: Final = [BATCH, QUOTES, REALTIME, DEAD_LETTERS]
_WORKERS: Final = 8
_COLLECT_EVERY: Final = 200_000  # containers; a batch of messages makes some 50,000
_CLOSE_TIMEOUT_S: Final = 1.5


@dataclass(frozen=True)
class Process:
    """A lander and the parts that it was made of."""

    lander: Lander
    kafka: Kafka
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
        _calm_collector()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.lander.stop())
        try:
            if once:
                self.lander.run(TOPICS, self._until_landed())
            else:
                self.lander.run(TOPICS)
        finally:
            close(self.kafka)
        self.file.remove()

    def _until_landed(self) -> Callable[[], bool]:
        partitions = self.kafka.partitions(TOPICS)
        targets = Targets(partitions, self.kafka, self.store.chain_end, self.clock)
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
    settings = LandSettings.load()
    if settings.trim_memory:
        memory.trim()
    status.sweep(run_folder(), clock)
    file = status.StatusFile(status.path(run_folder(), name), clock)
    if settings.metrics_port is not None:
        metrics.serve(settings.metrics_address, settings.metrics_port, lambda: file.told)
    kafka, bronze = open_sides(clock, store=store)
    file.member = lambda: kafka.failure
    require_fit(StoreSettings.load(), bronze.check(), run_folder(), clock)
    limits = Limits(settings.max_bytes, settings.max_age_s, settings.budget_bytes)
    failpoint = Failpoint.from_environment()
    perform = Requests(kafka, bronze, failpoint).perform
    workers, ends = Workers(_WORKERS, perform), Ends(kafka, Workers(1, perform), clock)
    lander = Lander(core(limits), kafka, workers, file, clock, failpoint, ends=ends)
    return Process(lander, kafka, bronze, file, clock)


def open_sides(
    clock: Clock,
    read_timeout_s: float = READ_TIMEOUT_S,
    store: Callable[..., BronzeStore] = BronzeStore,
) -> tuple[Kafka, BronzeStore]:
    """Connect to Kafka and the store as the lander, and make sure that both answer.

    Raises:
        BrokerError: Kafka refuses or does not answer.
        StoreError: the store refuses or does not answer.
    """
    settings = StoreSettings.load()
    client = connect(settings, "lander", 2 * _WORKERS, read_timeout_s)
    bronze = store(client, settings.bronze_bucket)
    own = LandSettings.load()
    kafka = Kafka(KafkaSettings.load(), clock, own.group_protocol, own.queue_bytes)
    bronze.check()
    kafka.check()
    return kafka, bronze


def close(kafka: Kafka) -> None:
    """Leave the group, but never wait for a broker that is away: its session ends anyway."""
    closing = threading.Thread(target=kafka.close, name="close", daemon=True)
    closing.start()
    closing.join(_CLOSE_TIMEOUT_S)


def run_folder() -> Path:
    """Return the folder of the landers' status files."""
    return ProjectSettings.load().state("run")


def _calm_collector() -> None:
    """Collect rarely: the containers of a batch die by themselves, looking through them costs."""
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)
