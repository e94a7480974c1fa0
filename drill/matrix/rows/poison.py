"""Row 24: everything hostile that is known, between good records."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from drill import hostile
from drill.matrix.errors import ViolatedError
from drill.matrix.lake import LANDERS, LOAD_RATE, Lake
from drill.matrix.row import Row
from drill.matrix.sender import Place, Stamped, send
from drill.matrix.stage import Stage
from ingestion.contracts.topics import BATCH, REALTIME
from ingestion.produce.ledger import NoLedger
from ingestion.produce.outgoing import Outgoing

_REASONS: Final = 3  # kinds of rejects that the hostile records must bring, at least
_BATCHES: Final = 10
_REJECTS: Final = 'select topic, "partition", "offset", reason from rejects'


def poisoned(stage: Stage) -> None:
    """Send everything hostile that is known, between good records."""
    landers = stage.landers(2, LANDERS)
    stage.steady()
    records, places = list(hostile.records()), []
    step = -(-len(records) // _BATCHES)
    for start in range(0, len(records), step):
        places += send(_stamped(records[start : start + step]), NoLedger())
        stage.expect_progress("bronze follows Kafka between hostile records")
    stage.notes["hostile_records"] = len(places)
    stage.healed()
    stage.expect("no partition stalls", lambda: not any(one.said("stalled") for one in landers), 0)
    lake = Lake(stage)
    lake.job("compact")
    _judge_rejects(stage, lake, places)
    lake.require_sound()


def _stamped(records: Sequence[hostile.Hostile]) -> Iterator[Stamped]:
    for one in records:
        made = Outgoing(one.topic, one.key, one.value, [*one.headers])  # type: ignore[arg-type]  # None
        yield Stamped(made, one.timestamp_ms)


def _judge_rejects(stage: Stage, lake: Lake, places: list[Place]) -> None:
    """Require a reason beside each hostile record that the lake did not take for an event."""
    wanted = {(p.topic, p.partition, p.offset) for p in places if p.topic in (BATCH, REALTIME)}
    with lake.tables() as tables:
        found = tables.execute(_REJECTS).fetchall()
    reasons = Counter(reason for *place, reason in found if tuple(place) in wanted)
    stage.notes |= {f"rejected_{reason}": count for reason, count in reasons.items()}
    if len(reasons) < _REASONS or not all(reasons):
        raise ViolatedError(f"expected at least {_REASONS} reasons of rejects, found {reasons}")
    stage.reactions.append(f"{reasons.total()} of {len(wanted)} in the lake's topics have a reason")


ROWS: Final = (
    Row(24, "poison between good records", poisoned, deep=True, brokers=1, rate=LOAD_RATE),
)
