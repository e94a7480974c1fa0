"""How often what producers meant is there: in Kafka and bronze by value, in the lake by id."""

from collections.abc import Iterable, Mapping
from itertools import chain

import numpy as np

from audit.compare import wrong
from audit.hashes import count, join, look_up
from audit.lake import TABLES_OF_TOPIC, LakeTable
from audit.ledger import Intents, Names
from audit.model import NOTHING, Check, Hashes, Holdings, Partition, Valued, good
from audit.offsets import distinct
from audit.proofs import Proof, Stages

Tables = Mapping[str, LakeTable]

_NAME = "ledger.once"
_ONCE = "an id is in bronze no more often than it was sent, and once in the lake (I1)"
_ALIEN = "every record was meant by a producer"


def sent(topic: str, intents: Intents, stages: Stages, names: Names) -> list[Check]:
    """Check that no value of a topic is there more often than it was handed to a client."""
    return [
        _sent(stage, topic, intents, join([valued.values for valued in here.values()]), names)
        for stage, found in stages.hashed()
        if (here := _of_topic(found, topic))
    ]


def _sent(stage: str, topic: str, intents: Intents, values: Hashes, names: Names) -> Check:
    meant, attempts = np.unique(intents.values, return_counts=True)
    copies = count(values, meant)
    more = np.isin(intents.values, meant[copies > attempts])
    if more.any():
        said = f"{{}} of {topic} is in {stage} more often than it was sent"
        return names.wrong(_NAME, _ONCE, np.unique(intents.ids[more]), said)
    again = copies[copies > 1]
    text = f"{topic}: {len(again)} values sent again are {int(again.sum())} times in {stage}"
    there = int(copies.sum())
    return good(_NAME, _ONCE, found=there, detail=text if len(again) else "")


def aliens(topic: str, intents: Intents, stages: Stages) -> list[Check]:
    """Check that every record of a topic has a value that was meant."""
    meant = np.unique(intents.values)
    return [
        _alien(place, valued, meant, stage)
        for stage, found in stages.hashed()
        for place, valued in sorted(_of_topic(found, topic).items())
    ]


def _alien(place: Partition, valued: Valued, meant: Hashes, stage: str) -> Check:
    name, total = "ledger.alien", len(valued.offsets)
    offsets = distinct(valued.offsets[~look_up(meant, valued.values)[1]])
    if len(offsets):
        return wrong(name, _ALIEN, place, offsets, f"in {stage}, intended in no ledger")
    return good(name, _ALIEN, place, expected=total, found=total, detail=stage)


def _of_topic(found: Mapping[Partition, Valued], topic: str) -> dict[Partition, Valued]:
    return {place: valued for place, valued in found.items() if place.topic == topic}


def once(
    topic: str, intents: Intents, proofs: Iterable[Proof], tables: Tables, names: Names
) -> list[Check]:
    """Check a topic's ids in the lake: what was acked once or rejected, the others at most once."""
    if topic not in TABLES_OF_TOPIC:
        return []
    if not _holds(tables, topic):
        return [Check(_NAME, _ONCE, "skipped", f"the lake does not hold {topic} yet")]
    rows = join([tables[name].ids for name in TABLES_OF_TOPIC[topic]])
    ids, times = np.unique(rows, return_counts=True)
    doubled = np.intersect1d(ids[times > 1], intents.ids)
    absent = [_absent(proof, ids, tables) for proof in proofs]
    lost = np.unique(join([one for one, _ in absent]))
    late = np.setdiff1d(join([one for _, one in absent]), lost)
    checks = []
    if len(doubled):
        said = f"{{}} is in the lake's tables of {topic} more than once"
        checks.append(names.wrong(_NAME, _ONCE, doubled, said))
    if len(lost):
        said = f"{{}} of {topic} was acked, and is in no table of the lake nor rejected"
        checks.append(names.wrong(_NAME, _ONCE, lost, said))
    if len(late):
        said = f"{{}} of {topic} was acked, and is not in the lake yet"
        checks.append(names.wrong(_NAME, _ONCE, late, said, "behind"))
    return checks or [good(_NAME, _ONCE, found=len(ids))]


def _holds(tables: Tables, topic: str) -> bool:
    found = [tables[name] for name in TABLES_OF_TOPIC[topic]]
    places = chain.from_iterable((*table.rows, *(table.positions or ())) for table in found)
    return any(place.topic == topic for place in places)


def _absent(proof: Proof, ids: Hashes, tables: Tables) -> tuple[Hashes, Hashes]:
    """Return the ids that no event table has and no reject explains: those lost, those late.

    What is not in bronze either is told there. A reject as a copy explains nothing: what it is a
    copy of has to be in a table.
    """
    refused: Holdings = {}
    for name in TABLES_OF_TOPIC[proof.place.topic]:
        refused |= tables[name].refused
    lost, late = [], []
    for number, generation in enumerate(proof.bronze):
        place = proof.place._replace(generation=generation)
        here = proof.acks.where(proof.lives == number)
        is_absent = ~look_up(ids, here.ids)[1]
        is_absent &= ~np.isin(here.offsets, refused.get(place, NOTHING))
        is_late = here.offsets >= _position(tables, place)
        lost.append(here.ids[is_absent & ~is_late])
        late.append(here.ids[is_absent & is_late])
    return join(lost), join(late)


def _position(tables: Tables, place: Partition) -> int:
    names = TABLES_OF_TOPIC[place.topic]
    return min((tables[name].positions or {}).get(place, 0) for name in names)
