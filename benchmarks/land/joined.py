"""Waiting until landers have joined their group and follow its partitions, in equal shares."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.land.data import PARTITIONS
from ingestion.contracts.topics import BATCH, DEAD_LETTERS, QUOTES, REALTIME
from ingestion.errors import TapehouseError
from ingestion.land import status
from ingestion.land.status import Document

# All that a group shares. It heeds neither topics nor records: of 13 partitions one lander gets 6,
# and were the dead letters' among them and empty, it would have 5 to land and the other one 7.
PARTITIONS_OF: Final = {
    BATCH: PARTITIONS,
    DEAD_LETTERS: 1,
    QUOTES: PARTITIONS,
    REALTIME: PARTITIONS,
}
_FOLLOWING: Final = "following"
# A group waits 6 s for the session of a member that was killed; starting and two rebalances take
# seconds. Ten times the session is a fault and no slow start.
_JOIN_S: Final = 60.0
_LOOK_S: Final = 0.2  # of files that are written once a second


def wait(landers: Sequence["subprocess.Popen[bytes]"], run: Path) -> None:
    """Wait until every partition is followed and no lander has two more than another.

    ``run`` is the folder of their status files.

    Raises:
        TapehouseError: one has ended, or it does not come to that.
    """
    deadline = time.monotonic() + _JOIN_S
    while amiss := missing(_documents(landers, run), len(landers)):
        if any(lander.poll() is not None for lander in landers):
            raise TapehouseError(f"a lander ended before it was given anything to land: {amiss}")
        if time.monotonic() > deadline:
            raise TapehouseError(f"landers have not shared partitions in {_JOIN_S:.0f} s: {amiss}")
        time.sleep(_LOOK_S)


def missing(documents: Sequence[Document], landers: int) -> str | None:
    """Return what keeps a measurement from beginning, by what the landers told last."""
    if len(documents) != landers:
        return f"expected {landers} landers to tell their state, found {len(documents)}"
    following = [list(_following(document)) for document in documents]
    owners = Counter(place for own in following for place in own)
    places = {(topic, n) for topic, partitions in PARTITIONS_OF.items() for n in range(partitions)}
    if set(owners) != places or owners.total() != len(places):
        return f"expected {len(places)} partitions to be followed once, found {owners.total()}"
    shares = [len(own) for own in following]
    if max(shares) - min(shares) > 1:
        return f"expected equal shares of {len(places)} partitions, found {shares}"
    return None


def _documents(landers: Sequence["subprocess.Popen[bytes]"], run: Path) -> list[Document]:
    own = {lander.pid for lander in landers}
    return [document for document in status.documents(run) if document["pid"] in own]


def _following(document: Document) -> Iterator[tuple[str, int]]:
    for row in document["partitions"]:
        if row["phase"] == _FOLLOWING:
            yield row["topic"], row["partition"]
