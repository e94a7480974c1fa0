"""The vocabulary of the protocol core: what happened (events), what is to be done (actions).

Every request to Kafka or the store carries a number, and its answer carries the same one: an
answer that nobody waits for any more (the partition left and came back) is recognised and dropped.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from ingestion.land.lines import Chunk


class Partition(NamedTuple):
    """A partition of a topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.number}"


class Kind(StrEnum):
    """What a bronze object stands for: records, or offsets that Kafka no longer has."""

    DATA = "data"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Head:
    """An object's metadata: it covers the offsets [start, next).

    Timestamps are in milliseconds, None where it holds no record; ``sha256`` is of the stored
    bytes, in hex.
    """

    start: int
    next: int
    count: int
    sha256: str
    kind: Kind
    min_timestamp: int | None = None
    max_timestamp: int | None = None


class PutOutcome(StrEnum):
    """How a create-only PUT ended."""

    LANDED = "landed"
    EXISTS = "exists"  # 412: the key is taken, perhaps by this very request sent twice
    CONFLICT = "conflict"  # 409: another request for the key is under way
    UNKNOWN = "unknown"  # time-out, reset, 5xx: it may have been applied
    REFUSED = "refused"  # credentials, policy, bucket
    OTHER_GENERATION = "other_generation"  # the topic was re-created; nothing was sent


class Severity(StrEnum):
    """How loud an alarm is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


# --- events -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assigned:
    """The group gave us these partitions; they are paused until a `Seek`."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Revoked:
    """The group wants these back: land what is held, then `Lost` for what did not make it."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """These are somebody else's already: drop what is held, commit nothing."""

    partitions: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one partition, ascending."""

    partition: Partition
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class EndOfPartition:
    """Everything below ``offset`` has been handed over; markers may lie after the last record."""

    partition: Partition
    offset: int


@dataclass(frozen=True, slots=True)
class PositionLost:
    """Kafka has no record at the position: retention, truncation or a re-created topic."""

    partition: Partition
    detail: str


@dataclass(frozen=True, slots=True)
class Described:
    """Answer to `Describe`; ``committed`` and ``hint`` are None where nothing is committed."""

    partition: Partition
    request: int
    generation: str
    committed: int | None = None
    hint: int | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """Answer to `List`: the first offset of the last object, None when there is none."""

    partition: Partition
    request: int
    last: int | None


@dataclass(frozen=True, slots=True)
class Got:
    """Answer to `Get`: the verified metadata, None when there is no such object."""

    partition: Partition
    request: int
    head: Head | None


@dataclass(frozen=True, slots=True)
class Corrupt:
    """Answer to `Get` or `List`: what is there, or what arrived of it, contradicts itself."""

    partition: Partition
    request: int
    detail: str


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Answer to `QueryWatermarks`: the log holds [low, high)."""

    partition: Partition
    request: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class PutDone:
    """Answer to `Put`."""

    partition: Partition
    request: int
    outcome: PutOutcome
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """Any request had no effect and no answer; the same one is to be tried again."""

    partition: Partition
    request: int
    detail: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Land everything that is held now, whatever its age."""


Answer = Described | Listed | Got | Corrupt | Watermarks | PutDone | Failed
Event = Assigned | Revoked | Lost | Records | EndOfPartition | PositionLost | Answer | Tick | Flush


# --- actions ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Describe:
    """Ask Kafka for the topic's generation and the group's committed offset."""

    partition: Partition
    request: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class List:
    """Find the last object whose first offset is at least ``since``."""

    partition: Partition
    generation: str
    since: int
    request: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Get:
    """Read and verify the object whose first offset is ``start``."""

    partition: Partition
    generation: str
    start: int
    request: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class QueryWatermarks:
    """Ask Kafka for the log's start and end."""

    partition: Partition
    request: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Put:
    """Create the object [start, next), if no object has this start and the generation holds."""

    partition: Partition
    generation: str
    start: int
    next: int
    kind: Kind
    chunks: tuple[Chunk, ...]
    request: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit ``offset`` to the group; ``hint`` is the first offset of the object before it."""

    partition: Partition
    generation: str
    offset: int
    hint: int


@dataclass(frozen=True, slots=True)
class Seek:
    """Read from ``offset`` on; a paused partition is read again."""

    partition: Partition
    offset: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Stop reading."""

    partition: Partition


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell people; ``code`` is a machine word and is counted."""

    severity: Severity
    code: str
    partition: Partition
    detail: str


Request = Describe | List | Get | QueryWatermarks | Put
Action = Request | Commit | Seek | Pause | Alarm
