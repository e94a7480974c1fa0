"""The driver: runs the protocol core against Kafka and the store, in real time."""

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from ingestion import logs
from ingestion.clock import Clock
from ingestion.land.chain import Phase
from ingestion.land.core import Core
from ingestion.land.ends import Ends
from ingestion.land.failpoints import Failpoint
from ingestion.land.member import CONSUME_TIMEOUT_S, Member
from ingestion.land.protocol import (
    Action,
    Alarm,
    Answer,
    Assigned,
    Commit,
    Event,
    Lost,
    Partition,
    Pause,
    Put,
    PutDone,
    PutOutcome,
    Records,
    Request,
    Revoked,
    Seek,
    Tick,
)
from ingestion.land.requests import Workers, delay_s
from ingestion.land.status import StatusFile

REVOKE_DEADLINE_S: Final = 5.0  # what is not durable by then is dropped, and read again
STOP_DEADLINE_S: Final = 7.0  # leaves three of ten seconds for leaving the group
_WAIT_S: Final = 0.05
# Several questions, one after the other, come before a partition's first record: reading waits
# less for messages while the answers matter more.
_LOCATING_WAIT_S: Final = 0.01


class Lander:
    """One member of the landers' group."""

    def __init__(
        self,
        core: Core,
        member: Member,
        workers: Workers,
        status: StatusFile,
        clock: Clock,
        failpoint: Failpoint,
        backoff: Callable[[int], float] = delay_s,
        ends: Ends | None = None,
    ) -> None:
        self.core = core
        self._member = member
        self._workers = workers
        self._status = status
        self._clock = clock
        self._failpoint = failpoint
        self._backoff = backoff
        self._ends = ends
        self._log = logs.get("land")
        self._postponed: list[Seek | Pause] = []
        self._commits: dict[Partition, Commit] = {}
        self._delayed: list[tuple[float, int, Request]] = []
        self._puts: dict[int, Put] = {}
        self._stop_by: float | None = None

    def run(self, topics: Sequence[str], is_over: Callable[[], bool] = lambda: False) -> None:
        """Land until ``is_over`` or `stop`, then land what is held, for `STOP_DEADLINE_S` at most.

        Raises:
            BrokerError: the Kafka client can not go on.
        """
        self._member.subscribe(topics, self._assigned, self._revoked, self._lost)
        while self._stop_by is None and not is_over():
            self.step()
        self._leave(tuple(self.core.chains), self.stop() - self._clock.monotonic())
        self._tell({}, "stopped")

    def stop(self) -> float:
        """End the run soon, from a signal handler or another thread; return by when (monotonic).

        The time runs from the first call: a revocation under way uses it up as well.
        """
        if self._stop_by is None:
            self._stop_by = self._clock.monotonic() + STOP_DEADLINE_S
        return self._stop_by

    def step(self) -> None:
        """One round: answers, messages, time."""
        self._take_answers()
        if self.core.is_spent() and not self.core.paused:
            self._take_answers(_WAIT_S)  # cheaper than a pause, which discards what is fetched
        else:
            self._read()
        self.dispatch(Tick())
        self._postponed, postponed = [], self._postponed
        for action in postponed:
            self._steer(action)
        self._send_commits()
        self._report()

    def dispatch(self, event: Event) -> None:
        """Tell the core what happened and do what it wants done."""
        for action in self.core.handle(event, self._clock.monotonic()):
            self._do(action)

    def _read(self) -> None:
        messages = self._member.consume(
            _LOCATING_WAIT_S if self._is_locating() else CONSUME_TIMEOUT_S
        )
        for event in self._member.events(messages):
            if isinstance(event, Records):
                self._status.counts.received(event.partition, event.chunk)
            self.dispatch(event)
        if messages:
            self._failpoint.reach("after-poll")

    def _is_locating(self) -> bool:
        return any(chain.phase is Phase.LOCATING for chain in self.core.chains.values())

    def _take_answers(self, timeout_s: float = 0.0) -> None:
        self._send_delayed()
        answer = self._workers.answer(timeout_s)
        while answer is not None:
            self._note(answer)
            self.dispatch(answer)
            answer = self._workers.answer()

    def _do(self, action: Action) -> None:
        match action:
            case Alarm():
                self._raise_alarm(action)
            case Commit():
                self._commits[action.partition] = action
            case Seek() | Pause():
                self._postponed.append(action)
            case _:
                self._send(action)

    def _steer(self, action: Seek | Pause) -> None:
        if action.partition not in self.core.chains:
            return
        match action:
            case Seek():
                self._member.seek(action.partition, action.offset)
            case Pause():
                self._member.pause(action.partition)

    def _send(self, request: Request) -> None:
        if isinstance(request, Put):
            self._puts[request.request] = request
        due = self._clock.monotonic() + self._backoff(request.attempt)
        heapq.heappush(self._delayed, (due, request.request, request))
        self._send_delayed()

    def _send_delayed(self) -> None:
        now = self._clock.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            request = heapq.heappop(self._delayed)[2]
            if self.core.awaits(request):
                self._workers.submit(request)
            else:
                self._puts.pop(request.request, None)

    def _send_commits(self) -> None:
        if self._commits:
            self._member.commit(self._commits.values())
            self._commits = {}

    def _assigned(self, partitions: tuple[Partition, ...]) -> None:
        self._log.info("assigned", partitions=[str(p) for p in partitions])
        self.dispatch(Assigned(partitions))

    def _revoked(self, partitions: tuple[Partition, ...]) -> None:
        self._log.info("revoked", partitions=[str(p) for p in partitions])
        self._leave(partitions, REVOKE_DEADLINE_S)

    def _lost(self, partitions: tuple[Partition, ...]) -> None:
        self._log.warning("lost", partitions=[str(p) for p in partitions])
        for partition in partitions:
            self._commits.pop(partition, None)
        self.dispatch(Lost(partitions))

    def _leave(self, partitions: tuple[Partition, ...], deadline_s: float) -> None:
        deadline = self._clock.monotonic() + deadline_s
        self.dispatch(Revoked(partitions))
        self._failpoint.reach("in-revoke")
        while self.core.is_leaving(partitions) and self._clock.monotonic() < deadline:
            self._take_answers(_WAIT_S)
        self.dispatch(Lost(partitions))
        self._send_commits()

    def _note(self, answer: Answer) -> None:
        put = self._puts.pop(answer.request, None)
        if put is None or not isinstance(answer, PutDone):
            return
        if answer.outcome is not PutOutcome.LANDED:
            place, outcome = str(put.partition), answer.outcome.value
            self._log.info("not_landed", partition=place, start=put.start, outcome=outcome)
            return
        self._status.counts.landed(put.partition, put.chunks)
        self._log.info(
            "landed",
            partition=str(put.partition),
            start=put.start,
            next=put.next,
            kind=put.kind.value,
            count=sum(chunk.count for chunk in put.chunks),
        )

    def _raise_alarm(self, alarm: Alarm) -> None:
        self._status.alarms[alarm.code] += 1
        tell = getattr(self._log, alarm.severity.value)
        tell(alarm.code, partition=str(alarm.partition), detail=alarm.detail)

    def _report(self) -> None:
        if self._status.is_due():
            self._tell(self._ends.known(self.core) if self._ends else {}, "running")

    def _tell(self, ends: Mapping[Partition, int | None], state: str) -> None:
        """Write the status file; where that fails (a full disk), landing goes on all the same."""
        try:
            self._status.write(self.core, ends, state)
        except OSError as error:
            self._status.alarms["status_unwritten"] += 1
            self._log.error("status_unwritten", detail=str(error))
