"""How long it takes from a trade's produce until its window row can be read in the lake.

The market's time of the trades goes on with the wall clock, in a session of 2013 that has five
hours behind it. A reader looks for new snapshots; which of them has a trade is told by the newest
fetch that the rows of its symbol have seen.
"""

import signal
import subprocess
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from confluent_kafka import KafkaError, Message, Producer
from rich.console import Console

from benchmarks import stack
from benchmarks.land import data as land
from benchmarks.land import measure
from benchmarks.spark import data, streaming
from ingestion.clock import rfc3339
from ingestion.contracts.topics import REALTIME
from ingestion.errors import DeliveryError, TapehouseError
from ingestion.produce import kafka
from ingestion.settings import KafkaSettings

ROW: Final = "stream: trade to window row"
RATE: Final = 1_000
_COUNTED_S: Final = 60
_WARM_UP_S: Final = 20  # the JVM compiles what batches need
_TRIGGERS: Final = ("5s", "1s")
# So much of the session lies behind the trades that are timed, with a trade a symbol and minute.
_BEFORE: Final = timedelta(hours=5)
_PAUSE: Final = timedelta(minutes=1)
_STEP_S: Final = 0.02
_POLL_S: Final = 0.05
_QUIET_S: Final = 15.0  # three times the longest trigger
_WAIT_S: Final = 180.0


class Trade(NamedTuple):
    """A trade that was sent: the market's moment, and when it was handed over to the client."""

    symbol: str
    at: datetime
    sent_at: float


@dataclass
class Sight:
    """When each revision of the windows was first seen (seconds since the epoch)."""

    at: dict[int, float] = field(default_factory=dict)

    def look(self, stop: threading.Event) -> None:
        """Look until told to stop."""
        while not stop.wait(_POLL_S):
            revision = streaming.revision()
            if revision is not None:
                self.at.setdefault(revision, time.time())

    def is_quiet(self) -> bool:
        """Return whether nothing new has been seen for a while."""
        return time.time() - max(self.at.values(), default=time.time()) > _QUIET_S


def measured(console: Console) -> Iterator[tuple[str, list[float]]]:
    """Yield each trigger, and how long each trade took with it, in order of their length.

    Raises:
        TapehouseError: the stream failed, or a trade was never seen.
    """
    with stack.temporary("kafka", "store") as (home, environment), stack.in_force(environment):
        own = streaming.fresh(home, environment)
        with stack.in_force(own):
            begin = data.opens_of(1)[0]
            minutes = _BEFORE // timedelta(minutes=1)
            for trigger in _TRIGGERS:
                land.fill(REALTIME, _quiet_minutes(begin, minutes))
                begin += minutes * timedelta(minutes=1)
                waits = _watched(home, own, trigger, begin)
                begin, minutes = begin + timedelta(seconds=_WARM_UP_S + _COUNTED_S) + _PAUSE, 1
                console.print(f"{ROW}, --trigger {trigger}: {len(waits):,} trades", highlight=False)
                yield trigger, waits


