"""Where logs end, for what a lander tells: nothing that it does depends on it."""

from collections.abc import Iterable
from typing import Final, Protocol

from ingestion.clock import Clock
from ingestion.land.chain import Phase
from ingestion.land.core import Core
from ingestion.land.protocol import Partition, QueryWatermarks, Request, Watermarks
from ingestion.land.requests import Workers

ASK_EVERY_S: Final = 5.0


class Reader(Protocol):
    """What is used of the consumer."""

    def known_end(self, partition: Partition) -> int | None: ...


class Ends:
    """The ends that the consumer sees while it fetches, and Kafka's answer where it does not.

    A partition is not fetched while its chain is located, after it stalled, and while all are
    paused: just then the lag grows. The worker is one that no hung PUT can keep busy.
    """

    def __init__(self, reader: Reader, worker: Workers, clock: Clock) -> None:
        self._reader = reader
        self._worker = worker
        self._clock = clock
        self._answers: dict[Partition, int] = {}
        self._awaited = 0
        self._asked = clock.monotonic()

    def known(self, core: Core) -> dict[Partition, int | None]:
        """Return the end of each partition's log, as far as is known; never waits."""
        idle = [p for p, c in core.chains.items() if core.paused or c.phase is not Phase.FOLLOWING]
        self._take()
        self._ask(idle)
        self._answers = {p: end for p, end in self._answers.items() if p in idle}
        return {p: self._answers.get(p, self._reader.known_end(p)) for p in core.chains}

    def _take(self) -> None:
        while (answer := self._worker.answer()) is not None:
            self._awaited -= 1
            if isinstance(answer, Watermarks):  # else Kafka does not answer: asked again later
                self._answers[answer.partition] = answer.high

    def _ask(self, partitions: Iterable[Partition]) -> None:
        now = self._clock.monotonic()
        if self._awaited or now - self._asked < ASK_EVERY_S:
            return
        self._asked = now
        questions: list[Request] = [QueryWatermarks(partition) for partition in partitions]
        self._awaited = len(questions)
        for question in questions:
            self._worker.submit(question)
