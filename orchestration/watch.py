"""Bronze watched for quotes, so that gold follows them at once and not with the next minute."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from ingestion.errors import TapehouseError

if TYPE_CHECKING:
    from orchestration.landed import Bronze

_PERIOD_S: Final = 2.0
# A build takes about as long: what comes meanwhile is for the next one.
_AT_MOST_EVERY_S: Final = 20.0


def _connect() -> "Bronze":
    # Not before it is asked: each DAG file makes a watch, and is parsed again and again.
    from orchestration.landed import Bronze

    return Bronze()


class BronzeWatch(BaseEventTrigger):
    """Tells that bronze has grown by records of a topic; asks every two seconds, for ever.

    It tells once when it begins: what landed while nobody watched is somebody's news too. While
    bronze does not answer it goes on asking; the schedule of whoever waits is the safety net.
    """

    def __init__(self, topic: str, open_bronze: "Callable[[], Bronze] | None" = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.topic = topic
        self._open = open_bronze or _connect
        self._bronze: Bronze | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {"topic": self.topic}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        told: dict[str, int] = {}
        while True:
            try:
                ends = await asyncio.to_thread(self._ends)
            except TapehouseError as error:
                self.log.warning("asking again: %s", error)
            else:
                if ends != told:
                    told, since = ends, time.monotonic()
                    yield TriggerEvent({"ends": ends})
                    await asyncio.sleep(_AT_MOST_EVERY_S - (time.monotonic() - since))
            await asyncio.sleep(_PERIOD_S)

    def _ends(self) -> dict[str, int]:
        """Return where bronze ends, by topic/generation/partition; of what has records only."""
        self._bronze = self._bronze or self._open()
        found = self._bronze.chain_ends(self.topic)
        return {one.place: one.end for one in found if one.end}
