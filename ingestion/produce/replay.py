"""What bronze holds, sent once more: keys, headers and values byte for byte, so the same events."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from heapq import merge
from typing import Final

import msgspec

from ingestion.contracts.topics import TOPICS
from ingestion.errors import SourceError
from ingestion.land import lines
from ingestion.produce.bronze import Archive, Chain, Landed, Range, moment
from ingestion.produce.outgoing import Outgoing

NAME: Final = "bronze"


class Replay:
    """Records of one life of a topic: each partition in its order, merged by Kafka's timestamps.

    The producer puts a key where it was, as long as the topic has as many partitions; a record
    without a key goes to any.
    """

    def __init__(self, archive: Archive, wanted: Range, symbols: frozenset[str]) -> None:
        """Take what is wanted; nothing is read yet. Without ``symbols`` every key is.

        Raises:
            SourceError: the topic is none of ours.
        """
        if wanted.topic not in TOPICS:
            raise SourceError(f"expected one of {', '.join(TOPICS)}, found {wanted.topic!r}")
        self._archive = archive
        self._wanted = wanted
        self._keys = {symbol.encode() for symbol in symbols}
        self._sent: Counter[int] = Counter()
        self._left_out: Counter[str] = Counter()
        self._generation = ""

    def timed(self) -> Iterator[tuple[datetime, Outgoing]]:
        """Yield records with the moment at which Kafka got them.

        Raises:
            SourceError: the topic had several lives and none is named, or nothing is selected.
            LoadError: an object contradicts its metadata.
            StoreError: the store refuses; StoreUnavailableError: it does not answer.
        """
        chains = self._archive.chains(self._wanted)
        self._generation = self._one_life(chains)
        readers = (self._archive.records(c, files, self._wanted) for c, files in chains.items())
        for landed in merge(*readers, key=lambda found: found.record.timestamp):
            yield from self._outgoing(landed)
        if not self._sent and not self._left_out:
            raise SourceError(f"bronze holds no such record of {self._wanted.topic}")

    def facts(self) -> Mapping[str, object]:
        """Return what a summary should say of what was read so far."""
        return {
            "topic": self._wanted.topic,
            "generation": self._generation,
            "records": self._sent.total(),
            "by_partition": {str(number): self._sent[number] for number in sorted(self._sent)},
            "left_out": dict(self._left_out),
        }

    def _one_life(self, chains: Mapping[Chain, object]) -> str:
        found = sorted({chain.generation for chain in chains})
        if len(found) != 1:
            raise SourceError(
                f"{self._wanted.topic}: expected records of one generation in bronze, found "
                f"{len(found)}" + (f": choose by --generation {', '.join(found)}" if found else "")
            )
        return found[0]

    def _outgoing(self, landed: Landed) -> Iterator[tuple[datetime, Outgoing]]:
        record = landed.record
        if self._keys and record.key not in self._keys:
            return
        if record.value is None or record.headers is None:
            # Neither is anything that we sent: our records have a value, and readable headers.
            self._left_out["tombstones" if record.value is None else "unreadable headers"] += 1
            return
        self._sent[landed.partition] += 1
        yield moment(record), _as_it_was(self._wanted.topic, record, record.value, record.headers)


class _Identified(msgspec.Struct):
    event_id: str


_identify = msgspec.json.Decoder(_Identified).decode


def _as_it_was(topic: str, record: lines.Record, value: bytes, headers: lines.Headers) -> Outgoing:
    return Outgoing(topic, record.key, value, [*headers], event_id=_event_id(value))


def _event_id(value: bytes) -> str | None:
    try:
        return _identify(value).event_id
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None
