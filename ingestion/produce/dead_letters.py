"""What was refused at the edge: kept as it was received, with who gave it, when and why."""

import hashlib
from datetime import datetime
from typing import Final, NamedTuple

from ingestion.clock import rfc3339
from ingestion.contracts.topics import DEAD_LETTERS
from ingestion.sources.source import Refused

TOPIC: Final = DEAD_LETTERS
# Kafka refuses a batch above 1 MiB by default; headers and framing need a little of it. What is
# larger than a record can hold is kept in part, with the size and the hash of the whole.
MAX_VALUE_BYTES: Final = 960 * 1024
_KEPT_BYTES: Final = 64 * 1024
_MAX_DETAIL: Final = 500


class Letter(NamedTuple):
    """Value and headers of a dead letter; it has no key."""

    value: bytes
    headers: list[tuple[str, bytes]]


def letter(refused: Refused, source: str, run_id: str, failed_at: datetime) -> Letter:
    """Return the dead letter; its value is the received body, byte for byte."""
    headers = {
        **dict(refused.context),
        "source": source,
        "reason": refused.reason,
        "detail": refused.detail[:_MAX_DETAIL],
        "failed_at": rfc3339(failed_at),
        "run_id": run_id,
        "topic": refused.topic,
    }
    body = refused.body
    if len(body) > MAX_VALUE_BYTES:
        headers |= {"size": str(len(body)), "sha256": hashlib.sha256(body).hexdigest()}
        body = body[:_KEPT_BYTES]
    # A detail may quote what was received: no text of it may make the letter itself fail.
    return Letter(body, [(k, v.encode(errors="backslashreplace")) for k, v in headers.items()])
