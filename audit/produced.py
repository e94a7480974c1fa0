"""The producers' ledgers against what became of what they meant."""

from collections.abc import Iterable

import numpy as np

from audit import copies, proofs
from audit.hashes import count, join
from audit.ledger import Acks, Book, Intents, Names
from audit.model import Check, Hashes, good, unknown
from audit.proofs import Stages

_INTENDED = "an outcome is of something that was written ahead"
_FAILED = "what certainly failed was not written"
_UNKNOWN = "what has no certain outcome is counted"


def judge(
    book: Book, due: int, stages: Stages, names: Names, known: Iterable[str], is_complete: bool
) -> list[Check]:
    """Compare.

    Args:
        book: the ledger, read to its end after everything else.
        due: how many of its confirmations were there before anything else was read.
        stages: what the other stages hold.
        names: the ids behind their hashes.
        known: the topics that are audited.
        is_complete: whether no producer was without a ledger.
    """
    acks, intended = book.acked.first(due), book.intended
    found = list(proofs.proofs(book, acks, stages, set(known)))
    checks = [check for proof in found for check in proofs.judge(proof, stages, names)]
    checks += _unread(book, set(known))
    checks += [_announced(book, acks, names), *_outcomes(book, stages, names)]
    for number, topic in enumerate(book.topics):
        intents = intended.of(number)
        checks += copies.sent(topic, intents, stages, names)
        if is_complete:
            checks += copies.aliens(topic, intents, stages)
        if stages.tables is not None:
            here = [proof for proof in found if proof.place.topic == topic]
            checks += copies.once(topic, intents, here, stages.tables, names)
    return checks


def _unread(book: Book, known: set[str]) -> list[Check]:
    return [
        unknown("ledger.topics", "every topic of the ledger is audited", f"{topic} is not")
        for topic in sorted(set(book.topics) - known)
    ]


def _announced(book: Book, acks: Acks, names: Names) -> Check:
    name = "ledger.intended"
    outcomes = np.unique(join([acks.ids, book.failed, book.unknown]))
    strange = np.setdiff1d(outcomes, book.intended.ids)
    if len(strange):
        return names.wrong(name, _INTENDED, strange, "{} has an outcome, and was never intended")
    return good(name, _INTENDED, expected=len(outcomes), found=len(outcomes))


def _outcomes(book: Book, stages: Stages, names: Names) -> list[Check]:
    """Count what was not confirmed; an id failed where each of its attempts certainly did."""
    intended = book.intended
    ids, attempts = np.unique(intended.ids, return_counts=True)
    failures = count(book.failed, ids)
    is_open = ~np.isin(ids, book.acked.ids)
    failed = ids[is_open & (failures >= attempts)]
    unsure = ids[is_open & (failures < attempts)]
    return [_counted(book, failed, unsure, stages), _not_written(intended, failed, stages, names)]


def _counted(book: Book, failed: Hashes, unsure: Hashes, stages: Stages) -> Check:
    told = int(np.isin(unsure, book.unknown).sum())
    there = len(_written(book.intended, unsure, stages))
    text = (
        f"{len(unsure) - told} intended without outcome, {told} unknown, {len(failed)} failed;"
        f" {there} of the {len(unsure)} that may have been written are in Kafka"
    )
    is_news = len(unsure) or len(failed)
    return good("ledger.unknown", _UNKNOWN, detail=text if is_news else "")


def _not_written(intended: Intents, failed: Hashes, stages: Stages, names: Names) -> Check:
    there = _written(intended, failed, stages)
    if len(there):
        said = "{} failed for certain, and is in Kafka"
        return names.wrong("ledger.failed", _FAILED, there, said)
    return good("ledger.failed", _FAILED, expected=len(failed), found=len(failed))


def _written(intended: Intents, ids: Hashes, stages: Stages) -> Hashes:
    """Return those ids of which Kafka holds a value that was meant for no other."""
    mine = np.isin(intended.ids, ids)
    values = np.setdiff1d(intended.values[mine], intended.values[~mine])
    held = join([log.valued.values for log in (stages.logs or {}).values()])
    is_there = np.isin(intended.values, np.intersect1d(values, held))
    return np.unique(intended.ids[mine & is_there])
