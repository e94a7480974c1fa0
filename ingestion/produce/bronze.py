"""Records that were landed, read back from bronze as they were in Kafka, byte for byte."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ingestion.errors import ChainError, SourceError
from ingestion.land import lines, objects
from ingestion.settings import StoreSettings

if TYPE_CHECKING:
    from ingestion.load.model import Listed

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Landed(NamedTuple):
    """One record and where it lay in Kafka."""

    generation: str
    partition: int
    record: lines.Record


class Chain(NamedTuple):
    """A partition of one life of a topic."""

    generation: str
    partition: int


@dataclass(frozen=True)
class Range:
    """Which records of a topic; what is None or empty does not restrict.

    ``generation`` is the start of one (a topic that was created anew has several). Offsets are
    inclusive, of each partition. Times are Kafka's (the wall clock at produce); ``until`` is
    exclusive.
    """

    topic: str
    generation: str = ""
    partitions: frozenset[int] = frozenset()
    first: int | None = None
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def covers(self, record: lines.Record) -> bool:
        """Tell whether a record of a wanted partition is wanted."""
        at = moment(record)
        return (
            (self.first is None or record.offset >= self.first)
            and (self.last is None or record.offset <= self.last)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )

    def has(self, chain: Chain) -> bool:
        """Tell whether a partition is wanted."""
        is_wanted = not self.partitions or chain.partition in self.partitions
        return is_wanted and chain.generation.startswith(self.generation)


class Archive:
    """The bucket, read as the loader."""

    def __init__(self, settings: StoreSettings) -> None:
        """Open it; nothing is sent yet.

        Raises:
            SettingsError: the loader's keys are not set.
        """
        # Only here: the S3 client and pyarrow would cost every other producer a third of a second.
        from ingestion.load.bronze import Bronze, store_client

        self._bronze = Bronze(store_client(settings), settings.bronze_bucket)

    def chains(self, wanted: Range) -> dict[Chain, list["Listed"]]:
        """Return the objects that may hold wanted records, by partition, in offset order.

        Raises:
            StoreError: the store refuses; StoreUnavailableError: it does not answer.
            SourceError: something else lies among the objects.
        """
        found: dict[Chain, list[tuple[int, Listed]]] = defaultdict(list)
        for listed in self._bronze.beyond(wanted.topic, {}):
            chain, start = _parsed(listed)
            if wanted.has(chain):
                found[chain].append((start, listed))
        return {chain: _within(starts, wanted) for chain, starts in sorted(found.items())}

    def records(self, chain: Chain, files: list["Listed"], wanted: Range) -> Iterator[Landed]:
        """Yield the wanted records of a partition in their order, one object in memory at a time.

        Raises:
            LoadError: an object's bytes or lines contradict its metadata.
            SourceError: a line is none that landing writes.
            StoreError: the store refuses; StoreUnavailableError: it does not answer.
        """
        for listed in files:
            (file,) = self._bronze.read([listed])
            for line in file.lines:
                try:
                    record = lines.parse(line)
                except ChainError as error:
                    raise SourceError(f"{listed.file}: {error}") from error
                if wanted.covers(record):
                    yield Landed(chain.generation, chain.partition, record)


def moment(record: lines.Record) -> datetime:
    """Return a record's Kafka timestamp; the last moment there is where it is beyond that."""
    try:
        return _EPOCH + timedelta(milliseconds=record.timestamp)
    except OverflowError:  # anybody with the producer's password may write any number
        return datetime.max.replace(tzinfo=UTC)


def _parsed(listed: "Listed") -> tuple[Chain, int]:
    try:
        partition, generation, start = objects.parse_key(listed.file)
    except ChainError as error:
        raise SourceError(f"bronze: {error}") from error
    return Chain(generation, partition.number), start


def _within(starts: list[tuple[int, "Listed"]], wanted: Range) -> list["Listed"]:
    """Leave out what ends before the first wanted offset or begins after the last one."""
    beyond: list[tuple[int, Listed | None]] = [*starts, (2**63, None)]
    return [
        listed
        for (start, listed), (next_, _) in pairwise(beyond)
        if listed is not None
        and (wanted.first is None or next_ > wanted.first)
        and (wanted.last is None or start <= wanted.last)
    ]
