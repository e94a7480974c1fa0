"""How many of a run's first records Kafka has confirmed: what a source may take for sent.

Answers come in another order than the records went out: a later one that is confirmed says nothing
of an earlier one. What is counted is from the first record on, up to the first that has no answer
or a negative one.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from threading import Lock

from ingestion.produce.outgoing import Outgoing


class Confirmed:
    """Numbers a run's records as they pass, and hears what became of each. Safe for threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._passed = 0
        self._open: dict[int, None] = {}  # in order: the first one is the lowest
        self._numbers: defaultdict[str, deque[int]] = defaultdict(deque)

    def passing(self, records: Iterable[Outgoing | None]) -> Iterator[Outgoing | None]:
        """Pass records on, in their order, and the silence between them."""
        for record in records:
            if record is not None:
                self._number(record)
            yield record

    def told(self, record: Outgoing, is_confirmed: bool) -> None:
        """Hear of a record at its end; of one that did not pass here nothing is noted."""
        with self._lock:
            numbers = self._numbers.get(record.id)
            if not numbers:
                return
            number = numbers.popleft()
            if not numbers:
                del self._numbers[record.id]
            if is_confirmed:
                del self._open[number]

    def count(self) -> int:
        """Return how many are confirmed, from the first without a gap."""
        with self._lock:
            return next(iter(self._open), self._passed + 1) - 1

    def _number(self, record: Outgoing) -> None:
        with self._lock:
            self._passed += 1
            self._open[self._passed] = None
            self._numbers[record.id].append(self._passed)
