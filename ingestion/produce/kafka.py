"""Delivery: every record is confirmed by Kafka, or the run fails and says what became of it.

A record goes from the backlog into the ledger, then to the client, and stays with us until it is
answered. An answer that leaves its fate open (see ``outcome``) makes us start again: the client is
replaced, and all that is unanswered is sent once more, in its old order and with its old bytes.
Kafka may then have a record twice, never out of order: the first of each is where it belongs.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import filterfalse
from math import inf
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from ingestion.clock import Clock
from ingestion.errors import DeliveryError, SpoolFullError
from ingestion.produce.backlog import Backlog, Entry, Memory
from ingestion.produce.client import Client
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outcome import Places, is_fatal, is_of_the_record, is_refusal
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.summary import Summary
from ingestion.settings import KafkaSettings

Config = Mapping[str, str | int | float | bool]

# With idempotence librdkafka forces acks=all and tries again by itself for so long: the whole time
# that a record has, after which its outcome is unknown, not negative.
DELIVERY_TIMEOUT_S = 300.0
_TUNING: Config = {
    "enable.idempotence": True,
    # A batch that fails for good stops the client at once. Without it the next batch of the same
    # partition is already on its way, and what is sent again comes behind it: out of order.
    "enable.gapless.guarantee": True,
    "linger.ms": 20,
    "batch.size": 1_000_000,
    "batch.num.messages": 50_000,
    "compression.type": "lz4",
    # The Java clients' partitioner: a symbol keeps its partition whichever client sends it.
    "partitioner": "murmur2_random",
    # What is unanswered is also held here, to be sent again: about 1 kB a record. It is half a
    # second at full speed, and a longer queue was no faster.
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 256 * 1024,
}
# Librdkafka's word for never: what is unanswered lies in the spool, and waits for the broker.
_NO_TIMEOUT: Config = {"message.timeout.ms": 0}
_FULL_WAIT_S = 0.05
# Without any answer for so long the broker is away: a source is then not kept waiting for it.
AWAY_S = 3.0
# Delivery reports are fetched every so many records: the call costs more than handing one over.
_POLL_EVERY = 500
BATCH = 256
_BATCH_BYTES = 2**20


def configuration(
    settings: KafkaSettings, delivery_timeout_s: float, outlives: bool = False
) -> dict[str, Any]:
    """Return librdkafka's settings of the producer; ``outlives`` where a spool keeps the records.

    Raises:
        SettingsError: the producer's password is not set.
    """
    timeout = _NO_TIMEOUT if outlives else {"message.timeout.ms": int(delivery_timeout_s * 1000)}
    return {**settings.client("producer"), **_TUNING, **timeout}


class Deliverer:
    """Hands records to Kafka in the order given, and counts its answers."""

    def __init__(
        self,
        config: Mapping[str, Any],
        clock: Clock,
        log: logging.Logger,
        give_up: Callable[[], bool] = lambda: False,
        ledger: Ledger | NoLedger = NoLedger(),  # noqa: B008 - it holds nothing
        backlog: Backlog | None = None,
    ) -> None:
        self.summary = Summary()
        self._clock = clock
        self._give_up = give_up
        self._ledger = ledger
        self._backlog = Memory() if backlog is None else backlog
        self._client = Client(config, log)
        self._timeout_s = int(config["message.timeout.ms"]) / 1000 or inf
        self._batch: list[Outgoing] = []
        self._batch_bytes = 0
        self._ready: deque[Entry] = deque()  # in the ledger, not yet handed over
        self._unanswered: dict[int, Entry] = {}
        self._places = Places()
        self._is_in_doubt = False
        self._heard_at = clock.monotonic()

    def check(self, topics: Iterable[str], timeout_s: float) -> None:
        """Make sure that Kafka answers, takes the user, and has the topics.

        Raises:
            BrokerAwayError: Kafka does not answer.
            BrokerError: it refuses the user, or lacks a topic; the text says which.
        """
        self._client.check(topics, timeout_s, self._clock)

    def send(self, record: Outgoing) -> bool:
        """Take a record, waiting while too many are under way; False when told to give up.

        It waits for a few others, at most until the next ``poll``: they share the writes to ledger
        and spool.

        Raises:
            DeliveryError: the client can send nothing any more, or the spool is full.
            LedgerError: the ledger cannot be written.
        """
        self._batch.append(record)
        self._batch_bytes += len(record.value)
        if len(self._batch) < BATCH and self._batch_bytes < _BATCH_BYTES:
            return True
        self._put()
        return self._has_room()

    def poll(self) -> None:
        """Hand over what waits and fetch the answers that have arrived."""
        self._put()
        self._advance(0)

    def flush(self, timeout_s: float) -> int:
        """Wait for answers at most ``timeout_s``; return how many records are still without one."""
        self._put()
        self._advance(timeout_s)
        return len(self._unanswered) + len(self._ready) + self._backlog.n_waiting

    def end(self) -> None:
        """Note what this run leaves behind: it will ask for no more answers."""
        for entry in self._ready:
            if not entry.was_sent:
                self._ledger.failed(entry.record, "the run ended before it was sent")
        self._ledger.flush()
        self._backlog.flush()
        self.summary.spooled, self.summary.spool = self._backlog.n_kept, str(self._backlog)

    def raise_undelivered(self) -> None:
        """Fail when something that was sent is not confirmed, or lies in the spool.

        Raises:
            DeliveryError: with counts by topic and the first reasons.
        """
        if self.summary.undelivered or self.summary.spooled:
            complaint = self._client.complaint()
            hint = f"; last broker error: {complaint}" if complaint else ""
            raise DeliveryError(self.summary.explain() + hint)

    def _put(self) -> None:
        if self._batch:
            records, self._batch, self._batch_bytes = self._batch, [], 0
            self._backlog.put(records)
            self._feed()

    def _has_room(self) -> bool:
        while self._must_wait():
            if self._give_up():
                return False
            self.summary.queue_full_waits += 1
            self._advance(_FULL_WAIT_S)
        return True

    def _must_wait(self) -> bool:
        """Tell whether the source has to wait; while the broker is away only a full spool stops it.

        Raises:
            SpoolFullError: the broker is away and the spool is full.
        """
        if self._backlog.is_full:
            self._refuse_more()
            return True
        is_behind = bool(self._ready) or self._backlog.n_waiting > 0
        return is_behind and not (self._backlog.outlives and self._is_away())

    def _refuse_more(self) -> None:
        if self._is_away():
            raise SpoolFullError(
                f"{self._backlog} is full and Kafka has not answered for {AWAY_S:g} s "
                f"({self._client.complaint() or 'no reason given'}): the source is read no "
                "further; raise PRODUCE_SPOOL_MAX_BYTES or bring Kafka back, then start again"
            )

    def _is_away(self) -> bool:
        return bool(self._unanswered) and self._clock.monotonic() - self._heard_at > AWAY_S

    def _advance(self, timeout_s: float) -> None:
        self._poll(timeout_s)
        if self._is_in_doubt or self._is_overdue():
            self._start_again()
        self._feed()

    def _poll(self, timeout_s: float) -> None:
        if not self._client.poll(timeout_s):
            self._is_in_doubt = True
        self._ledger.flush()
        self._backlog.flush()

    def _feed(self) -> None:
        """Hand over until the client is full or nothing is left."""
        if not self._unanswered:
            self._heard_at = self._clock.monotonic()
        while self._ready or self._take():
            if self._is_in_doubt or not self._handed_over(self._ready[0]):
                return
            self._ready.popleft()

    def _take(self) -> bool:
        entries = self._backlog.take(BATCH)
        self._make_ready(entries)
        return bool(entries)

    def _make_ready(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        self._ledger.intend([entry.record for entry in entries])
        now = self._clock.monotonic()
        for entry in entries:
            entry.since = entry.since or now
        self._ready.extend(entries)

    def _handed_over(self, entry: Entry) -> bool:
        try:
            if not self._client.hand_over(entry.record, partial(self._answered, entry)):
                return False
        except KafkaException as error:
            return self._refused(entry, error.args[0])
        self._unanswered[entry.number] = entry
        self._count(entry)
        if len(self._unanswered) % _POLL_EVERY == 0:
            self._poll(0)
        return True

    def _refused(self, entry: Entry, error: KafkaError) -> bool:
        """Judge what the client would not take; False when it must be handed over again."""
        if is_fatal(error):
            self._is_in_doubt = True
            return False
        if not is_refusal(error):
            raise DeliveryError(f"{entry.record.topic}: {error.str()}")
        self._count(entry)
        self._fail(entry, error)
        return True

    def _count(self, entry: Entry) -> None:
        if entry.was_sent:
            self.summary.resent += 1
            return
        entry.was_sent = True
        self.summary.sent[entry.record.topic] += 1
        self.summary.refused += entry.record.refused

    def _answered(self, entry: Entry, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._confirm(entry, message)
        elif is_refusal(error):
            self._fail(entry, error)
        else:
            self.summary.add_reason(error.str())
            self._ledger.unknown(entry.record, error.str())
            self._is_in_doubt = True

    def _confirm(self, entry: Entry, message: Message) -> None:
        self._heard_at = self._clock.monotonic()
        self._note_place(entry.record, message)
        if self._unanswered.pop(entry.number, None):
            self.summary.delivered[entry.record.topic] += 1
            self._backlog.forget(entry)

    def _note_place(self, record: Outgoing, message: Message) -> None:
        partition, offset = int(message.partition() or 0), self._places.offset(message)
        if offset is None:
            self._ledger.unknown(record, "confirmed as a duplicate of itself, no offset was told")
        else:
            self._ledger.acked(record, partition, offset)

    def _fail(self, entry: Entry, error: KafkaError) -> None:
        self._unanswered.pop(entry.number, None)
        self.summary.fail(entry.record.topic, error.str())
        self._ledger.failed(entry.record, error.str())
        if is_of_the_record(error):
            self._backlog.forget(entry)

    def _is_overdue(self) -> bool:
        oldest = next(iter(self._unanswered.values()), None)
        return oldest is not None and not self._has_time(oldest)

    def _has_time(self, entry: Entry) -> bool:
        return self._clock.monotonic() - entry.since < self._timeout_s

    def _start_again(self) -> None:
        """Send all that is unanswered once more, by another client; give up what has no time."""
        self._client.renew()
        self._is_in_doubt = False
        again, waiting = [*self._unanswered.values()], [*self._ready]
        self._unanswered.clear()
        self._ready.clear()
        for entry in filterfalse(self._has_time, again + waiting):
            self._run_out(entry)
        self._make_ready([*filter(self._has_time, again)])
        self._ready.extend(filter(self._has_time, waiting))

    def _run_out(self, entry: Entry) -> None:
        if entry.was_sent:
            self.summary.unknown[entry.record.topic] += 1
            return
        why = "not sent within the delivery timeout"
        self._count(entry)
        self.summary.fail(entry.record.topic, why)
        self._ledger.failed(entry.record, why)
