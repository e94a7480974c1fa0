"""One run of the producer: pace, send, flush, whatever happens on the way."""

from collections.abc import Callable, Iterable

from ingestion.clock import Clock
from ingestion.produce.kafka import Deliverer
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Pacer, Stop
from ingestion.produce.summary import Summary

# After a stop, what is in flight gets this long.
STOP_FLUSH_S = 10.0
_FLUSH_SLICE_S = 0.5

Progress = Callable[[Summary], None]


def run(
    records: Iterable[Outgoing],
    deliverer: Deliverer,
    clock: Clock,
    pacer: Pacer,
    stop: Stop,
    progress: Progress,
) -> Summary:
    """Send all records and wait for Kafka's answers; on a stop, send no more and wait briefly.

    Raises:
        DeliveryError: the client can send nothing any more.
        SourceError: the source broke off; what it gave before was sent.
    """
    started = clock.monotonic()
    summary = deliverer.summary
    try:
        for record in records:
            if not _sent(record, deliverer, pacer, stop):
                break
            progress(summary)
    finally:
        _flush(deliverer, clock, stop, progress)
        summary.interrupted = stop.requested
        summary.seconds = clock.monotonic() - started
    return summary


def _sent(record: Outgoing, deliverer: Deliverer, pacer: Pacer, stop: Stop) -> bool:
    while not stop.requested and pacer.wait():
        deliverer.poll()
    return not stop.requested and deliverer.send(record)


def _flush(deliverer: Deliverer, clock: Clock, stop: Stop, progress: Progress) -> None:
    """Wait for all answers: each record has one within the delivery timeout, a stop is shorter."""
    deadline = None
    while deliverer.flush(_FLUSH_SLICE_S):
        progress(deliverer.summary)
        now = clock.monotonic()
        if stop.requested:
            deadline = deadline or now + STOP_FLUSH_S
            if now >= deadline:
                return
