"""Bronze with a long history, which counts what it is asked; and the landers' commit beside it."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from ingestion.land import objects
from ingestion.land.protocol import Head, Kind, Partition
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore
from tests.ingestion.land.world import GENERATION

TOPIC = "stock-quotes"
RECORDS = 10  # in each object
_PAGE = 1_000  # keys, as S3 answers


@dataclass
class History:
    """Two partitions of a topic and their objects, in the place of Kafka and of the S3 client."""

    keys: list[str] = field(default_factory=list)
    commits: dict[Partition, int] = field(default_factory=dict)
    pages: int = 0
    places: tuple[Partition, ...] = (Partition(TOPIC, 0), Partition(TOPIC, 1))

    @classmethod
    def of(cls, count: int) -> "History":
        """Return one of so many objects a partition."""
        made = cls()
        for place in made.places:
            made.land(place, range(count))
        return made

    def land(self, place: Partition, numbers: Iterable[int]) -> None:
        """Add objects by their number in the chain; the landers commit none."""
        self.keys += [objects.key(place, GENERATION, RECORDS * one) for one in numbers]
        self.keys.sort()

    def commit(self, start: int) -> None:
        """Have the landers name that object as their last one, in each partition."""
        self.commits = dict.fromkeys(self.places, start)

    def asked(self) -> int:
        """Return the pages listed since this was asked last."""
        found, self.pages = self.pages, 0
        return found

    def store(self) -> BronzeStore:
        """Return bronze as a process that has just started has it."""
        return BronzeStore(cast("Any", self), "bronze")

    def questions(self) -> Questions:
        return cast("Questions", self)

    # --- the S3 client ---

    def list_objects_v2(self, **query: Any) -> dict[str, Any]:
        self.pages += 1
        prefix = query["Prefix"]
        after = query.get("ContinuationToken") or query.get("StartAfter") or prefix
        first = bisect_right(self.keys, after)
        last = bisect_right(self.keys, f"{prefix}~", first)
        found = self.keys[first : min(first + _PAGE, last)]
        is_cut = first + _PAGE < last
        answer = {"Contents": [{"Key": key} for key in found], "IsTruncated": is_cut}
        return answer | ({"NextContinuationToken": found[-1]} if is_cut else {})

    def head_object(self, **query: Any) -> dict[str, Any]:
        start = objects.parse_key(query["Key"])[2]
        head = Head(start, start + RECORDS, RECORDS, "0" * 64, Kind.DATA)
        return {"Metadata": objects.metadata(head)}

    # --- what is asked of Kafka ---

    def partitions(self, topics: Sequence[str]) -> list[Partition]:
        return [place for place in self.places if place.topic in topics]

    def generation(self, topic: str) -> str:
        del topic
        return GENERATION

    def committed(self, place: Partition, generation: str) -> tuple[int | None, int | None]:
        assert generation == GENERATION
        hint = self.commits.get(place)
        return (None, None) if hint is None else (hint + RECORDS, hint)
