"""The plain clients: reading and dropping, and one object a message. Each is its own process.

A client prints ``{"begin": …, "end": …, "records": …}``, seconds since the epoch: from its first
batch to its last record, without joining and leaving.
"""

import json
import sys
import time
from collections.abc import Callable

from confluent_kafka import Consumer, Message, TopicPartition

from benchmarks.land.data import PARTITIONS
from ingestion import collector
from ingestion.land import member
from ingestion.land.store import connect
from ingestion.settings import KafkaSettings, LandSettings, StoreSettings

Take = Callable[[list[Message]], None]


def main(what: str, topic: str, count: int) -> None:
    """Read ``count`` records of a topic and do ``what`` with them."""
    take = _put_each(topic) if what == "put-each" else _drop
    with collector.calm():
        consumer = _consumer(topic)
        begin, end = read(consumer, count, take)
        consumer.close()
    sys.stdout.write(json.dumps({"begin": begin, "end": end, "records": count}) + "\n")


def _consumer(topic: str) -> Consumer:
    settings = KafkaSettings.load()
    fetching = member.fetching(LandSettings.load().queue_bytes)
    consumer = Consumer(
        {**settings.client("lander"), **fetching, "group.id": settings.landers_group}
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    return consumer


def read(
    consumer: Consumer, count: int, take: Take, now: Callable[[], float] = time.time
) -> tuple[float, float]:
    """Read ``count`` records; return when the first ones were received, and the last ones taken."""
    begin = None
    while count > 0:
        found = consumer.consume(min(member.BATCH, count), member.CONSUME_TIMEOUT_S)
        received = sum(message.error() is None for message in found)
        if received and begin is None:
            begin = now()
        count -= received
        take(found)
    end = now()
    return end if begin is None else begin, end


def _drop(_: list[Message]) -> None:
    """Do nothing: what is left is the least that reading costs."""


def _put_each(topic: str) -> Take:
    settings = StoreSettings.load()
    client = connect(settings, "lander", 1)

    def put(messages: list[Message]) -> None:
        for message in messages:
            if message.error() is None:
                key = f"{topic}/{message.partition()}/{message.offset()}.json"
                value = message.value() or b""
                client.put_object(Bucket=settings.bronze_bucket, Key=key, Body=value)

    return put


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
