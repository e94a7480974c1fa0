"""When a landing run that is not a service is over."""

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

from ingestion.clock import Clock
from ingestion.errors import ChainError
from ingestion.land.chain import Chain, Phase
from ingestion.land.core import Core
from ingestion.land.protocol import Flush, Partition
from ingestion.land.service import Lander

_LOOK_EVERY_S: Final = 1.0


class Source(Protocol):
    """What is asked of Kafka."""

    def generation(self, topic: str) -> str: ...

    def watermarks(self, partition: Partition) -> tuple[int, int]: ...


class Target(NamedTuple):
    """Where a partition's log of one generation of its topic ends."""

    generation: str
    end: int


class Targets:
    """The ends of the logs at the start of a run; partitions may be landed by other members.

    Where a topic is created anew during the run, the old end may never come: the new one counts.
    """

    def __init__(
        self,
        partitions: Iterable[Partition],
        questions: Source,
        chain_end: Callable[[Partition, str], int],
        clock: Clock,
    ) -> None:
        """Ask for the ends.

        Raises:
            BrokerError: Kafka refuses or does not answer.
        """
        self._questions = questions
        found = {partition: self._target(partition) for partition in partitions}
        self._missing = {partition: one for partition, one in found.items() if one.end > 0}
        self._chain_end = chain_end
        self._clock = clock
        self._looked = clock.monotonic()

    def are_reached(self, lander: Lander) -> bool:
        """Tell whether all is landed; have what is complete landed at once.

        Raises:
            BrokerError: Kafka could not be asked.
            ChainError: a partition is stalled.
            StoreError: storage could not be read.
        """
        core = lander.core
        self._drop_landed(core)
        if self._is_read(core):
            lander.dispatch(Flush())
        if self._clock.monotonic() - self._looked >= _LOOK_EVERY_S:
            self._look(core)
        return not self._missing

    def _drop_landed(self, core: Core) -> None:
        for partition in list(self._missing):
            chain = core.chains.get(partition)
            if chain is None:
                continue
            if chain.phase is Phase.STALLED:
                raise ChainError(f"{partition} is stalled; the log above says why")
            if chain.phase is Phase.FOLLOWING and chain.landed >= self._missing[partition].end:
                del self._missing[partition]

    def _is_read(self, core: Core) -> bool:
        chains = [core.chains.get(partition) for partition in self._missing]
        return bool(chains) and all(self._has_read(chain) for chain in chains if chain is not None)

    def _has_read(self, chain: Chain) -> bool:
        is_following = chain.phase is Phase.FOLLOWING
        return is_following and chain.position >= self._missing[chain.partition].end

    def _look(self, core: Core) -> None:
        for partition, target in list(self._missing.items()):
            chain = core.chains.get(partition)
            if chain is None:
                self._look_at_others(partition)
            elif chain.phase is Phase.FOLLOWING and chain.generation != target.generation:
                self._missing[partition] = self._target(partition)
        self._looked = self._clock.monotonic()

    def _look_at_others(self, partition: Partition) -> None:
        generation = self._questions.generation(partition.topic)
        if generation != self._missing[partition].generation:
            self._missing[partition] = self._target(partition)
        if self._chain_end(partition, generation) >= self._missing[partition].end:
            del self._missing[partition]

    def _target(self, partition: Partition) -> Target:
        # The id first: where the topic is created anew in between, the end is asked for again.
        generation = self._questions.generation(partition.topic)
        return Target(generation, self._questions.watermarks(partition)[1])
