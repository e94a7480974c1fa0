"""What the drill itself sees of Kafka and bronze: how far both are. It judges nothing."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata

from drill.matrix.cluster import Cluster
from drill.matrix.errors import UnseenError
from ingestion.contracts.topics import TOPICS
from ingestion.land import objects
from ingestion.land.protocol import Partition
from ingestion.land.store import connect
from ingestion.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TIMEOUT_S: Final = 3.0
Ends = dict[Partition, int]


class Sight:
    """Asks as the super user of Kafka and as the auditor of the store.

    Every question raises UnseenError where the one asked does not answer; who waits, asks again.
    ``via`` is a broker to begin with where another one may stand still.
    """

    def __init__(self, cluster: Cluster, via: int | None = None) -> None:
        self._connection = cluster.connection(via)
        self._group = cluster.layout.kafka.landers_group
        self._open()
        settings = StoreSettings.load()
        self._client: S3Client = connect(settings, "auditor", read_timeout_s=_TIMEOUT_S)
        self._bucket = settings.bronze_bucket
        self._last: dict[tuple[Partition, str], str] = {}

    def _open(self) -> None:
        self._admin = AdminClient(self._connection)
        self._consumer = Consumer({**self._connection, "group.id": "drill"})  # joins nothing

    # Kafka --------------------------------------------------------------------------------------

    def ends(self, topics: Iterable[str] = TOPICS) -> Ends:
        """Return where the logs end."""
        found = self._metadata().topics
        with self._answers():
            places = [Partition(name, n) for name in topics for n in found[name].partitions]
        return {place: self.log(place)[1] for place in places}

    def log(self, place: Partition) -> tuple[int, int]:
        """Return where one log starts and ends."""
        with self._answers():
            asked = TopicPartition(*place)
            found = self._consumer.get_watermark_offsets(asked, timeout=_TIMEOUT_S)
            if found is None:
                raise TimeoutError(f"offsets of {place}")
            return int(found[0]), int(found[1])

    def leaders(self, topic: str) -> dict[int, tuple[int, list[int]]]:
        """Return each partition's (leader, brokers in sync); nothing where there is no topic."""
        found = self._metadata().topics.get(topic)
        parts = found.partitions if found else {}
        return {number: (one.leader, list(one.isrs)) for number, one in parts.items()}

    def is_in_sync(self, broker: int) -> bool:
        """Tell whether a broker leads or follows anything."""
        parts = [p for t in self._metadata().topics.values() for p in t.partitions.values()]
        return any(broker in part.isrs or part.leader == broker for part in parts)

    def is_group_empty(self) -> bool:
        """Tell whether the landers' group has no member any more."""
        with self._answers():
            asked = self._admin.describe_consumer_groups([self._group], request_timeout=_TIMEOUT_S)
            return not asked[self._group].result(_TIMEOUT_S).members

    def generation(self, topic: str) -> str:
        """Return the topic's id in hex."""
        with self._answers():
            asked = TopicCollection([topic])
            found = self._admin.describe_topics(asked, request_timeout=_TIMEOUT_S)[topic]
            uuid = found.result(_TIMEOUT_S).topic_id
        high, low = uuid.get_most_significant_bits(), uuid.get_least_significant_bits()
        return f"{high % 2**64:016x}{low % 2**64:016x}"

    # Bronze -------------------------------------------------------------------------------------

    def landed(self, places: Iterable[Partition]) -> Ends:
        """Return where the chains of the topics as they are now end in bronze."""
        wanted = list(places)
        generations = {topic: self.generation(topic) for topic in {place.topic for place in wanted}}
        with self._answers():
            return {place: self._end(place, generations[place.topic]) for place in wanted}

    def landed_to(self, place: Partition) -> int:
        """Return where one chain ends."""
        return self.landed([place])[place]

    def landed_in_all(self) -> int:
        """Return how many offsets of all topics bronze has."""
        return sum(self.landed(self.ends()).values())

    def missing(self, ends: Mapping[Partition, int]) -> int:
        """Return how much of [0, ends) bronze lacks."""
        landed = self.landed(ends)
        return sum(max(0, end - landed[place]) for place, end in ends.items())

    def lag(self) -> int:
        """Return the offsets that bronze lacks."""
        return self.missing(self.ends())

    def is_landed(self, place: Partition) -> bool:
        """Tell whether one chain ends where its log does."""
        return self.landed_to(place) == self.log(place)[1]

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

    def _metadata(self) -> ClusterMetadata:
        with self._answers():
            return self._admin.list_topics(timeout=_TIMEOUT_S)

    @contextmanager
    def _answers(self) -> Iterator[None]:
        try:
            yield
        except (KafkaException, TimeoutError, KeyError) as error:
            self._open()  # a client may wait for a broker that is gone; a new one looks again
            raise UnseenError(f"no answer of Kafka: {error}") from error
        except (BotoCoreError, ClientError) as error:
            raise UnseenError(f"no answer of the store: {error}") from error
