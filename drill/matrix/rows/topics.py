"""Rows 11 and 12: a topic that starts anew, and one that forgets before it was landed."""

from typing import Final

from confluent_kafka import TopicPartition

from drill.matrix.row import Row
from drill.matrix.stage import Stage
from drill.matrix.writer import write
from ingestion.contracts.topics import DEAD_LETTERS
from ingestion.land.protocol import Partition

_PLACE: Final = Partition(DEAD_LETTERS, 0)
_TIMEOUT_S: Final = 20.0


def recreated(stage: Stage) -> None:
    """Delete a topic under its lander and create it again: offsets start at 0 again."""
    one = stage.lander()
    stage.steady()
    write(DEAD_LETTERS, 50)
    stage.prove("the old topic's records are landed", lambda: stage.sight.is_landed(_PLACE))
    before = stage.seen(lambda: stage.sight.generation(DEAD_LETTERS))
    stage.renew(DEAD_LETTERS, stage.cluster.data_replicas(1), {})
    write(DEAD_LETTERS, 30)
    stage.prove("the topic has another id", lambda: stage.sight.generation(DEAD_LETTERS) != before)
    stage.healed()
    stage.expect(
        "the lander raises the alarm", lambda: one.said("topic_recreated", "generation_ended")
    )
    stage.expect("a new chain has the new records", lambda: stage.sight.landed_to(_PLACE) == 30)


def retained(stage: Stage) -> None:
    """Let Kafka remove records that no lander has read."""
    first = stage.lander()
    stage.steady()
    write(DEAD_LETTERS, 100)
    stage.prove("there is a chain to break", lambda: stage.sight.is_landed(_PLACE))
    first.process.end()
    landed = stage.seen(lambda: stage.sight.landed_to(_PLACE))
    write(DEAD_LETTERS, 200)
    low = landed + 150
    place = TopicPartition(*_PLACE, low)
    client = stage.cluster.admin
    client.delete_records([place])[place].result(_TIMEOUT_S)
    stage.prove(
        f"the log starts at {low}, bronze ends at {landed}",
        lambda: (stage.sight.log(_PLACE)[0], stage.sight.landed_to(_PLACE)) == (low, landed),
    )
    second = stage.lander()
    stage.healed()
    stage.expect("the lander raises the alarm", lambda: second.said("retention_gap"))
    stage.expect("what is left is landed", lambda: stage.sight.is_landed(_PLACE))
    stage.catch_up()
    stage.expect("every auditor notes the gap", lambda: _noted(stage, landed, low), 0)


def _noted(stage: Stage, landed: int, low: int) -> bool:
    text = f"[{landed}, {low})"
    return all(
        any(c["name"] == "bronze.gaps" and text in c["detail"] for c in found.checks)
        for found in stage.auditors.judge()
    )


ROWS: Final = (
    Row(11, "topic deleted and created anew", recreated),
    Row(12, "retention passes the lander", retained),
)
