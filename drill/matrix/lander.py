"""``python -m drill lander``: the product's, with a rule broken or forced onto partitions."""

from collections.abc import Sequence
from typing import Annotated

import typer
from confluent_kafka import TopicPartition

from drill.matrix.broken import RULES
from ingestion import logs
from ingestion.clock import SystemClock
from ingestion.land.member import Rebalance
from ingestion.land.process import Process, assemble


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
        _force(process, forced)
    process.run()


def _force(process: Process, topics: Sequence[str]) -> None:
    member = process.member

    def subscribe(
        _: Sequence[str], assigned: Rebalance, revoked: Rebalance, lost: Rebalance
    ) -> None:
        partitions = process.questions.partitions(topics)
        places = [TopicPartition(*one, 0) for one in partitions]
        member._consumer.incremental_assign(places)
        member._consumer.pause(places)
        member._connection.has_joined = True
        assigned(tuple(partitions))

    setattr(member, "subscribe", subscribe)  # noqa: B010 - on this one object, not on the product
