"""The protocol: a pure state machine, without I/O, clock or threads.

It is told what happened and answers with what to do. Rules that everything else leans on:

- an object's key is decided by its first offset alone, so that two writers collide on it;
- the position comes from storage, never from a memory or the committed offset;
- an offset is committed only after the object that ends at it is known to be durable;
- a PUT whose outcome is unknown is looked at, never assumed, never cleaned up after;
- a contradiction stalls its partition and raises an alarm; nothing is ever skipped in silence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from ingestion.land.chain import Chain, Phase
from ingestion.land.protocol import (
    Action,
    Alarm,
    Answer,
    Assigned,
    Commit,
    Corrupt,
    Describe,
    Described,
    EndOfPartition,
    Event,
    Failed,
    Flush,
    Get,
    Got,
    Head,
    Kind,
    List,
    Listed,
    Lost,
    Partition,
    Pause,
    PositionLost,
    Put,
    PutDone,
    PutOutcome,
    QueryWatermarks,
    Records,
    Request,
    Revoked,
    Seek,
    Severity,
    Tick,
    Watermarks,
)

# A new leader may briefly know a lower high watermark than the one before it did, and a topic may
# have been created anew since its id was asked for.
_SHORT_LOG_LOOKS: Final = 10  # some 10 s
# What was damaged on its way comes sound when it is asked for again, what is stored so never does.
_CORRUPT_LOOKS: Final = 6  # some 3 s
# A PUT asks for the topic's id. Where none is due, as after a topic was created anew with no more
# records than the old one had, nothing else would ever tell.
_DESCRIBE_EVERY_S: Final = 30.0
_ALARM_EVERY: Final = 10  # attempts


@dataclass(frozen=True, slots=True)
class Limits:
    """When an object is closed, and how much may be held over all partitions."""

    max_bytes: int
    max_age_s: float
    budget_bytes: int
    pause_after_s: float = 0.5


class Core:
    """The state of one lander: a chain per assigned partition."""

    def __init__(self, limits: Limits) -> None:
        self.chains: dict[Partition, Chain] = {}
        self.paused = False
        self._limits = limits
        self._spent_since: float | None = None
        self._requests = 0
        self._now = 0.0
        self._out: list[Action] = []
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Assigned: self._assigned,
            Revoked: self._revoked,
            Lost: self._lost,
            Records: self._records,
            EndOfPartition: self._end_of_partition,
            PositionLost: self._position_lost,
            Tick: self._tick,
            Flush: self._flush_all,
        }
        self._answers: dict[type[Any], Callable[[Chain, Any, Any], None]] = {
            Described: self._described,
            Listed: self._listed,
            Got: self._got,
            Corrupt: self._corrupt,
            Watermarks: self._watermarks,
            PutDone: self._put_done,
            Failed: self._failed,
        }

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in an event at monotonic time ``now`` (seconds); return what is to be done."""
        self._now = now
        if isinstance(event, Answer):
            self._answer(event)
        else:
            self._handlers[type(event)](event)
        out, self._out = self._out, []
        return out

    def size(self) -> int:
        """Return the bytes held over all partitions."""
        return sum(chain.size() for chain in self.chains.values())

    def is_spent(self) -> bool:
        """Tell whether the byte budget is used up: the driver should not read on."""
        return self.size() >= self._limits.budget_bytes

    def is_leaving(self, partitions: Iterable[Partition]) -> bool:
        """Tell whether any of the revoked partitions still has something to land."""
        return any(partition in self.chains for partition in partitions)

    def awaits(self, request: Request) -> bool:
        """Tell whether the answer to ``request`` still matters."""
        chain = self.chains.get(request.partition)
        awaited = chain.request if chain else None
        return awaited is not None and awaited.request == request.request

    # Assignment -------------------------------------------------------------------------------

    def _assigned(self, event: Assigned) -> None:
        for partition in event.partitions:
            self.chains[partition] = Chain(partition)
            self._ask(self.chains[partition], Describe(partition))

    def _revoked(self, event: Revoked) -> None:
        for partition in event.partitions:
            chain = self.chains.get(partition)
            if chain is None:
                continue
            chain.leaving = True
            self._flush(chain)
            self._leave_when_done(chain)

    def _lost(self, event: Lost) -> None:
        for partition in event.partitions:
            chain = self.chains.pop(partition, None)
            if chain is not None and (dropped := chain.records()):
                self._alarm(
                    chain, "dropped", f"{dropped} records unlanded, to be read again", Severity.INFO
                )

    def _leave_when_done(self, chain: Chain) -> None:
        if chain.phase is not Phase.FOLLOWING or chain.position == chain.landed:
            del self.chains[chain.partition]

    # Where the chain ends ---------------------------------------------------------------------

    def _locate(self, chain: Chain) -> None:
        chain.phase, chain.relocate = Phase.LOCATING, False
        self._out.append(Pause(chain.partition))
        self._ask(chain, Describe(chain.partition))

    def _described(self, chain: Chain, asked: Describe, event: Described) -> None:
        chain.described_at = self._now
        if chain.phase is Phase.FOLLOWING:
            self._describe_again(chain, event)
            return
        if chain.generation not in ("", event.generation):
            detail = f"topic id {chain.generation} became {event.generation}"
            self._alarm(chain, "topic_recreated", f"{detail}: a new chain", Severity.ERROR)
            chain.short_looks = 0
        chain.generation, chain.committed = event.generation, event.committed
        since = event.hint if event.hint is not None else event.committed
        self._ask(chain, List(chain.partition, event.generation, since or 0))

    def _describe_again(self, chain: Chain, event: Described) -> None:
        if event.generation == chain.generation:
            chain.failed = None
            self._go_on(chain, ahead=False)
        else:
            detail = f"topic id {chain.generation} became {event.generation}"
            self._start_generation(chain, detail)

    def _listed(self, chain: Chain, asked: List, event: Listed) -> None:
        chain.corrupt_looks = 0
        if event.last is not None:
            self._ask(chain, Get(chain.partition, chain.generation, event.last))
        elif asked.since > 0:  # the hint was beyond the chain, or nothing was ever landed
            self._ask(chain, replace(asked, since=0, attempt=0))
        else:
            chain.landed = chain.position = chain.last_start = 0
            self._ask(chain, QueryWatermarks(chain.partition))

    def _watermarks(self, chain: Chain, asked: QueryWatermarks, event: Watermarks) -> None:
        if event.high < chain.landed:
            self._log_is_short(chain, event)
            return
        if chain.committed is not None and chain.committed > chain.landed:
            found = f"the group has committed {chain.committed}, storage ends at {chain.landed}"
            self._alarm(chain, "committed_beyond_storage", f"{found}: rewinding", Severity.ERROR)
        if event.low > chain.landed:
            self._put_gap(chain, event.low)
            return
        if chain.committed != chain.landed and chain.landed > 0:
            self._commit(chain)
        self._follow(chain)

    def _log_is_short(self, chain: Chain, event: Watermarks) -> None:
        chain.short_looks += 1
        if chain.short_looks < _SHORT_LOG_LOOKS:
            self._ask(chain, Describe(chain.partition, attempt=chain.short_looks))
        else:
            self._stall(
                chain, f"storage ends at {chain.landed}, the log at {event.high}: it was truncated"
            )

    def _put_gap(self, chain: Chain, low: int) -> None:
        self._alarm(
            chain,
            "retention_gap",
            f"offsets [{chain.landed}, {low}) left Kafka before they were landed",
            Severity.ERROR,
        )
        chain.position = low
        self._send(chain, low, Kind.GAP, ())

    def _follow(self, chain: Chain) -> None:
        chain.phase, chain.failed, chain.short_looks = Phase.FOLLOWING, None, 0
        self._seek(chain)

    def _seek(self, chain: Chain) -> None:
        chain.unproven = True
        self._out.append(Seek(chain.partition, chain.position))
        if self.paused:
            self._out.append(Pause(chain.partition))

    # Reading ----------------------------------------------------------------------------------

    def _records(self, event: Records) -> None:
        chain = self._reading(event.partition)
        if chain is None:
            return
        chunk = event.chunk.since(chain.position)
        if chunk is None:
            if chain.unproven:  # the client reads from before where it was told to
                self._seek(chain)
            return
        if chain.skips(chunk.first):
            self._seek(chain)
            return
        chain.add(chunk, self._now)
        self._rotate(chain)
        self._relieve()

    def _end_of_partition(self, event: EndOfPartition) -> None:
        chain = self._reading(event.partition)
        if chain is None or event.offset <= chain.position:
            return
        if chain.skips(event.offset):
            self._seek(chain)
        else:
            chain.advance(event.offset, self._now)

    def _position_lost(self, event: PositionLost) -> None:
        chain = self._reading(event.partition)
        if chain is None:
            return
        self._alarm(chain, "position_lost", event.detail, Severity.WARNING)
        chain.relocate = True  # after what is held is landed: Kafka may not have it any more
        self._flush(chain)
        self._relocate_when_done(chain)

    def _relocate_when_done(self, chain: Chain) -> None:
        if chain.request is None and chain.position == chain.landed:
            self._locate(chain)

    def _reading(self, partition: Partition) -> Chain | None:
        chain = self.chains.get(partition)
        if chain is None or chain.phase is not Phase.FOLLOWING:
            return None
        return None if chain.leaving or chain.relocate else chain

    # Landing ----------------------------------------------------------------------------------

    def _tick(self, _: Tick) -> None:
        for chain in list(self.chains.values()):
            self._rotate(chain)
            self._check_topic(chain)
        self._relieve()

    def _check_topic(self, chain: Chain) -> None:
        is_idle = chain.request is None and chain.position == chain.landed
        is_due = self._now - chain.described_at >= _DESCRIBE_EVERY_S
        if chain.phase is Phase.FOLLOWING and is_idle and is_due:
            self._ask(chain, Describe(chain.partition))

    def _flush_all(self, _: Flush) -> None:
        for chain in list(self.chains.values()):
            self._flush(chain)

    def _rotate(self, chain: Chain) -> None:
        since = chain.unsent_since()
        if since is None or chain.request is not None:
            return
        is_old = self._now - since >= self._limits.max_age_s
        if is_old or chain.size() >= self._limits.max_bytes:
            self._flush(chain)

    def _flush(self, chain: Chain) -> None:
        if chain.phase is Phase.FOLLOWING and chain.request is None and chain.has_unsent():
            next_offset, chunks = chain.take(self._limits.max_bytes)
            self._send(chain, next_offset, Kind.DATA, chunks)

    def _send(self, chain: Chain, next_offset: int, kind: Kind, chunks: tuple[Any, ...]) -> None:
        put = Put(chain.partition, chain.generation, chain.landed, next_offset, kind, chunks)
        chain.sending = put
        self._ask(chain, put)

    def _put_done(self, chain: Chain, asked: Put, event: PutDone) -> None:
        match event.outcome:
            case PutOutcome.LANDED:
                self._landed(chain, asked.start, asked.next)
            case PutOutcome.EXISTS | PutOutcome.UNKNOWN:
                self._look(chain, asked, event)
            case PutOutcome.CONFLICT:
                chain.fail(event.detail)
                self._ask(chain, replace(asked, attempt=asked.attempt + 1))
            case PutOutcome.REFUSED:
                self._retry(chain, asked, event.detail, refused=True)
            case PutOutcome.OTHER_GENERATION:
                self._start_generation(chain, event.detail)

    def _look(self, chain: Chain, put: Put, event: PutDone) -> None:
        if event.outcome is PutOutcome.UNKNOWN:
            chain.fail(event.detail)
            self._alarm(chain, "put_unknown", event.detail, Severity.WARNING)
        self._ask(chain, Get(chain.partition, chain.generation, put.start))

    def _got(self, chain: Chain, asked: Get, event: Got) -> None:
        chain.corrupt_looks = 0
        put = chain.sending
        if event.head is None:
            if put is not None:
                self._ask(chain, replace(put, attempt=put.attempt + 1))
            else:
                self._retry(chain, asked, "a listed object is not there", refused=False)
        elif event.head.start != asked.start or event.head.next <= asked.start:
            self._stall(chain, f"the object at {asked.start} does not continue the chain")
        elif put is None:
            chain.continue_from(event.head)
            chain.position = chain.landed
            self._ask(chain, QueryWatermarks(chain.partition))
        else:
            self._adopt(chain, put, event.head)

    def _adopt(self, chain: Chain, put: Put, head: Head) -> None:
        if head.kind is Kind.GAP and put.kind is Kind.DATA:
            found = f"[{head.start}, {head.next}) was landed as a gap while its records were held"
            self._alarm(chain, "gap_over_records", found, Severity.ERROR)
        self._alarm(chain, "adopted", f"[{head.start}, {head.next}) was there", Severity.INFO)
        self._continue(chain, head)

    def _landed(self, chain: Chain, start: int, next_offset: int) -> None:
        self._continue(chain, Head(start, next_offset, 0, "", Kind.DATA))

    def _continue(self, chain: Chain, head: Head) -> None:
        ahead = chain.continue_from(head)
        chain.failed, chain.described_at = None, self._now
        self._commit(chain)
        if chain.phase is Phase.LOCATING:
            self._ask(chain, QueryWatermarks(chain.partition))
        else:
            self._go_on(chain, ahead)

    def _go_on(self, chain: Chain, ahead: bool) -> None:
        if chain.leaving or chain.relocate:
            self._flush(chain)
        if chain.leaving:
            self._leave_when_done(chain)
        elif chain.relocate:
            self._relocate_when_done(chain)
        else:
            self._read_on(chain, ahead)

    def _read_on(self, chain: Chain, ahead: bool) -> None:
        if ahead:
            self._seek(chain)
        self._rotate(chain)
        self._relieve()

    def _start_generation(self, chain: Chain, detail: str) -> None:
        lost = chain.drop()
        chain.failed = None
        dropped = f"{detail}; {lost} records held are dropped"
        self._alarm(chain, "generation_ended", dropped, Severity.ERROR)
        if chain.leaving:
            del self.chains[chain.partition]
        else:
            self._locate(chain)

    # The byte budget --------------------------------------------------------------------------

    def _relieve(self) -> None:
        """Flush the largest when half the budget is used, pause when all of it is for a while."""
        size, budget = self.size(), self._limits.budget_bytes
        if size >= budget // 2:
            self._flush_largest(at_least=1 if size >= budget else self._limits.max_bytes // 4)
        if size < budget:
            self._spent_since = None
        elif self._spent_since is None:
            self._spent_since = self._now
        elif not self.paused and self._now - self._spent_since >= self._limits.pause_after_s:
            self.paused = True
            self._out += [Pause(chain.partition) for chain in self._followers()]
        if self.paused and size <= budget // 2:
            self._resume()

    def _flush_largest(self, at_least: int) -> None:
        idle = [chain for chain in self._followers() if chain.request is None]
        largest = max(idle, key=Chain.size, default=None)
        if largest is not None and largest.size() >= at_least:
            self._flush(largest)

    def _resume(self) -> None:
        self.paused = False
        for chain in self._followers():
            self._seek(chain)  # where the client stands after a pause is not relied on

    def _followers(self) -> list[Chain]:
        return [c for c in self.chains.values() if c.phase is Phase.FOLLOWING]

    # Requests ---------------------------------------------------------------------------------

    def _ask(self, chain: Chain, request: Request) -> None:
        self._requests += 1
        chain.asked_at = self._now
        chain.request = replace(request, request=self._requests)
        self._out.append(chain.request)

    def _answer(self, event: Answer) -> None:
        chain = self.chains.get(event.partition)
        if chain is None or chain.request is None or chain.request.request != event.request:
            return
        asked, chain.request = chain.request, None
        self._answers[type(event)](chain, asked, event)

    def _failed(self, chain: Chain, asked: Request, event: Failed) -> None:
        self._retry(chain, asked, event.detail, event.refused)

    def _retry(self, chain: Chain, asked: Request, detail: str, refused: bool) -> None:
        chain.fail(detail)
        if asked.attempt % _ALARM_EVERY == (0 if refused else 2):
            code = "refused" if refused else "unavailable"
            self._alarm(chain, code, f"{type(asked).__name__}: {detail}", Severity.ERROR)
        self._ask(chain, replace(asked, attempt=asked.attempt + 1))

    def _corrupt(self, chain: Chain, asked: Get | List, event: Corrupt) -> None:
        chain.corrupt_looks += 1
        if chain.corrupt_looks >= _CORRUPT_LOOKS:
            self._stall(chain, event.detail)
            return
        chain.fail(event.detail)
        if chain.corrupt_looks == 1:
            self._alarm(chain, "corrupt_answer", event.detail, Severity.WARNING)
        self._ask(chain, replace(asked, attempt=asked.attempt + 1))

    def _stall(self, chain: Chain, detail: str) -> None:
        dropped = chain.drop()
        chain.fail(detail)
        chain.phase = Phase.STALLED
        self._alarm(chain, "stalled", f"{detail} ({dropped} records dropped)", Severity.ERROR)
        self._out.append(Pause(chain.partition))
        if chain.leaving:
            del self.chains[chain.partition]

    def _commit(self, chain: Chain) -> None:
        self._out.append(Commit(chain.partition, chain.generation, chain.landed, chain.last_start))
        chain.committed = chain.landed

    def _alarm(self, chain: Chain, code: str, detail: str, severity: Severity) -> None:
        self._out.append(Alarm(severity, code, chain.partition, detail))