def row(trigger: str, waits: Sequence[float]) -> dict[str, Any]:
    """Return the row of the table and the file."""
    return {
        "row": f"{ROW}, --trigger {trigger}",
        "unit": "s",
        "records": len(waits),
        "records_per_s": RATE,
        **{f"p{share}": round(waits[len(waits) * share // 100], 2) for share in (50, 95)},
        "longest": round(waits[-1], 2),
    }


def waits(
    trades: Sequence[Trade],
    written: Sequence[tuple[str, int, datetime]],
    seen: Mapping[int, float],
) -> list[float]:
    """Return how long each trade took, in order of their length.

    Args:
        trades: in the order in which they were sent.
        written: symbol, revision, and the newest fetch that rows of the symbol have seen in it.
        seen: when each revision was seen; where one was overlooked, the next had its rows, too.

    Raises:
        TapehouseError: a trade is in none that was seen.
    """
    reached: defaultdict[str, list[tuple[datetime, int]]] = defaultdict(list)
    for symbol, revision, as_of in sorted(written):
        reached[symbol].append((as_of, revision))
    revisions, found = sorted(seen), []
    for trade in trades:
        pairs = reached[trade.symbol]
        place = bisect_left(pairs, (trade.at, -1))
        first = bisect_left(revisions, pairs[place][1]) if place < len(pairs) else len(revisions)
        if first == len(revisions):
            raise TapehouseError(f"the trade of {trade.symbol} at {trade.at} was never seen")
        found.append(seen[revisions[first]] - trade.sent_at)
    return sorted(found)


def _watched(
    home: Path, environment: Mapping[str, str], trigger: str, begin: datetime
) -> list[float]:
    sight, stop, before = Sight(), threading.Event(), streaming.revision()
    looking = threading.Thread(target=sight.look, args=(stop,))
    with (
        (home / f"stream-{trigger}.log").open("wb") as log,
        _running(environment, log, trigger) as process,
    ):
        _wait(lambda: _is_beyond(before, process), "the stream has read what was there")
        looking.start()
        try:
            trades = _send(begin)
            _wait(sight.is_quiet, "the stream has nothing left to write")
        finally:
            stop.set()
            looking.join()
    return waits(trades[RATE * _WARM_UP_S :], _written(), sight.at)


@contextmanager
def _running(
    environment: Mapping[str, str], log: IO[bytes], trigger: str
) -> Iterator["subprocess.Popen[bytes]"]:
    process = streaming.start(environment, log, "--trigger", trigger)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.wait(_WAIT_S)
    finally:
        measure.end(process)
    if process.returncode != 0:
        raise TapehouseError(f"the stream ended with {process.returncode}")


def _is_beyond(before: int | None, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise TapehouseError(f"the stream ended with {process.returncode}")
    return streaming.revision() != before


def _wait(until: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not until():
        if time.monotonic() > deadline:
            raise TapehouseError(f"expected within {_WAIT_S:.0f} s: {what}")
        time.sleep(_POLL_S)


def _quiet_minutes(begin: datetime, count: int) -> Iterator[land.Item]:
    for minute in range(count):
        for place in range(data.SYMBOLS):
            yield _item(place, begin + timedelta(minutes=minute, seconds=30))


def _item(place: int, at: datetime) -> land.Item:
    number = round(at.timestamp() * 1000)
    return land.Item(place % data.PARTITIONS, *data.trade(place, number, rfc3339(at).encode()))


def _send(begin: datetime) -> list[Trade]:
    """Send trades at a steady rate, a millisecond of the market's time after each other."""
    sent, failed = list[Trade](), list[str]()

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(str(error))

    producer = Producer(kafka.configuration(KafkaSettings.load(), kafka.DELIVERY_TIMEOUT_S))
    due = time.monotonic()
    for number in range(RATE * (_WARM_UP_S + _COUNTED_S)):
        if number % round(RATE * _STEP_S) == 0:
            time.sleep(max(0.0, due - time.monotonic()))
            due += _STEP_S
        at = begin + timedelta(seconds=number / RATE)
        item = _item(number % data.SYMBOLS, at)
        sent.append(Trade(item.key.decode(), at, time.time()))
        producer.produce(REALTIME, item.value, item.key, item.partition, note)
        producer.poll(0)
    if producer.flush(_WAIT_S) or failed:
        raise DeliveryError(f"{REALTIME}: not all records were confirmed: {failed[:1]}")
    return sent


def _written() -> list[tuple[str, int, datetime]]:
    table = streaming.windows()
    if table is None:
        raise TapehouseError("the stream has made no windows")
    rows = table.scan(selected_fields=("symbol", "revision", "as_of")).to_arrow()
    newest = rows.group_by(["symbol", "revision"]).aggregate([("as_of", "max")])
    columns = [newest[name].to_pylist() for name in ("symbol", "revision", "as_of_max")]
    return list(zip(*columns, strict=True))
