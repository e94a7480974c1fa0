"""Where a doctor's run probes: two buckets of its own, and in them keys that no other run has.

What it puts there are real bronze objects, put and read by the lander's own code.
"""

import random
import uuid
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Final

from ingestion.clock import Clock
from ingestion.errors import ProbeError, StoreError, StoreUnavailableError
from ingestion.land import objects
from ingestion.land.doctor.wire import Wire
from ingestion.land.lines import Chunk
from ingestion.land.protocol import Head, Kind, Partition, PutOutcome
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NAME_TIME: Final = "%Y%m%dT%H%M%SZ"
GENERATION: Final = "d0c7" * 8  # of the form of a topic's id
_TIMESTAMP_MS: Final = 1_700_000_000_000
_DEFAULT_BYTES: Final = 1000


@dataclass(frozen=True)
class Plan:
    """How much is probed: a race has ``rounds``, in each ``racers`` want one key."""

    rounds: int
    racers: int
    processes: int
    lists: int

    def covers(self, other: "Plan") -> bool:
        """Tell whether this is nowhere less than ``other``."""
        return all(mine >= its for mine, its in zip(astuple(self), astuple(other), strict=True))


@dataclass(frozen=True)
class Site:
    """One run: the store, as the lander reaches it, and the run's name in the keys."""

    settings: StoreSettings
    client: "S3Client"
    other_client: "S3Client"
    wire: Wire
    clock: Clock
    plan: Plan
    run: str

    @classmethod
    def open(cls, settings: StoreSettings, clock: Clock, plan: Plan) -> "Site":
        """Return a new run's site; nothing is sent yet.

        Raises:
            SettingsError: the lander's keys are not set.
        """
        run = f"{clock.now():{NAME_TIME}}-{uuid.uuid4().hex[:8]}"
        client, other_client = connect(settings, "lander"), connect(settings, "lander")
        return cls(settings, client, other_client, Wire.of_lander(settings), clock, plan, run)

    @property
    def plain(self) -> str:
        """The bucket without versions."""
        return self.settings.doctor_buckets()[0]

    @property
    def versioned(self) -> str:
        """The bucket that is like bronze's."""
        return self.settings.doctor_buckets()[1]

    @property
    def has_policies(self) -> bool:
        """Whether the store knows versions and what an identity may do; S3Proxy does not."""
        return self.settings.kind != "s3proxy"

    def server(self) -> str:
        """Return what the store calls itself when the lander asks; S3Proxy says nothing.

        Nothing as well where it refuses: the checks say so.

        Raises:
            StoreUnavailableError: it does not answer.
        """
        try:
            return self.bronze(self.settings.bronze_bucket).check()
        except StoreUnavailableError:
            raise
        except StoreError:
            return ""

    def series(self, number: int) -> Partition:
        """Return what stands for a partition in the keys: each check uses another."""
        return Partition(self.run, number)

    def key(self, number: int, start: int) -> str:
        """Return the key of an object of a series."""
        return objects.key(self.series(number), GENERATION, start)

    def bronze(self, bucket: str) -> BronzeStore:
        """Return a bucket as the lander sees bronze."""
        return BronzeStore(self.client, bucket)

    def has(self, bucket: str, key: str) -> bool:
        """Tell whether there is an object of this key, by a listing.

        Raises:
            StoreError: the bucket could not be listed.
        """
        partition, generation, start = objects.parse_key(key)
        return self.bronze(bucket).last(partition, generation, start) == start

    def land(self, bucket: str, number: int, start: int, built: tuple[bytes, Head]) -> None:
        """Put an object on a free key.

        Raises:
            ProbeError: the store did not take it.
            StoreUnavailableError: it is not known whether it did.
        """
        outcome, words = self.bronze(bucket).put(self.key(number, start), *built)
        if outcome is PutOutcome.UNKNOWN:
            raise StoreUnavailableError(f"the store does not answer: {words}")
        if outcome is not PutOutcome.LANDED:
            raise ProbeError(f"expected a free key to be put, found {outcome.value}: {words}")

    def got(self, bucket: str, number: int, start: int) -> tuple[Head, bytes]:
        """Return an object that must be there, its bytes checked against its metadata.

        Raises:
            ProbeError: it is not there.
            ChainError: metadata is missing, or contradicts the bytes.
            StoreError: it could not be read.
        """
        found = self.bronze(bucket).get(self.series(number), GENERATION, start)
        if found is None:
            raise ProbeError(f"expected {self.key(number, start)} to be readable, found nothing")
        return found


def built(start: int, seed: str, size: int = _DEFAULT_BYTES) -> tuple[bytes, Head]:
    """Return a bronze object of its own for each seed; its bytes do not compress."""
    blob = random.Random(seed).randbytes(size)  # noqa: S311 - not a secret
    chunk = Chunk(blob, start, start, 1, _TIMESTAMP_MS, _TIMESTAMP_MS + 1)
    return objects.build(start, start + 1, Kind.DATA, [chunk])


def put_headers(head: Head) -> dict[str, str]:
    """Return the headers of the lander's PUT."""
    fields = {f"x-amz-meta-{name}": value for name, value in objects.metadata(head).items()}
    return fields | {"If-None-Match": "*", "Content-Type": "application/zstd"}
