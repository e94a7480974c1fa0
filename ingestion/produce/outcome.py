"""What a delivery report says: confirmed, certainly not written, or nobody knows."""

from typing import Final

from confluent_kafka import KafkaError, Message

# A record is at fault: no broker will ever take it. Said by a broker, it is one of the batch.
_OF_THE_RECORD: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError._INVALID_ARG,
    }
)
# The topic or the user is: another record would fare no better, and this one may later.
_OF_THE_PLACE: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


def is_of_the_record(error: KafkaError) -> bool:
    """Tell whether a batch was certainly not written, and would not be at any time.

    Every error that is neither this nor of the place (a time-out, a purge, a lost connection, too
    few replicas after the append) may have left it in the log.
    """
    return error.code() in _OF_THE_RECORD


def is_of_the_place(error: KafkaError) -> bool:
    """Tell whether a batch was certainly not written, as no other of its topic would be now."""
    return error.code() in _OF_THE_PLACE


def is_fatal(error: KafkaError) -> bool:
    """Tell whether the client that says so can send nothing any more (fenced, out of order)."""
    return error.fatal() or error.code() == KafkaError._FATAL


class Places:
    """Which of the confirmed records have an offset.

    A batch that the broker knows from before and no longer remembers where (an answer of
    DUPLICATE_SEQUENCE_NUMBER) counts as written, and librdkafka numbers its records from -1, which
    is read as None: None, 0, 1, and so on. The true ones are larger, and so is all that follows.
    """

    def __init__(self) -> None:
        self._made_up: dict[tuple[str, int], int] = {}

    def offset(self, message: Message) -> int | None:
        """Return a confirmed record's offset, None where the broker did not tell it."""
        offset = message.offset()
        if offset is not None and not self._made_up:  # as nearly always
            return int(offset)
        place = str(message.topic()), int(message.partition() or 0)
        if offset is None:
            self._made_up[place] = 0
            return None
        if self._made_up.get(place) == offset:
            self._made_up[place] += 1
            return None
        self._made_up.pop(place, None)
        return int(offset)
