"""Dead letters in Kafka, read by assignment: no group is joined and nothing is committed."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from operator import methodcaller
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ingestion.contracts.topics import DEAD_LETTERS
from ingestion.errors import BrokerAwayError, BrokerError
from ingestion.produce.redrive.letters import Letter
from ingestion.settings import KafkaRole, KafkaSettings

TIMEOUT_S: Final = 10.0
# The client insists on a name, and asks who coordinates it.
GROUP: Final = "redrive"
_BATCH: Final = 100
# Through this and never as `message.headers()`: where a name is not UTF-8, confluent-kafka gives a
# list with a null pointer and sets an exception. A specialised call of CPython 3.11 overlooks
# that, and the exception comes out of a later line; a methodcaller raises SystemError.
_ask_headers: Final = methodcaller("headers")
_CONSUMER: Final[dict[str, str | int | bool]] = {
    "group.id": GROUP,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",  # retention may move the start while we read
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    # The next partition waits for the answer to the last fetch: half a second each by default.
    "fetch.wait.max.ms": 20,
    # A letter may be a megabyte.
    "queued.max.messages.kbytes": 16 * 1024,
}


def read(
    settings: KafkaSettings,
    timeout_s: float = TIMEOUT_S,
    user: KafkaRole = "redriver",
    newest: int | None = None,
) -> Iterator[Letter]:
    """Yield what the topic holds now, partition by partition in their order.

    `newest`: of each partition the last so many offsets alone.

    Raises:
        BrokerAwayError: Kafka does not answer.
        BrokerError: it refuses the user, or does not show the topic.
        SettingsError: the user's password is not set.
    """
    said: list[KafkaError] = []
    config = {**settings.client(user), **_CONSUMER, "error_cb": said.append}
    with closing(Consumer(config, logger=_silent())) as consumer:
        try:
            for place in _partitions(consumer, timeout_s):
                yield from _letters(consumer, place, timeout_s, newest)
        except KafkaException as error:
            consumer.poll(0)  # what the client has to say of its brokers is told here alone
            raise _explained(error.args[0], said, settings, user) from error


def _partitions(consumer: Consumer, timeout_s: float) -> list[int]:
    topic = consumer.list_topics(DEAD_LETTERS, timeout=timeout_s).topics[DEAD_LETTERS]
    if topic.error is not None:
        raise KafkaException(topic.error)
    return sorted(topic.partitions)


def _letters(
    consumer: Consumer, partition: int, timeout_s: float, newest: int | None
) -> Iterator[Letter]:
    """Yield a partition's letters up to its present end."""
    place = TopicPartition(DEAD_LETTERS, partition)
    low, end = consumer.get_watermark_offsets(place, timeout=timeout_s)
    low = low if newest is None else max(low, end - newest)
    if low == end:
        return
    consumer.assign([TopicPartition(DEAD_LETTERS, partition, low)])
    while True:
        found = _consumed(consumer, timeout_s)
        for message in found:
            if message.error() is None and (message.offset() or 0) < end:
                yield _letter(message)
        # The last offsets may hold no record: the end of the partition tells that, too.
        if any(_is_at(message, end) for message in found):
            return


def _consumed(consumer: Consumer, timeout_s: float) -> Sequence[Message]:
    """Wait for the next messages; what is no record is the partition's end.

    Raises:
        KafkaException: reading failed, or nothing came in time.
    """
    found = consumer.consume(1, timeout=timeout_s) + consumer.consume(_BATCH - 1, timeout=0)
    if not found:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    for message in found:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
    return found


def _is_at(message: Message, end: int) -> bool:
    """Tell whether a message, or the end of a partition, shows that ``end`` is reached."""
    offset = message.offset() or 0
    return offset >= end or (message.error() is None and offset == end - 1)


def _letter(message: Message) -> Letter:
    try:
        headers: Any = _ask_headers(message) or ()
    except SystemError:  # the name of one is not UTF-8: the client cannot hand any over
        headers = ()
    place = f"{message.partition()}/{message.offset()}"
    return Letter(place, message.timestamp()[1], message.value() or b"", tuple(headers))


def _explained(
    error: KafkaError, said: list[KafkaError], settings: KafkaSettings, user: KafkaRole
) -> BrokerError:
    cause = next((e for e in said if e.code() != KafkaError._ALL_BROKERS_DOWN), error)
    where, name = f"Kafka at {settings.servers()}", getattr(settings, f"{user}_username")
    if cause.code() in _AWAY and error.code() in _AWAY:
        return BrokerAwayError(
            f"{where} does not answer: {cause.str()}. Is it running (`make status`)?"
        )
    return BrokerError(
        f"{where} does not give user {name} the topic {DEAD_LETTERS}: {cause.str()}. Check "
        f"KAFKA_{user.upper()}_USERNAME and KAFKA_{user.upper()}_PASSWORD, and that `make up` ran "
        "since"
    )


_AWAY: Final = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
    }
)


def _silent() -> logging.Logger:
    """Return a logger that keeps librdkafka's own lines off standard error."""
    log = logging.getLogger("tapehouse.librdkafka")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return log
