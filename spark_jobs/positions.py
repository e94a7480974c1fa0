"""Which bronze offsets a table has covered, as its commits carry them.

A position is the next offset to read of (topic, generation, partition). The property is canonical
JSON: ``{"<topic>":{"<generation>":{"<partition>":<next offset>}}}``.
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ingestion.errors import LakeError


class Chain(NamedTuple):
    """One partition of one generation of a topic: a chain of bronze objects."""

    topic: str
    generation: str
    partition: int


Positions = Mapping[Chain, int]


def decode(text: str | None) -> dict[Chain, int]:
    """Read the property; an absent one is no position.

    Raises:
        LakeError: the text is not what ``encode`` writes.
    """
    try:
        return {
            Chain(topic, generation, int(partition)): int(offset)
            for topic, generations in json.loads(text or "{}").items()
            for generation, partitions in generations.items()
            for partition, offset in partitions.items()
        }
    except (ValueError, AttributeError, TypeError) as error:
        raise LakeError(f"expected positions as JSON, found {text!r}") from error


def encode(positions: Positions) -> str:
    """Write the property."""
    nested: dict[str, dict[str, dict[str, int]]] = {}
    for chain, offset in positions.items():
        partitions = nested.setdefault(chain.topic, {}).setdefault(chain.generation, {})
        partitions[str(chain.partition)] = offset
    return json.dumps(nested, sort_keys=True, separators=(",", ":"))


def merge(old: Positions, new: Positions) -> dict[Chain, int]:
    """Return the further of both positions of every chain."""
    return {chain: max(old.get(chain, 0), new.get(chain, 0)) for chain in old.keys() | new.keys()}


def lowest(tables: Iterable[Positions], chain: Chain) -> int:
    """Return the position from which every table of the chain's topic is served."""
    return min(positions.get(chain, 0) for positions in tables)
