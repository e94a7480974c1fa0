"""One run of the producer: pace, send, flush, whatever happens on the way."""

from collections.abc import Callable, Iterable
from math import inf

from ingestion.clock import Clock
from ingestion.errors import SpoolFullError
from ingestion.produce.kafka import DELIVERY_TIMEOUT_S, Deliverer
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Pacer, Stop
from ingestion.produce.summary import Summary

# After a stop, what is in flight gets this long.
STOP_FLUSH_S = 10.0
_FLUSH_SLICE_S = 0.5

Progress = Callable[[Summary], None]


def run(
    records: Iterable[Outgoing | None],
    deliverer: Deliverer,
    clock: Clock,
    pacer: Pacer,
    stop: Stop,
    progress: Progress,
    wait_s: float = DELIVERY_TIMEOUT_S,
    is_live: bool = False,
    ends_itself: bool = False,
) -> Summary:
    """Send all records and wait for Kafka's answers; on a stop, send no more and wait briefly.

    None among them is the source's silence: what waits is sent meanwhile. What a live source has
    given cannot be had again: after a stop it is sent until the source ends, as it then does by
    itself, or is silent; one that ``ends_itself`` also when it is silent.

    ``wait_s`` is how long the end waits without any answer. Within the delivery timeout each record
    has one, unless a spool keeps it until the broker is back.

    Raises:
        DeliveryError: the client can send nothing any more.
        SourceError: the source broke off; what it gave before was sent.
    """
    started = clock.monotonic()
    summary, is_ending = deliverer.summary, False
    try:
        for record in records:
            if record is None:
                deliverer.poll()
                if is_ending:
                    break
                # Its reader may just now have its hand on a line: silent twice is silent.
                is_ending = stop.requested and not ends_itself
            elif not _sent(record, deliverer, pacer, stop, is_live):
                break
            progress(summary)
    except SpoolFullError:
        wait_s = 0.0  # the broker is away, and all that was read lies on disk
        raise
    finally:
        _flush(deliverer, clock, wait_s, stop, progress)
        deliverer.end()
        summary.interrupted = stop.requested
        summary.seconds = clock.monotonic() - started
    return summary


def _sent(record: Outgoing, deliverer: Deliverer, pacer: Pacer, stop: Stop, is_live: bool) -> bool:
    while not stop.requested and pacer.wait():
        deliverer.poll()
    if is_live:
        deliverer.send(record)  # it is kept, also where a stop ends the wait for room
        return True
    return not stop.requested and deliverer.send(record)


def _flush(
    deliverer: Deliverer, clock: Clock, wait_s: float, stop: Stop, progress: Progress
) -> None:
    """Wait for all answers, at most ``wait_s`` without a new one; after a stop only briefly."""
    least, since, stopped_at = inf, clock.monotonic(), inf
    while left := deliverer.flush(_FLUSH_SLICE_S):
        progress(deliverer.summary)
        now = clock.monotonic()
        if left < least:
            least, since = left, now
        if stop.requested:
            stopped_at = min(stopped_at, now)
        if now - since >= wait_s or now - stopped_at >= STOP_FLUSH_S:
            return
