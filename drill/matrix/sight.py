"""What the drill itself sees of Kafka and bronze: how far both are. It judges nothing."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec, PartitionMetadata, TopicMetadata

from drill.matrix.cluster import Cluster
from ingestion.land import objects
from ingestion.land.process import TOPICS
from ingestion.land.protocol import Partition
from ingestion.land.store import connect
from ingestion.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TIMEOUT_S: Final = 5.0
Ends = dict[Partition, int]


class Sight:
    """Asks as the super user of Kafka and as the auditor of the store."""

    def __init__(self, cluster: Cluster) -> None:
        self._admin = cluster.admin
        settings = StoreSettings.load()
        self._client: S3Client = connect(settings, "auditor", read_timeout_s=_TIMEOUT_S)
        self._bucket = settings.bronze_bucket
        self._last: dict[tuple[Partition, str], str] = {}

    def ends(self, topics: Iterable[str] = TOPICS) -> Ends | None:
        """Return where the logs end; None where a leader does not answer."""
        try:
            places = [TopicPartition(*p) for t in topics for p in self._partitions(t)]
            latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
            asked = dict.fromkeys(places, latest)
            found = self._admin.list_offsets(asked, request_timeout=_TIMEOUT_S)
            return {
                Partition(place.topic, place.partition): answer.result(_TIMEOUT_S).offset
                for place, answer in found.items()
            }
        except (KafkaException, TimeoutError):
            return None

    def landed(self, places: Iterable[Partition]) -> Ends | None:
        """Return where the chains in bronze end; None where a side does not answer."""
        try:
            wanted = list(places)
            topics = {place.topic for place in wanted}
            generations = {topic: self.generation(topic) for topic in topics}
            return {place: self._end(place, generations[place.topic]) for place in wanted}
        except (KafkaException, TimeoutError, BotoCoreError, ClientError):
            return None

    def landed_in_all(self) -> int:
        """Return how many offsets of all topics bronze has; 0 where that cannot be seen."""
        ends = self.ends()
        return sum((self.landed(ends) or {}).values()) if ends else 0

    def landed_to(self, place: Partition) -> int | None:
        """Return where one chain ends; None where that cannot be seen."""
        return (self.landed([place]) or {}).get(place)

    def log(self, place: Partition) -> tuple[int, int] | None:
        """Return where one log starts and ends; None where its leader does not answer."""
        specs = (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
        try:
            low, high = (self._offset(place, spec) for spec in specs)
        except (KafkaException, TimeoutError):
            return None
        return low, high

    def is_landed(self, place: Partition) -> bool:
        """Tell whether one chain ends where its log does."""
        log = self.log(place)
        return log is not None and self.landed_to(place) == log[1]

    def lag(self) -> int | None:
        """Return the offsets that bronze lacks; None where that cannot be seen."""
        ends = self.ends()
        return None if ends is None else self.missing(ends)

    def missing(self, ends: Mapping[Partition, int]) -> int | None:
        """Return how much of [0, ends) bronze lacks; None where that cannot be seen."""
        landed = self.landed(ends)
        if landed is None:
            return None
        return sum(max(0, end - landed[place]) for place, end in ends.items())

    def generation(self, topic: str) -> str:
        """Return the topic's id in hex."""
        asked = TopicCollection([topic])
        found = self._admin.describe_topics(asked, request_timeout=_TIMEOUT_S)[topic]
        uuid = found.result(_TIMEOUT_S).topic_id
        high, low = uuid.get_most_significant_bits(), uuid.get_least_significant_bits()
        return f"{high % 2**64:016x}{low % 2**64:016x}"

    def exists(self, topic: str) -> bool:
        """Tell whether the cluster has a topic."""
        return topic in self._admin.list_topics(timeout=_TIMEOUT_S).topics

    def leaders(self, topic: str) -> dict[int, tuple[int, list[int]]]:
        """Return each partition's (leader, brokers in sync)."""
        found = self._admin.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
        return {number: (one.leader, list(one.isrs)) for number, one in found.items()}

    def is_in_sync(self, broker: int) -> bool:
        """Tell whether a broker leads or follows anything."""
        found = self._admin.list_topics(timeout=_TIMEOUT_S).topics.values()
        return any(broker in p.isrs or p.leader == broker for t in found for p in _parts(t))

    def _offset(self, place: Partition, spec: OffsetSpec) -> int:
        asked = TopicPartition(*place)
        found = self._admin.list_offsets({asked: spec}, request_timeout=_TIMEOUT_S)
        return int(found[asked].result(_TIMEOUT_S).offset)

    def _partitions(self, topic: str) -> list[Partition]:
        found = self._admin.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
        if found.error:
            raise KafkaException(found.error)
        return [Partition(topic, number) for number in found.partitions]

    def _end(self, place: Partition, generation: str) -> int:
        """Return the ``next`` of the last object, listing from the one that was last before."""
        prefix = objects.prefix(place, generation)
        query: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        last = self._last.get((place, generation), "")
        pages = self._client.get_paginator("list_objects_v2").paginate(**query, StartAfter=last)
        for page in pages:
            for entry in page.get("Contents", []):
                last = entry["Key"]
        if not last:
            return 0
        self._last[place, generation] = last
        found = self._client.head_object(Bucket=self._bucket, Key=last)
        return int(found["Metadata"]["next"])


def _parts(topic: TopicMetadata) -> Iterable[PartitionMetadata]:
    return topic.partitions.values()
