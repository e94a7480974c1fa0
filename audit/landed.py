"""Kafka against bronze."""

from collections.abc import Mapping

import numpy as np

from audit.bronze import State
from audit.compare import Claim, Sealed, agree, beyond, wrong
from audit.kafka import Log, held
from audit.model import EXAMPLES, NOTHING, Check, Partition, bad, good
from audit.objects import Bronze

Logs = Mapping[Partition, Log]

LANDED = Claim("bronze.records", "every record of Kafka is in bronze once (I1)", "Kafka", "bronze")


def judge(
    logs: Logs, committed: Mapping[tuple[str, int], int], state: State, sealed: Sealed
) -> list[Check]:
    """Compare the records above what Kafka's retention has removed, and who is ahead of whom."""
    present = {
        place: offsets[offsets >= logs[place].low]
        for place, offsets in state.held.items()
        if place in logs
    }
    return [
        *agree(LANDED, held(logs), present, sealed, beyond(reached(logs, committed, state))),
        *(check for place in sorted(logs) for check in _ends(place, logs[place], committed, state)),
        *_gaps(logs, state),
    ]


def asked(until: Mapping[Partition, int], state: State) -> list[Check]:
    """Check that bronze goes as far as whoever asked has seen it go."""
    name, invariant = "bronze.until", "bronze reaches the offsets that were asked for"
    ends = state.ends()
    return [
        not_beyond(name, invariant, place, end, ends.get(place, 0), "asked for was bronze", "it")
        for place, end in sorted(until.items())
    ]


def reached(
    logs: Logs, committed: Mapping[tuple[str, int], int], state: State
) -> dict[Partition, int]:
    """Return how far landing has come, by whatever remembers most: what lies before was landed."""
    ends = state.ends()
    return {
        place: max(
            ends.get(place, 0),
            committed.get((place.topic, place.partition), 0),
            state.remembered.get(place, 0),
        )
        for place in logs
    }


def _ends(
    place: Partition, log: Log, committed: Mapping[tuple[str, int], int], state: State
) -> list[Check]:
    end = state.ends().get(place, 0)
    return [
        not_beyond("bronze.end", "bronze ends within Kafka's log (I5)", place, end, log.end,
                   "bronze is", "Kafka"),
        not_beyond("kafka.committed", "the committed offset is not beyond bronze (I4)", place,
                   committed.get((place.topic, place.partition), 0), end,
                   "the landers' commit is", "bronze"),
        not_beyond("kafka.retention", "what Kafka removed was landed before", place, log.low, end,
                   "Kafka's log starts", "bronze"),
    ]  # fmt: skip


def not_beyond(
    name: str, invariant: str, place: Partition, found: int, limit: int, who: str, whom: str
) -> Check:
    """Check that one offset does not pass another; offsets between the two are named."""
    if found <= limit:
        return good(name, invariant, place, expected=limit, found=found)
    text = f"{place}: {who} at {found}, {whom} reaches {limit}"
    between = range(limit, min(found, limit + EXAMPLES))
    return bad(name, invariant, text, between, place, expected=limit, found=found,
               differences=found - limit)  # fmt: skip


def _gaps(logs: Logs, state: State) -> list[Check]:
    """A gap object admits a loss, which must be real: Kafka has nothing of its interval."""
    return [
        _gap(place, item, logs[place] if place in logs else Log(0, 0))
        for place, items in state.objects.items()
        for item in items
        if item.kind == "gap"
    ]


def _gap(place: Partition, item: Bronze, log: Log) -> Check:
    name, invariant = "bronze.gaps", "a declared gap covers only what Kafka no longer has"
    kept = log.offsets[(log.offsets >= item.start) & (log.offsets < (item.next or item.start))]
    if len(kept):
        return wrong(name, invariant, place, kept, f"in Kafka, declared lost by {item.key}")
    text = f"{place}: [{item.start}, {item.next}) was removed from Kafka before it was landed"
    return good(name, invariant, place, detail=text)


def same_bytes(logs: Logs, state: State) -> list[Check]:
    """Compare a hash over every record's key, headers, timestamp and value (``--deep``)."""
    return [
        _same(place, items, logs[place], state.held.get(place, NOTHING))
        for place, items in sorted(state.objects.items())
        if place in logs and not any(item.problems for item in items)
    ]


def _same(place: Partition, items: list[Bronze], log: Log, offsets: np.ndarray) -> Check:
    name, invariant = "bronze.bytes", "a bronze record is the Kafka record, byte for byte (I5)"
    stored = np.concatenate([item.hashes for item in items])
    _, ours, theirs = np.intersect1d(offsets, log.offsets, return_indices=True)
    different = offsets[ours[stored[ours] != log.hashes[theirs]]]
    if len(different):
        return wrong(name, invariant, place, different, "not the same in bronze as in Kafka")
    return good(name, invariant, place, expected=len(ours), found=len(ours))
