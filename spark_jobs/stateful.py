"""The stream's state in Spark's state store: one processor per source and share of its symbols."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pandas as pd
from pyspark.sql.streaming.stateful_processor import (
    MapState,
    StatefulProcessor,
    StatefulProcessorHandle,
    TimerValues,
    ValueState,
)

from spark_jobs.transforms import state_rows
from spark_jobs.transforms.forming import Share
from spark_jobs.transforms.packets import unpack
from spark_jobs.transforms.sitting import Key

PROVIDER: Final = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
_BODY: Final = "body binary"


@dataclass(frozen=True)
class StateMemory:
    """``forming.Memory`` over state variables; the share is the operator's key."""

    heads: ValueState
    books: MapState
    minutes: MapState

    def head(self) -> bytes | None:
        return _body(self.heads.get())

    def keep_head(self, head: bytes) -> None:
        self.heads.update((head,))

    def symbols(self) -> list[str]:
        return [key[0] for key in self.books.keys()]  # noqa: SIM118 - no dict

    def symbol(self, name: str) -> bytes | None:
        return _body(self.books.getValue((name,)))

    def keep_symbol(self, name: str, state: bytes) -> None:
        self.books.updateValue((name,), (state,))

    def drop_symbol(self, name: str) -> None:
        self.books.removeKey((name,))

    def trades(self, name: str, day: int, key: Key) -> bytes | None:
        return _body(self.minutes.getValue((name, day, *key)))

    def keep_trades(self, name: str, day: int, key: Key, trades: bytes) -> None:
        self.minutes.updateValue((name, day, *key), (trades,))

    def drop_trades(self, name: str, day: int, key: Key) -> None:
        self.minutes.removeKey((name, day, *key))


def _body(row: tuple[Any, ...] | None) -> bytes | None:
    return None if row is None else bytes(row[0])


class FormingMinutes(StatefulProcessor):
    """Packets to the minutes of the sessions that have news, and one row of counts a share."""

    def __init__(self, lateness: timedelta, headless: frozenset[int]) -> None:
        self._lateness_us = lateness // timedelta(microseconds=1)
        self._headless = headless

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state; called once for every task."""
        self._memory = StateMemory(
            handle.getValueState("heads", _BODY),
            handle.getMapState("symbols", "symbol string", _BODY),
            handle.getMapState(
                "trades", "symbol string, day int, segment string, minute int", _BODY
            ),
        )

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: Any,  # noqa: ANN401 - Spark's
        rows: Iterator[Any],  # data frames, but the base class may also be given rows
        timerValues: TimerValues,  # noqa: N803
    ) -> Iterator[pd.DataFrame]:
        """Take a share's packets of one batch."""
        packet = unpack(
            part
            for frame in rows
            for part in zip(frame["clocks"], frame["counts"], frame["arrivals"], strict=True)
        )
        share = Share(self._memory, self._lateness_us, self._headless)
        counts = Counter(packet.counts)
        for told in share.take(packet.arrivals, packet.clocks):
            counts["sessions"] += 1
            yield state_rows.rows(key[0], told)
        yield state_rows.summary(key[0], counts + share.counts)
