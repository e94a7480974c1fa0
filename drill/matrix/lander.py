"""``python -m drill lander``: the product's, with a rule broken or forced onto partitions."""

from collections.abc import Sequence
from typing import Annotated

import typer
from confluent_kafka import TopicPartition

from drill.matrix.broken import RULES
from ingestion import logs
from ingestion.clock import SystemClock
from ingestion.land.kafka import Kafka, Rebalance
from ingestion.land.process import assemble


def lander(
    name: Annotated[str, typer.Option(help="Name of its status file.")],
    broken: Annotated[str, typer.Option("--break", help="Break this rule.")] = "",
    forced: Annotated[
        list[str] | None, typer.Option("--force", help="Take this topic's partitions, unasked.")
    ] = None,
) -> None:
    """Land as ``python -m ingestion land`` does, but for the rule broken."""
    logs.configure()
    rules = RULES[broken]
    process = assemble(name, SystemClock(), rules.core, rules.store)
    if forced:
        _force(process.kafka, forced)
    process.run()


def _force(kafka: Kafka, topics: Sequence[str]) -> None:
    def subscribe(
        _: Sequence[str], assigned: Rebalance, revoked: Rebalance, lost: Rebalance
    ) -> None:
        partitions = kafka.partitions(topics)
        places = [TopicPartition(*one, 0) for one in partitions]
        kafka._consumer.incremental_assign(places)
        kafka._consumer.pause(places)
        kafka._joined = True
        assigned(tuple(partitions))

    setattr(kafka, "subscribe", subscribe)  # noqa: B010 - on this one object, not on the product
