"""What a delivery report says: confirmed, certainly not written, or nobody knows."""

from typing import Final

from confluent_kafka import KafkaError

# A broker or the client has looked at the record and refused it. Everything else (a time-out, a
# purge, a lost connection, too few replicas after the append) may have left it in the log.
_REFUSALS: Final = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._INVALID_ARG,
    }
)


def is_refusal(error: KafkaError) -> bool:
    """Tell whether a record is certainly not in the log, and would be refused again."""
    return error.code() in _REFUSALS
