"""Carries out the core's requests against Kafka and the store, on worker threads."""

import queue
import random
import threading
from collections.abc import Callable
from typing import Final

from ingestion.errors import BrokerError, ChainError, StoreError, StoreUnavailableError
from ingestion.land import objects
from ingestion.land.failpoints import Failpoint
from ingestion.land.protocol import (
    Answer,
    Corrupt,
    Describe,
    Described,
    Failed,
    Get,
    Got,
    List,
    Listed,
    Put,
    PutDone,
    PutOutcome,
    QueryWatermarks,
    Request,
    Watermarks,
)
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore

_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0


def delay_s(attempt: int, draw: Callable[[float, float], float] = random.uniform) -> float:
    """Return how long to wait before an attempt: none for the first, then random and growing."""
    if attempt == 0:
        return 0.0
    ceiling = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** min(attempt, 16))
    return draw(_FIRST_DELAY_S / 2, ceiling)


class Requests:
    """Turns one request into its answer; used by several threads at once."""

    def __init__(self, questions: Questions, store: BronzeStore, failpoint: Failpoint) -> None:
        self._questions = questions
        self._store = store
        self._failpoint = failpoint

    def perform(self, request: Request) -> Answer:
        """Carry out a request; whatever Kafka or the store do, there is an answer."""
        place = request.partition, request.request
        try:
            return self._perform(request)
        except ChainError as error:
            return Corrupt(*place, str(error))
        except StoreUnavailableError as error:
            return Failed(*place, str(error))
        except StoreError as error:
            return Failed(*place, str(error), refused=True)
        except BrokerError as error:
            return Failed(*place, str(error))

    def _perform(self, request: Request) -> Answer:
        place = request.partition, request.request
        match request:
            case Describe():
                generation = self._questions.generation(request.partition.topic)
                return Described(
                    *place, generation, *self._questions.committed(request.partition, generation)
                )
            case List():
                last = self._store.last(request.partition, request.generation, request.since)
                return Listed(*place, last)
            case Get():
                found = self._store.get(request.partition, request.generation, request.start)
                return Got(*place, found[0] if found else None)
            case QueryWatermarks():
                return Watermarks(*place, *self._questions.watermarks(request.partition))
            case Put():
                return PutDone(*place, *self._put(request))

    def _put(self, put: Put) -> tuple[PutOutcome, str]:
        body, head = objects.build(put.start, put.next, put.kind, put.chunks)
        # As late as can be; a topic re-created between this answer and the PUT still lands under
        # the old generation, from records that the old topic had.
        generation = self._questions.generation(put.partition.topic)
        if generation != put.generation:
            found = f"topic {put.partition.topic}: id {put.generation} became {generation}"
            return PutOutcome.OTHER_GENERATION, found
        key = objects.key(put.partition, put.generation, put.start)
        self._failpoint.reach("before-put")
        outcome = self._store.put(key, body, head)
        self._failpoint.reach("after-put")
        return outcome


class Workers:
    """Threads that perform requests; they are daemons, so that a hung PUT never holds the exit."""

    def __init__(self, count: int, perform: Callable[[Request], Answer]) -> None:
        self._perform = perform
        self._jobs: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer | Exception] = queue.SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"land-{number}", daemon=True).start()

    def submit(self, request: Request) -> None:
        """Have a request performed."""
        self._jobs.put(request)

    def answer(self, timeout_s: float = 0.0) -> Answer | None:
        """Return the next answer; None when there is none within ``timeout_s``.

        Raises:
            Exception: what a request raised against all expectation.
        """
        try:
            answer = (
                self._answers.get(timeout=timeout_s) if timeout_s else self._answers.get_nowait()
            )
        except queue.Empty:
            return None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _work(self) -> None:
        while True:
            request = self._jobs.get()
            try:
                answer: Answer | Exception = self._perform(request)
            except Exception as error:  # handed to the driver, which ends on it
                answer = error
            self._answers.put(answer)
