"""The chain of half-open intervals that a partition's bronze objects must form. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from audit.model import EXAMPLES, Partition

KEY = re.compile(
    r"(?P<topic>[a-zA-Z0-9._-]{1,249})/g=(?P<generation>[0-9a-f]{32})"
    r"/p=(?P<partition>[0-9]{5})/(?P<start>[0-9]{20})\.jsonl\.zst"
)


def parse_key(key: str) -> tuple[Partition, int] | None:
    """Return the partition and first offset that a key names; None where it fits no object."""
    match = KEY.fullmatch(key)
    if not match:
        return None
    name = Partition(match["topic"], match["generation"], int(match["partition"]))
    return name, int(match["start"])


@dataclass(frozen=True)
class Link:
    """An object's interval ``[start, next)``; ``next`` is None where its metadata lacks it."""

    key: str
    start: int
    next: int | None


@dataclass(frozen=True)
class Break:
    """A place where the chain does not hold: offsets ``[first, last)`` at ``key``."""

    kind: Literal["gap", "overlap", "empty", "no end"]
    first: int
    last: int
    key: str

    def text(self) -> str:
        """Return the break as words."""
        if self.kind == "no end":
            return f"{self.key} does not say where it ends"
        if self.kind == "empty":
            return f"{self.key} ends at {self.last}, not beyond its first offset"
        span = f"[{self.first}, {self.last})"
        if self.kind == "gap":
            return f"offsets {span} are in no object; the next one is {self.key}"
        return f"offsets {span} of {self.key} are in an earlier object too"

    def offsets(self) -> list[int]:
        """Return the first few offsets concerned."""
        return list(range(self.first, min(self.last, self.first + EXAMPLES)))


def breaks(links: Sequence[Link]) -> list[Break]:
    """Return every break of one partition's chain, which begins at offset 0.

    What Kafka's retention took before it was landed is an object too (``kind=gap``), so a chain
    that begins later has lost its beginning.
    """
    found: list[Break] = []
    position: int | None = 0
    for link in sorted(links, key=lambda link: (link.start, link.next or 0)):
        found.extend(_joint(position, link))
        position = _advance(position, link)
    return found


def _joint(position: int | None, link: Link) -> list[Break]:
    found = []
    if position is not None and link.start > position:
        found.append(Break("gap", position, link.start, link.key))
    if position is not None and link.start < position:
        end = position if link.next is None else min(position, link.next)
        found.append(Break("overlap", link.start, end, link.key))
    if link.next is None:
        found.append(Break("no end", link.start, link.start, link.key))
    elif link.next <= link.start:
        found.append(Break("empty", link.start, link.next, link.key))
    return found


def _advance(position: int | None, link: Link) -> int | None:
    """Return where the next object has to start; None where that cannot be told."""
    if link.next is None:
        return None
    return max(position or 0, link.next)
