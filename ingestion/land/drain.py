"""How far bronze is behind Kafka: the end of each chain in storage against the end of the log."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ingestion.clock import Clock
from ingestion.land import health
from ingestion.land.protocol import Partition
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore


@dataclass(frozen=True)
class Progress:
    """One partition: storage holds [0, landed), the log ends at ``end``."""

    partition: Partition
    landed: int
    end: int

    @property
    def missing(self) -> int:
        """Offsets that bronze still lacks."""
        return max(0, self.end - self.landed)


def ends(questions: Questions, partitions: Iterable[Partition]) -> dict[Partition, int]:
    """Return where each partition's log ends now.

    Raises:
        BrokerError: Kafka refuses or does not answer.
    """
    return {partition: questions.watermarks(partition)[1] for partition in partitions}


def landed(questions: Questions, store: BronzeStore, partition: Partition, generation: str) -> int:
    """Return where bronze ends, by listing from the object that the landers committed last.

    Raises:
        BrokerError: Kafka refuses or does not answer.
        StoreError: storage could not be read.
        ChainError: the last object of the partition contradicts itself.
    """
    return store.chain_end(
        partition, generation, lambda: questions.committed(partition, generation)[1]
    )


def progress(
    questions: Questions, store: BronzeStore, targets: dict[Partition, int]
) -> list[Progress]:
    """Compare storage with the given ends, by listing: what landing says is no more than a hint.

    Raises:
        BrokerError: Kafka refuses or does not answer.
        StoreError: storage could not be read.
        ChainError: the last object of a partition contradicts itself.
    """
    topics = {partition.topic for partition in targets}
    generations = {topic: questions.generation(topic) for topic in topics}
    return [
        Progress(partition, landed(questions, store, partition, generations[partition.topic]), end)
        for partition, end in sorted(targets.items())
    ]


def landers(run: Path, clock: Clock) -> str:
    """Return in words what the landers of this machine say about themselves."""
    found = health.of_landers(run, clock)
    if not found:
        return "no lander runs here"
    problems = [f"lander {one.pid} is {one.problem}" for one in found if one.problem]
    idle = sum(one.idle_since is not None for one in found)
    without = f", {idle} of them without a partition" if idle else ""
    return ", ".join(problems) or f"{len(found)} lander(s) run and report no error{without}"
