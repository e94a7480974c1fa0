"""Rules of the protocol, broken on purpose: the simulation must notice each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from drill.simulation.store import Key, Object, Store
from ingestion.land.chain import Chain
from ingestion.land.core import Core, Limits
from ingestion.land.protocol import (
    Commit,
    Kind,
    Partition,
    Put,
    PutDone,
    PutOutcome,
    QueryWatermarks,
    Records,
    Watermarks,
)


def _asked(truth: str, _: Put) -> str:
    return truth


@dataclass(frozen=True)
class Rules:
    """What a world is built from; as it stands, the product's own rules."""

    core: Callable[[Limits], Core] = Core
    store: Callable[[], Store] = Store
    generation: Callable[[str, Put], str] = _asked


class CommitBeforePut(Core):
    """Commits the end of an object when it is sent."""

    def _send(self, chain: Chain, next_offset: int, kind: Kind, chunks: tuple[Any, ...]) -> None:
        super()._send(chain, next_offset, kind, chunks)
        self._out.append(Commit(chain.partition, chain.generation, next_offset, chain.landed))


class AdoptUnchecked(Core):
    """Takes 412 for the success of its own PUT, without looking at what is there."""

    def _put_done(self, chain: Chain, asked: Put, event: PutDone) -> None:
        if event.outcome is PutOutcome.EXISTS:
            self._landed(chain, asked.start, asked.next)
        else:
            super()._put_done(chain, asked, event)


class UnknownIsLanded(Core):
    """Takes a time-out for a success."""

    def _put_done(self, chain: Chain, asked: Put, event: PutDone) -> None:
        if event.outcome is PutOutcome.UNKNOWN:
            self._landed(chain, asked.start, asked.next)
        else:
            super()._put_done(chain, asked, event)


class TrustCommitted(Core):
    """Begins at the committed offset instead of the chain's end in storage."""

    def _watermarks(self, chain: Chain, asked: QueryWatermarks, event: Watermarks) -> None:
        if chain.committed is not None:
            chain.landed = chain.position = chain.committed
        super()._watermarks(chain, asked, event)


class HoleAtOnce(Core):
    """Believes a hole after a seek or resume when it is seen for the first time."""

    def _records(self, event: Records) -> None:
        if chain := self.chains.get(event.partition):
            chain.unproven = False
        super()._records(event)


class Overwriting(Store):
    """Writes whether or not the key is taken."""

    def put(self, put: Put) -> PutOutcome:
        self._write((put.partition, put.generation, put.start), put)
        return PutOutcome.LANDED


class EndInKey(Store):
    """Names an object by both of its ends: two writers of one range no longer collide."""

    def put(self, put: Put) -> PutOutcome:
        key = cast("Key", (put.partition, put.generation, put.start, put.next))
        if key in self.objects:
            return PutOutcome.EXISTS
        self._write(key, put)
        return PutOutcome.LANDED

    def at(self, partition: Partition, generation: str, start: int) -> Object | None:
        return next(
            (one for key, one in self.objects.items() if key[:3] == (partition, generation, start)),
            None,
        )


def _believed(_: str, put: Put) -> str:
    return put.generation


MUTANTS: Final = {
    "commit-before-put": Rules(core=CommitBeforePut),
    "overwrite": Rules(store=Overwriting),
    "end-in-key": Rules(store=EndInKey),
    "adopt-unchecked": Rules(core=AdoptUnchecked),
    "unknown-is-landed": Rules(core=UnknownIsLanded),
    "trust-committed": Rules(core=TrustCommitted),
    "hole-at-once": Rules(core=HoleAtOnce),
    "generation-unchecked": Rules(generation=_believed),
}
