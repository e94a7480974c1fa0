"""Bronze: where each partition's chain of objects ends, and the newest event in its last object."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from prometheus_client.core import Metric

from infra.prometheus.exporter.newest import FEEDS, Freshness, Newest, add, message_of, series
from infra.prometheus.exporter.source import gauge
from ingestion.contracts.topics import TOPICS
from ingestion.load.bronze import Bronze
from ingestion.load.model import Listed

_PLACE: Final = ("topic", "generation", "partition")


class _Line(msgspec.Struct):
    value: msgspec.Raw = msgspec.Raw(b"null")


_decoder: Final = msgspec.json.Decoder(_Line)


class Chains:
    """The chains of the topics that Kafka has now. Listing goes on behind the last key known.

    Objects never change: what an object's lines say is read once.
    """

    name = "bronze"

    def __init__(
        self,
        bronze: Bronze,
        topics: Callable[[], Mapping[str, tuple[str, int]]],
        freshness: Freshness,
    ) -> None:
        """``topics`` tells each topic's id and number of partitions."""
        self._bronze = bronze
        self._topics = topics
        self._freshness = freshness
        self._last: dict[str, Listed] = {}
        self._ends: dict[str, int] = {}
        self._newest: Newest = {}

    def read(self) -> Iterator[Metric]:
        """Return the ends of the chains and the newest event of each symbol.

        Raises:
            BrokerError: Kafka does not say which topics there are.
            LoadError, StoreError: the store does not answer, or an object contradicts itself.
        """
        topics = self._topics()
        self._follow()
        rows = [
            ((topic, generation, str(number)), self._ends.get(f"{topic}/{generation}/{number}", 0))
            for topic, (generation, partitions) in sorted(topics.items())
            for number in range(partitions)
        ]
        yield gauge("bronze_end_offset", "First offset that bronze lacks", _PLACE, rows)
        yield from self._freshness.metrics("bronze", self._newest)

    def _follow(self) -> None:
        keys = {folder: listed.file for folder, listed in self._last.items()}
        found = [listed for topic in TOPICS for listed in self._bronze.beyond(topic, keys)]
        newest = {f"{one.file.rpartition('/')[0]}/": one for one in found}
        self._ends |= self._bronze.ends(list(newest.values()))
        for file in self._bronze.read([it for it in newest.values() if _feed(it)]):
            for line in file.lines:
                self._add(FEEDS[file.topic], line)
        self._last |= newest

    def _add(self, feed: str, line: bytes) -> None:
        message = message_of(bytes(_decoder.decode(line).value))
        if message is not None:
            key = series(feed, message.source, message.simulated, message.symbol)
            add(self._newest, key, message.event_time)


def _feed(listed: Listed) -> str | None:
    return FEEDS.get(listed.file.partition("/")[0])
