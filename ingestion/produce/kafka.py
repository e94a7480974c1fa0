"""Delivery: every record is confirmed by Kafka, or the run fails and says what became of it.

This is the side of the source: records go in batches into the backlog, and the source waits while
too many are on their way. From there on see ``sending``: a record goes into the ledger, then to the
client, and stays with us until it is answered. An answer that leaves its fate open (``outcome``)
makes us start again: the client is replaced, and all that is unanswered is sent once more, in its
old order and with its old bytes. Kafka may then have a record twice, never out of order: the first
of each is where it belongs.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import Any, NoReturn

from ingestion.clock import Clock
from ingestion.errors import DeliveryError, SpoolFullError
from ingestion.produce.backlog import Backlog, Memory
from ingestion.produce.client import Client
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.sending import BATCH, Sending, Told, untold
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
    # With more on their way, the batch behind one that a fallen leader refused is out of sequence:
    # librdkafka then starts a new epoch for all partitions, and what another of them had written
    # without an answer is written there again (confluentinc/librdkafka#4953).
    "max.in.flight.requests.per.connection": 1,
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
_BATCH_BYTES = 2**20
# So long a record waits for others that share its writes to ledger and spool.
_PUT_AFTER_S = 0.1


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
        told: Told = untold,
    ) -> None:
        self._clock = clock
        self._give_up = give_up
        self._backlog = Memory() if backlog is None else backlog
        self._client = Client(config, log)
        timeout_s = int(config["message.timeout.ms"]) / 1000 or inf
        self._sending = Sending(self._client, clock, ledger, self._backlog, timeout_s, told)
        self.summary = self._sending.summary
        self._batch: list[Outgoing] = []
        self._batch_bytes = 0
        self._batch_since = 0.0

    def check(self, topics: Iterable[str], timeout_s: float) -> None:
        """Make sure that Kafka answers, takes the user, and has the topics.

        Raises:
            BrokerAwayError: Kafka does not answer.
            BrokerError: it refuses the user, or lacks a topic; the text says which.
        """
        self._client.check(topics, timeout_s, self._clock)

    def send(self, record: Outgoing) -> bool:
        """Take a record, waiting while too many are under way; False when told to give up.

        It waits for a few others, a tenth of a second while records or calls of ``poll`` follow:
        they share the writes to ledger and spool.

        Raises:
            DeliveryError: the client can send nothing any more, or the spool is full.
            LedgerError: the ledger cannot be written.
        """
        if not self._batch:
            self._batch_since = self._clock.monotonic()
        self._batch.append(record)
        self._batch_bytes += len(record.value)
        if len(self._batch) >= BATCH or self._batch_bytes >= _BATCH_BYTES:
            self._put()
        elif self._clock.monotonic() - self._batch_since >= _PUT_AFTER_S:
            self.poll()
        else:
            return True
        return self._has_room()

    def poll(self) -> None:
        """Hand over what waits and fetch the answers that have arrived."""
        self._put()
        self._sending.advance(0)

    def flush(self, timeout_s: float) -> int:
        """Wait for answers at most ``timeout_s``; return how many records are still without one."""
        self._put()
        self._sending.advance(timeout_s)
        return self._sending.n_left

    def end(self) -> None:
        """Note what this run leaves behind: it will ask for no more answers."""
        self._sending.end()
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
            self._sending.feed()

    def _has_room(self) -> bool:
        while self._must_wait():
            if self._give_up():
                return False
            self.summary.queue_full_waits += 1
            self._sending.advance(_FULL_WAIT_S)
        return True

    def _must_wait(self) -> bool:
        """Tell whether the source has to wait; while the broker is away only a full spool stops it.

        Raises:
            SpoolFullError: the spool is full, and nothing is on its way that would make room.
        """
        if self._backlog.is_full:
            self._refuse_more()
            return True
        return self._sending.n_behind > 0 and not (self._backlog.outlives and self._is_away())

    def _refuse_more(self) -> None:
        if self._is_away():
            self._raise_full(f"Kafka has not answered for {AWAY_S:g} s", "bring Kafka back")
        if not self._sending.n_left:
            self._raise_full("Kafka refuses what it holds", "have Kafka allow it")

    def _raise_full(self, why: str, way_out: str) -> NoReturn:
        raise SpoolFullError(
            f"{self._backlog} is full and {why} ({self._client.complaint() or 'no reason given'}): "
            "the source is read no further; raise PRODUCE_SPOOL_MAX_BYTES or "
            f"{way_out}, then start again"
        )

    def _is_away(self) -> bool:
        return self._sending.silent_for() > AWAY_S
