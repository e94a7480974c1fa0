"""Kafka: where the logs begin and end, the newest event in them, and the dead letters by reason."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from operator import methodcaller
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicCollection
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient, OffsetSpec
from prometheus_client.core import Metric

from infra.prometheus.exporter.newest import FEEDS, Freshness, Newest, add, message_of, series
from infra.prometheus.exporter.source import ANSWER_S, counter, gauge
from ingestion.contracts.topics import DEAD_LETTERS, TOPICS
from ingestion.errors import BrokerError
from ingestion.settings import KafkaSettings

# A partition's reading begins so many records before its end, and again where a scrape could not
# read all that had come since the one before.
_TAIL: Final = 1_000
_BATCH: Final = 2_000
# A note that a letter was sent again lies among the letters (ADR 0009).
_NOTE: Final = "redriven"
# Reasons are our own code's; a letter of another hand may claim any.
_OTHER: Final = "other"
_ask_headers: Final = methodcaller("headers")
_REASONS: Final = frozenset(
    {
        "contract",
        "too_large",
        "malformed_row",
        "malformed",
        "not_utf8",
        "no_session",
        "unknown_action",
        "superseded",
        "outside_range",
    }
)


class Cluster:
    """Questions to the brokers as the auditor, who may read all topics and write none.

    Clients are new for each: for minutes an old one asks a broker that stands still.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        """Take the settings; nothing is connected yet.

        Raises:
            SettingsError: the auditor's password is not set.
        """
        self._last_error = ""
        # Nothing is ever committed, and no group is joined.
        self._config: dict[str, Any] = {
            **settings.client("auditor"),
            "log_level": 0,
            "error_cb": self._error,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,  # the end may be a transaction's mark, which is no record
            "auto.offset.reset": "earliest",  # retention may move the start while we read
            "socket.timeout.ms": round(ANSWER_S * 1000),
        }

    def bounds(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Return (start, end) of every partition's log.

        Raises:
            BrokerError: Kafka refuses, does not answer, or lacks a topic.
        """
        admin = AdminClient({k: v for k, v in self._config.items() if k in _ADMIN})
        places = [
            Place(topic, number)
            for topic, found in self._describe(admin).items()
            for number in range(len(found.partitions))
        ]
        starts = self._offsets(admin, places, OffsetSpec.earliest)
        ends = self._offsets(admin, places, OffsetSpec.latest)
        return {place: (starts[place], end) for place, end in ends.items()}

    def topics(self) -> dict[str, tuple[str, int]]:
        """Return every topic's id, 32 hex digits, and how many partitions it has.

        Raises:
            BrokerError: as for ``bounds``.
        """
        admin = AdminClient({k: v for k, v in self._config.items() if k in _ADMIN})
        return {
            topic: (_hex(found.topic_id), len(found.partitions))
            for topic, found in self._describe(admin).items()
        }

    def records(self, since: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[Message]:
        """Yield the records of [position, end) of each partition, for `ANSWER_S` at most.

        Raises:
            BrokerError: Kafka refuses.
        """
        left = {place for place, (position, end) in since.items() if position < end}
        if not left:
            return
        deadline = time.monotonic() + ANSWER_S
        with closing(Consumer(self._config)) as consumer:
            consumer.assign([Place(*place, since[place][0]) for place in left])
            while left and time.monotonic() < deadline:
                for record in self._ask(lambda: consumer.consume(_BATCH, timeout=0.2)):
                    place = record.topic(), record.partition()
                    if error := record.error():
                        if error.code() != KafkaError._PARTITION_EOF:
                            raise BrokerError(f"Kafka: {error.str()}")
                        left.discard(place)
                        continue
                    if record.offset() + 1 >= since[place][1]:
                        left.discard(place)
                    yield record

    def _describe(self, admin: AdminClient) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            futures = admin.describe_topics(TopicCollection(list(TOPICS)), request_timeout=ANSWER_S)
            return {topic: future.result(ANSWER_S) for topic, future in futures.items()}

        found: dict[str, Any] = self._ask(ask)
        return found

    def _offsets(
        self, admin: AdminClient, places: Sequence[Place], which: Callable[[], OffsetSpec]
    ) -> dict[tuple[str, int], int]:
        def ask() -> dict[tuple[str, int], int]:
            asked = dict.fromkeys(places, which())
            futures = admin.list_offsets(asked, request_timeout=ANSWER_S)
            return {
                (place.topic, place.partition): future.result(ANSWER_S).offset
                for place, future in futures.items()
            }

        found: dict[tuple[str, int], int] = self._ask(ask)
        return found

    def _ask(self, question: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        try:
            return question()
        except KafkaException as error:
            raise BrokerError(f"Kafka: {self._last_error or error.args[0].str()}") from error
        except TimeoutError as error:  # a future's, which says nothing
            raise BrokerError(f"Kafka: {self._last_error or 'no answer'}") from error

    def _error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # always follows the one that says why
            self._last_error = error.str()


_ADMIN: Final = frozenset(
    {
        *("bootstrap.servers", "security.protocol", "client.id", "ssl.ca.location"),
        *("sasl.mechanism", "sasl.username", "sasl.password", "log_level", "error_cb"),
        "socket.timeout.ms",
    }
)


class Logs:
    """What the topics hold. Each scrape reads what has come since the one before."""

    name = "kafka"

    def __init__(self, cluster: Cluster, freshness: Freshness) -> None:
        self._cluster = cluster
        self._freshness = freshness
        self._positions: dict[tuple[str, int], int] = {}
        self._newest: Newest = {}
        # From the first on: of a series that begins with its first letter nobody sees the rise.
        self._letters = Counter(dict.fromkeys((*_REASONS, _OTHER), 0))

    def read(self) -> Iterator[Metric]:
        """Return ends, dead letters and the newest event of each symbol.

        Raises:
            BrokerError: Kafka refuses or does not answer.
        """
        bounds = self._cluster.bounds()
        self._follow(bounds)
        text = "First offset that Kafka still has"
        yield gauge("kafka_log_start_offset", text, _PLACE, _rows(bounds, 0))
        text = "End of the partition's log: the offset that the next record gets"
        yield gauge("kafka_log_end_offset", text, _PLACE, _rows(bounds, 1))
        yield counter(
            "dead_letters_total",
            "Dead letters by reason, from the beginning of their log",
            ("reason",),
            [((reason,), count) for reason, count in sorted(self._letters.items())],
        )
        yield from self._freshness.metrics("kafka", self._newest)

    def _follow(self, bounds: Mapping[tuple[str, int], tuple[int, int]]) -> None:
        since = {place: (self._begin(place, *ends), ends[1]) for place, ends in bounds.items()}
        self._positions = {place: position for place, (position, _) in since.items()}
        for record in self._cluster.records(since):
            place = str(record.topic()), int(record.partition() or 0)
            self._positions[place] = int(record.offset() or 0) + 1
            self._count(record)

    def _begin(self, place: tuple[str, int], start: int, end: int) -> int:
        """Return where to read on; letters are counted from the first, of the rest the newest do.

        A log that is shorter than it was is a new one.
        """
        known = self._positions.get(place, start)
        if known > end:
            known = start
        if place[0] == DEAD_LETTERS:
            return max(start, known)
        return max(start, known, end - _TAIL)

    def _count(self, record: Message) -> None:
        if record.topic() == DEAD_LETTERS:
            headers = _headers(record)
            if _NOTE not in headers:
                self._letters[_reason(headers.get("reason"))] += 1
            return
        message = message_of(record.value())
        if message is not None:
            key = series(
                FEEDS[str(record.topic())], message.source, message.simulated, message.symbol
            )
            add(self._newest, key, message.event_time)


_PLACE: Final = ("topic", "partition")


def _rows(
    bounds: Mapping[tuple[str, int], tuple[int, int]], which: int
) -> list[tuple[tuple[str, str], float]]:
    return [((topic, str(number)), ends[which]) for (topic, number), ends in sorted(bounds.items())]


def _headers(record: Message) -> dict[str, str | bytes | None]:
    """Return a letter's headers; none where a name is not UTF-8, which the client cannot hand over.

    Never `message.headers()`: see `ingestion.produce.redrive.in_kafka`.
    """
    try:
        return dict(_ask_headers(record) or ())
    except SystemError:
        return {}


def _reason(value: str | bytes | None) -> str:
    text = value.decode(errors="replace") if isinstance(value, bytes) else value or ""
    return text if text in _REASONS else _OTHER


def _hex(topic_id: Any) -> str:  # noqa: ANN401 - the client's Uuid
    halves = topic_id.get_most_significant_bits(), topic_id.get_least_significant_bits()
    return "".join(f"{half % 2**64:016x}" for half in halves)
