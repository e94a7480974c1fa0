"""Every confirmation of the producers' ledgers, looked for in Kafka and in bronze."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.book import Acks, Book
from audit.compare import beyond, wrong
from audit.hashes import Mask, look_up, mix
from audit.kafka import Log
from audit.lake import LakeTable
from audit.ledger import Names
from audit.model import Check, Hashes, Partition, Status, Valued, good

_NAME = "ledger.acked"
_ACKED = "what Kafka confirmed is in Kafka and in bronze, with the value that was meant (I1)"
_NOWHERE = "?"  # the generation of a topic that Kafka does not show


@dataclass(frozen=True)
class Stages:
    """What the ledger is compared with; None where it was not read."""

    logs: Mapping[Partition, Log] | None
    values: Mapping[Partition, Valued] | None
    """Of bronze, in every generation."""

    reached: Mapping[Partition, int]
    """How far landing has come."""

    tables: Mapping[str, LakeTable] | None

    def hashed(self) -> list[tuple[str, Mapping[Partition, Valued]]]:
        """Return the values read from each stage that has values."""
        logs = {place: log.valued for place, log in (self.logs or {}).items()}
        return [("Kafka", logs), ("bronze", self.values or {})]


class Found(NamedTuple):
    """Which confirmed offsets one generation of a stage holds, and with a value that was meant."""

    held: Mask
    same: Mask


@dataclass(frozen=True)
class Proof:
    """One partition's confirmations, and where each was found."""

    place: Partition
    """With Kafka's present generation, where it shows one."""

    acks: Acks
    log: Log | None
    kafka: Found
    bronze: Mapping[str, Found]

    @property
    def is_shown(self) -> bool:
        """Return whether Kafka has shown a generation of the topic."""
        return self.place.generation != _NOWHERE

    @cached_property
    def lives(self) -> NDArray[np.int64]:
        """Return the generation of bronze that proves each, as a number; -1 where none does."""
        found = np.full(len(self.acks.ids), -1)
        for number, one in enumerate(self.bronze.values()):
            found[one.same] = number
        return found

    @cached_property
    def is_earlier(self) -> Mask:
        """Return which are proven by a generation that Kafka no longer has."""
        names = list(self.bronze)
        now = names.index(self.place.generation) if self.place.generation in names else -1
        return np.asarray(self.is_shown & (self.lives >= 0) & (self.lives != now))

    @cached_property
    def is_removed(self) -> Mask:
        """Return which Kafka's retention has taken."""
        low = self.log.low if self.log else 0
        return np.asarray(self.acks.offsets < low)


def proofs(book: Book, acks: Acks, stages: Stages, known: set[str]) -> Iterator[Proof]:
    """Return the proofs of these confirmations, one for each partition of the topics known."""
    intended = book.intended
    meant = np.unique(mix(intended.ids, intended.values))
    for number, topic in enumerate(book.topics):
        for partition in np.unique(acks.partitions[acks.topics == number]).tolist():
            if topic in known:
                yield _proof(topic, partition, acks.of(number, partition), stages, meant)


def _proof(topic: str, partition: int, acks: Acks, stages: Stages, meant: Hashes) -> Proof:
    now = {shown.topic: shown.generation for shown in stages.logs or ()}
    place = Partition(topic, now.get(topic, _NOWHERE), partition)
    log = (stages.logs or {}).get(place)
    lives = {
        life.generation: _find(acks, valued, meant)
        for life, valued in sorted((stages.values or {}).items())
        if life[::2] == place[::2]
    }
    nothing = np.zeros(len(acks.ids), dtype=bool)
    kafka = _find(acks, log.valued, meant) if log else Found(nothing, nothing)
    return Proof(place, acks, log, kafka, lives)


def _find(acks: Acks, valued: Valued, meant: Hashes) -> Found:
    at, held = look_up(valued.offsets, acks.offsets)
    same = held.copy()
    same[held] = look_up(meant, mix(acks.ids[held], valued.values[at[held]]))[1]
    return Found(held, same)


def judge(proof: Proof, stages: Stages, names: Names) -> list[Check]:
    """Return what is lost, altered or on its way, or that all is there.

    One of a partition's checks has ``expected``: together they count each confirmation once.
    """
    kinds = [
        kind for kind in [*_in_kafka(proof, stages), *_in_bronze(proof, stages)] if kind[0].any()
    ]
    if not kinds:
        return [_all_landed(proof)]
    first, *others = [_lacking(proof, *kind, names) for kind in kinds]
    lacking = np.any([kind[0] for kind in kinds], axis=0)
    return [replace(first, expected=len(lacking), found=int((~lacking).sum())), *others]


def _lacking(proof: Proof, chosen: Mask, what: str, status: Status, names: Names) -> Check:
    first = names.of(proof.acks.ids[chosen][:1])[0]
    order = np.argsort(proof.acks.offsets[chosen], kind="stable")
    offsets = proof.acks.offsets[chosen][order]
    return wrong(_NAME, _ACKED, proof.place, offsets, f"{what} (one is id {first})", status)


def _in_kafka(proof: Proof, stages: Stages) -> list[tuple[Mask, str, Status]]:
    if stages.logs is None:
        return []
    if not proof.is_shown:
        return [(~proof.kafka.same, "acked, of a topic that Kafka does not show", "unknown")]
    lost = ~proof.kafka.same & ~proof.is_removed & ~proof.is_earlier
    other = "acked, in Kafka with a value that was not meant"
    return [
        (lost & ~proof.kafka.held, "acked, not in Kafka", "violated"),
        (lost & proof.kafka.held, other, "violated"),
    ]


def _in_bronze(proof: Proof, stages: Stages) -> list[tuple[Mask, str, Status]]:
    if stages.values is None:
        return []
    lost = proof.lives < 0
    now = proof.bronze.get(proof.place.generation)
    altered = lost & now.held if now else np.zeros(len(lost), dtype=bool)
    missing = lost & ~altered
    late = _late(proof, missing, stages.reached)
    lives = " of any generation" if len(proof.bronze) > 1 else ""
    return [
        (missing & ~late, f"acked, not in bronze{lives}", "violated"),
        (altered, "acked, in bronze with a value that was not meant", "violated"),
        (late, "acked, not yet in bronze", "behind"),
    ]


def _late(proof: Proof, missing: Mask, reached: Mapping[Partition, int]) -> Mask:
    """Return which of the missing ones landing has not come to."""
    offsets = proof.acks.offsets
    return missing & np.isin(offsets, beyond(reached)(proof.place, offsets[missing]))


def _all_landed(proof: Proof) -> Check:
    count = len(proof.acks.ids)
    facts = {
        "were removed from Kafka after they were landed": proof.is_removed & ~proof.is_earlier,
        "are of an earlier life of the topic": proof.is_earlier,
    }
    parts = [f"{int(mask.sum())} {what}" for what, mask in facts.items() if mask.any()]
    text = f"{proof.place}: {', '.join(parts)}" if parts else ""
    return good(_NAME, _ACKED, proof.place, expected=count, found=count, detail=text)
