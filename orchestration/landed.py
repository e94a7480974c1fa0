"""Where bronze ends, and whether that is what Kafka had at a moment, as `ingestion drain` asks."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ingestion.clock import SystemClock
from ingestion.contracts.topics import TOPICS
from ingestion.land import drain
from ingestion.land.drain import Progress
from ingestion.land.process import Settings, open_sides
from ingestion.land.protocol import Partition

_READ_TIMEOUT_S: Final = 5.0  # it lists and reads metadata only


class Target(NamedTuple):
    """A partition and an end in it: the first offset that is not meant."""

    topic: str
    generation: str
    partition: int
    end: int

    @property
    def place(self) -> str:
        """The partition, and which life of its topic it belongs to."""
        return f"{self.topic}/{self.generation}/{self.partition}"


class Bronze:
    """Bronze beside Kafka, asked again and again over one pair of connections.

    A look lists what has landed since the one before, whatever bronze holds.
    """

    def __init__(self) -> None:
        """Connect, as the lander.

        Raises:
            BrokerError: Kafka refuses or does not answer.
            StoreError: the store refuses or does not answer.
        """
        sides = open_sides(Settings(), SystemClock(), _READ_TIMEOUT_S)
        self._questions, self._store = sides.questions, sides.store

    def ends(self, topics: Sequence[str] = TOPICS) -> list[Target]:
        """Return where the logs of topics end now.

        Raises:
            BrokerError: Kafka refuses or does not answer.
        """
        places = self._questions.partitions(topics)
        found = drain.ends(self._questions, places)
        generations = {topic: self._questions.generation(topic) for topic in topics}
        return [
            Target(place.topic, generations[place.topic], place.number, end)
            for place, end in sorted(found.items())
        ]

    def chain_ends(self, topic: str) -> list[Target]:
        """Return where bronze ends now, by partition of a topic.

        Raises:
            BrokerError, StoreError: one of the two does not answer, or refuses.
        """
        generation = self._questions.generation(topic)
        found = {
            place: drain.landed(self._questions, self._store, place, generation)
            for place in self._questions.partitions([topic])
        }
        return [Target(topic, generation, place.number, end) for place, end in found.items()]

    def behind(self, targets: Sequence[Target]) -> list[Progress]:
        """Return the partitions in which bronze lacks offsets below the targets.

        Raises:
            BrokerError, StoreError: one of the two does not answer, or refuses.
            ChainError: the last object of a partition contradicts itself.
        """
        wanted = {Partition(one.topic, one.partition): one.end for one in targets}
        rows = drain.progress(self._questions, self._store, wanted)
        return [row for row in rows if row.missing]
