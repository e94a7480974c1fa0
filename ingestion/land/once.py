"""When a landing run that is not a service is over."""

from collections.abc import Callable, Mapping
from typing import Final

from ingestion.clock import Clock
from ingestion.errors import ChainError
from ingestion.land.chain import Chain, Phase
from ingestion.land.core import Core
from ingestion.land.protocol import Flush, Partition
from ingestion.land.service import Lander

_LOOK_EVERY_S: Final = 1.0


class Targets:
    """The ends of the logs at the start of a run; partitions may be landed by other members."""

    def __init__(
        self,
        targets: Mapping[Partition, int],
        chain_end: Callable[[Partition], int],
        clock: Clock,
    ) -> None:
        self._missing = {partition: end for partition, end in targets.items() if end > 0}
        self._chain_end = chain_end
        self._clock = clock
        self._looked = clock.monotonic()

    def are_reached(self, lander: Lander) -> bool:
        """Tell whether all is landed; have what is complete landed at once.

        Raises:
            ChainError: a partition is stalled.
            StoreError: storage could not be read.
        """
        core = lander.core
        self._drop_landed(core)
        if self._is_read(core):
            lander.dispatch(Flush())
        if self._clock.monotonic() - self._looked >= _LOOK_EVERY_S:
            self._look_at_others(core)
        return not self._missing

    def _drop_landed(self, core: Core) -> None:
        for partition in list(self._missing):
            chain = core.chains.get(partition)
            if chain is None:
                continue
            if chain.phase is Phase.STALLED:
                raise ChainError(f"{partition} is stalled; the log above says why")
            if chain.phase is Phase.FOLLOWING and chain.landed >= self._missing[partition]:
                del self._missing[partition]

    def _is_read(self, core: Core) -> bool:
        chains = [core.chains.get(partition) for partition in self._missing]
        return bool(chains) and all(self._has_read(chain) for chain in chains if chain is not None)

    def _has_read(self, chain: Chain) -> bool:
        is_following = chain.phase is Phase.FOLLOWING
        return is_following and chain.position >= self._missing[chain.partition]

    def _look_at_others(self, core: Core) -> None:
        for partition in [p for p in self._missing if p not in core.chains]:
            if self._chain_end(partition) >= self._missing[partition]:
                del self._missing[partition]
        self._looked = self._clock.monotonic()
