"""Letters that pass today, sent again; each is noted once Kafka has confirmed what it gave.

The note is a record of the dead letters itself. A process that ends between the two leaves a letter
without a note: it is sent again, as the same events, of which silver keeps one.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Final

import msgspec

from ingestion.clock import Clock
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Stop
from ingestion.produce.redrive.letters import Letter, State, note
from ingestion.produce.redrive.verdict import Verdict, judge
from ingestion.produce.run import STOP_FLUSH_S

# More lines than this are looked up with `list`.
MAX_LINES: Final = 20
_LOOK_S: Final = 0.05

_pack = msgspec.msgpack.Encoder().encode


class Redrive:
    """One run over letters: ``records`` is what is to be sent, ``told`` hears what became of it."""

    def __init__(
        self,
        letters: Iterable[tuple[Letter, State]],
        run_id: str,
        clock: Clock,
        stop: Stop,
        patience_s: float,
    ) -> None:
        """Take the letters that are wanted.

        Args:
            letters: with the state of each.
            run_id: of the notes.
            clock: when a letter was re-driven.
            stop: where it is requested no further letter is read.
            patience_s: how long the end waits for the next word on what it sent.
        """
        self._letters = letters
        self._run_id = run_id
        self._clock = clock
        self._stop = stop
        self._patience_s = patience_s
        self._open: dict[str, _Open] = {}
        self._waiting: dict[bytes, set[str]] = {}  # ids of letters by the record that they await
        self._done: deque[_Open] = deque()
        self._seen: set[str] = set()
        self._confirmed: set[bytes] = set()
        self._heard_at = 0.0
        self.counts: Counter[str] = Counter()
        self.still_refused: Counter[str] = Counter()
        self.lines: list[str] = []

    def records(self) -> Iterator[Outgoing | None]:
        """Yield what is to be sent, notes included; None while there is only to wait."""
        for letter, verdict in self.passing():
            yield from self._opened(letter, verdict)
            yield from self._notes()
        self._heard_at = self._clock.monotonic()
        while self._open and self._clock.monotonic() - self._heard_at < self._patience():
            yield None
            self._clock.sleep(_LOOK_S)
            yield from self._notes()

    def passing(self) -> Iterator[tuple[Letter, Verdict]]:
        """Yield the letters that pass, and count the others; no more after a stop."""
        for letter, state in self._letters:
            if self._stop.requested:
                return
            self.counts["letters"] += 1
            if state is State.WAITING and letter.id not in self._seen:
                self._seen.add(letter.id)
                yield from self._judged(letter)
            elif state is State.CUT:
                self._refuse(letter, "cut", "only the start of the body was kept")
            else:
                self.counts["already_redriven"] += 1

    def told(self, record: Outgoing, is_confirmed: bool) -> None:
        """Hear of a record; a letter is done when all that it gave is confirmed."""
        self._heard_at = self._clock.monotonic()
        digest = _digest(record)
        if is_confirmed:
            self._confirmed.add(digest)
        for letter_id in self._waiting.pop(digest, ()):
            found = self._open.get(letter_id)
            if found is None:
                continue
            found.awaited.discard(digest)
            if not is_confirmed:
                del self._open[letter_id]
                self.counts["unconfirmed"] += 1
            elif not found.awaited:
                self._done.append(self._open.pop(letter_id))

    def facts(self) -> Mapping[str, object]:
        """Return the counts of the summary; ``letters`` is the sum of those below it."""
        unconfirmed = self.counts["unconfirmed"] + len(self._open) + len(self._done)
        return {
            "letters": self.counts["letters"],
            "redriven": self.counts["redriven"],
            "already_redriven": self.counts["already_redriven"],
            "still_refused": self.still_refused.total(),
            "unconfirmed": unconfirmed,
            "still_refused_for": dict(self.still_refused),
        }

    def _patience(self) -> float:
        return min(self._patience_s, STOP_FLUSH_S) if self._stop.requested else self._patience_s

    def _judged(self, letter: Letter) -> Iterator[tuple[Letter, Verdict]]:
        verdict = judge(letter, self._run_id, self._clock)
        if verdict.passes:
            yield letter, verdict
        else:
            self._refuse(letter, verdict.reason, verdict.detail)

    def _refuse(self, letter: Letter, reason: str, detail: str) -> None:
        self.still_refused[reason] += 1
        if len(self.lines) < MAX_LINES:
            self.lines.append(f"{letter.id[:12]} {letter.place}: {reason}: {detail}")

    def _opened(self, letter: Letter, verdict: Verdict) -> Iterator[Outgoing]:
        records = {_digest(record): record for record in verdict.records}
        event_ids = [record.event_id for record in records.values() if record.event_id]
        found = _Open(letter, event_ids, set(records) - self._confirmed)
        if not found.awaited:
            self._done.append(found)
            return
        self._open[letter.id] = found
        # Two letters may give the same record: it is sent for the first, and confirms both.
        new = [records[key] for key in records if key in found.awaited and key not in self._waiting]
        for digest in found.awaited:
            self._waiting.setdefault(digest, set()).add(letter.id)
        yield from new

    def _notes(self) -> Iterator[Outgoing]:
        while self._done:
            found = self._done.popleft()
            self.counts["redriven"] += 1
            yield note(found.letter, found.event_ids, self._run_id, self._clock.now())


class _Open:
    """A letter of which not all is confirmed: ``awaited`` are the digests of the rest."""

    def __init__(self, letter: Letter, event_ids: list[str], awaited: set[bytes]) -> None:
        self.letter = letter
        self.event_ids = event_ids
        self.awaited = awaited


def _digest(record: Outgoing) -> bytes:
    """Return what only an equal record has: two with one event_id may differ in their data."""
    return sha256(_pack([record.topic, record.key, record.value, record.headers])).digest()
