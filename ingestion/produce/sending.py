"""What is under way to Kafka: handed over in its order, kept until answered, sent again in doubt.

A refusal by the broker is a verdict on a whole batch. What was in one is sent again, each record
alone, and only a record that is refused alone is at fault.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import filterfalse

from confluent_kafka import KafkaError, KafkaException, Message

from ingestion.clock import Clock
from ingestion.errors import DeliveryError
from ingestion.produce.backlog import Backlog, Entry, alone_first
from ingestion.produce.client import Client
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outcome import Places, is_fatal, is_of_the_place, is_of_the_record
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.summary import Summary

BATCH = 256
# Delivery reports are fetched every so many records: the call costs more than handing one over.
_POLL_EVERY = 500
# So long at once for what goes alone; each takes a round trip to the broker.
_ALONE_S = 0.1

# Told once of each record that was handed over, at its end: whether Kafka confirmed it.
Told = Callable[[Outgoing, bool], None]


def untold(record: Outgoing, is_confirmed: bool) -> None:
    """Tell nobody."""


class Sending:
    """Takes from the backlog, writes the ledger, hands to the client, and judges the answers."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        ledger: Ledger | NoLedger,
        backlog: Backlog,
        timeout_s: float,
        told: Told = untold,
    ) -> None:
        self.summary = Summary()
        self._client = client
        self._clock = clock
        self._ledger = ledger
        self._backlog = backlog
        self._timeout_s = timeout_s
        self._told = told
        self._ready: deque[Entry] = deque()  # in the ledger, not yet handed over
        self._unanswered: dict[int, Entry] = {}
        self._closed: set[str] = set()
        self._places = Places()
        self._is_in_doubt = False
        self._is_heard = False
        self._heard_at = clock.monotonic()

    @property
    def n_left(self) -> int:
        """How many records have no answer yet, those not handed over included."""
        return len(self._unanswered) + self.n_behind

    @property
    def n_behind(self) -> int:
        """How many records are not handed over yet."""
        return len(self._ready) + self._backlog.n_waiting

    def silent_for(self) -> float:
        """Return for how many seconds Kafka has owed an answer and given none."""
        return self._clock.monotonic() - self._heard_at if self._unanswered else 0.0

    def advance(self, timeout_s: float) -> None:
        """Wait for answers at most ``timeout_s``, act on them, and hand over what there is.

        Raises:
            DeliveryError: the client can send nothing any more.
            LedgerError: the ledger cannot be written.
        """
        self._advance(timeout_s)
        until = self._clock.monotonic() + _ALONE_S
        while self._client.is_careful and self._unanswered and self._clock.monotonic() < until:
            self._advance(_ALONE_S)

    def feed(self) -> None:
        """Hand over until the client is full or nothing is left."""
        if not self._unanswered:
            self._heard_at = self._clock.monotonic()
        while self._ready or self._take():
            if self._is_in_doubt or not self._handed_over(self._ready[0]):
                return
            self._ready.popleft()

    def end(self) -> None:
        """Note what is left behind: no more answers will be asked for."""
        for entry in self._ready:
            if not entry.was_sent:
                self._ledger.failed(entry.record, "the run ended before it was sent")
        self._ledger.flush()
        self._backlog.flush()

    def _advance(self, timeout_s: float) -> None:
        self._poll(timeout_s)
        if self._is_in_doubt or self._is_overdue():
            self._start_again()
        self.feed()

    def _poll(self, timeout_s: float) -> None:
        if not self._client.poll(timeout_s):
            self._is_in_doubt = True
        if self._is_heard:
            self._is_heard, self._heard_at = False, self._clock.monotonic()
        self._ledger.flush()
        self._backlog.flush()

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
        if entry.record.topic in self._closed:
            self._ledger.failed(entry.record, "held back: Kafka refused an earlier one's topic")
            self._told(entry.record, False)
            return True
        if (entry.is_alone or self._client.is_careful) and not self._has_its_turn(entry):
            return False
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

    def _has_its_turn(self, entry: Entry) -> bool:
        """Let what goes alone wait for all before it, and all behind wait for it."""
        if self._unanswered:
            return False
        if entry.is_alone != self._client.is_careful:
            self._client.renew(careful=entry.is_alone)
        return True

    def _refused(self, entry: Entry, error: KafkaError) -> bool:
        """Judge what the client would not take; False when it must be handed over again."""
        if is_fatal(error):
            self._is_in_doubt = True
            return False
        if not (is_of_the_record(error) or is_of_the_place(error)):
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
        elif is_of_the_place(error) or (is_of_the_record(error) and entry.is_alone):
            self._fail(entry, error)
        else:
            self._doubt(entry, error)

    def _confirm(self, entry: Entry, message: Message) -> None:
        self._is_heard = True
        self._note_place(entry.record, message)
        if self._unanswered.pop(entry.number, None):
            self.summary.delivered[entry.record.topic] += 1
            self._backlog.forget(entry)
            self._told(entry.record, True)

    def _note_place(self, record: Outgoing, message: Message) -> None:
        partition, offset = int(message.partition() or 0), self._places.offset(message)
        if offset is None:
            self._ledger.unknown(record, "confirmed as a duplicate of itself, no offset was told")
        else:
            self._ledger.acked(record, partition, offset)

    def _doubt(self, entry: Entry, error: KafkaError) -> None:
        """Keep a record to be sent again: its fate is open, or the verdict was on its batch."""
        self.summary.add_reason(error.str())
        if is_of_the_record(error):
            entry.is_suspect = True
            self._ledger.failed(entry.record, f"refused with its batch: {error.str()}")
        else:
            self._ledger.unknown(entry.record, error.str())
        self._is_in_doubt = True

    def _fail(self, entry: Entry, error: KafkaError) -> None:
        self._unanswered.pop(entry.number, None)
        self.summary.fail(entry.record.topic, error.str())
        self._ledger.failed(entry.record, error.str())
        if is_of_the_record(error):
            self._backlog.set_aside(entry, error.str())
            self.summary.set_aside += self._backlog.outlives
        elif self._backlog.outlives:
            # It stays, and a later run sends it: what is behind it must not overtake it.
            self._closed.add(entry.record.topic)
        self._told(entry.record, False)

    def _is_overdue(self) -> bool:
        oldest = next(iter(self._unanswered.values()), None)
        return oldest is not None and not self._has_time(oldest)

    def _has_time(self, entry: Entry) -> bool:
        return self._clock.monotonic() - entry.since < self._timeout_s

    def _start_again(self) -> None:
        """Send all that is unanswered once more, by another client; give up what has no time."""
        self._client.renew()
        self._ledger.flush()
        self._is_in_doubt = False
        again, waiting = alone_first([*self._unanswered.values()]), [*self._ready]
        self._unanswered.clear()
        self._ready.clear()
        for entry in filterfalse(self._has_time, again + waiting):
            self._run_out(entry)
        self._make_ready([*filter(self._has_time, again)])
        self._ready.extend(filter(self._has_time, waiting))

    def _run_out(self, entry: Entry) -> None:
        self._told(entry.record, False)
        if entry.was_sent:
            self.summary.unknown[entry.record.topic] += 1
            return
        why = "not sent within the delivery timeout"
        self._count(entry)
        self.summary.fail(entry.record.topic, why)
        self._ledger.failed(entry.record, why)
