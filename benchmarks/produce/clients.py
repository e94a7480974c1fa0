"""What is timed, each in a process of its own: the same records, sent in three ways.

A client prints ``{"begin": …, "end": …, "records": …}``, seconds since the epoch: from the first
record that is asked for, or handed over, to the broker's last answer.
"""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from confluent_kafka import KafkaError, Message, Producer

from ingestion import calendar, collector
from ingestion.clock import SystemClock
from ingestion.errors import DeliveryError
from ingestion.produce import kafka
from ingestion.produce.outgoing import Outgoing, outgoing
from ingestion.produce.pacing import Pacer, Stop
from ingestion.produce.run import run
from ingestion.settings import KafkaSettings, ProjectSettings
from ingestion.sources import stocks_csv
from ingestion.sources.daily_bar import daily_bars
from ingestion.sources.selection import Selection
from ingestion.sources.simulator import Simulator, SimulatorSettings

_TRADES_PER_SESSION: Final = 22_000  # about; the recorded bars' volume decides
_POLL_EVERY: Final = 500
_FULL_WAIT_S: Final = 0.05
_RUN_ID: Final = "benchmark"

Send = Callable[[Iterable[Outgoing]], None]


def main(what: str, count: int) -> None:
    """Send ``count`` of the simulator's records in the way that is named."""
    made = islice(records(count), count)
    ways: dict[str, tuple[Send, Iterable[Outgoing]]] = {
        "loop": (bare_loop, [*made] if what == "loop" else ()),
        "delivery": (deliver, [*made] if what == "delivery" else ()),
        "simulator": (deliver, made),
    }
    send, given = ways[what]
    begin = time.time()
    send(given)
    sys.stdout.write(json.dumps({"begin": begin, "end": time.time(), "records": count}) + "\n")


def records(count: int) -> Iterator[Outgoing]:
    """Make the records of enough recorded sessions for ``count``; what is read is read here."""
    exchange = calendar.get(ProjectSettings.load().calendar)
    path = stocks_csv.packaged_file()
    last = Selection(last_sessions=-(-count // _TRADES_PER_SESSION) + 2)
    bars = [*daily_bars(stocks_csv.read(path), exchange, last.resolve(stocks_csv.read(path)))]
    source = Simulator(bars, SimulatorSettings(), _RUN_ID)
    return outgoing(source.messages(), source.name, _RUN_ID, SystemClock())


def bare_loop(given: Iterable[Outgoing]) -> None:
    """Hand records to the client and count its answers: the least that sending them can cost.

    Raises:
        DeliveryError: one was not confirmed.
    """
    producer = Producer({**_configuration(), "log_level": 3})
    failed: list[str] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failed.append(error.str())

    for number, record in enumerate(given):
        while not _handed_over(producer, record, note):
            producer.poll(_FULL_WAIT_S)
        if number % _POLL_EVERY == 0:
            producer.poll(0)
    producer.flush()
    if failed:
        raise DeliveryError(f"{len(failed)} records not confirmed: {failed[0]}")


def deliver(given: Iterable[Outgoing]) -> None:
    """Send records as `produce` does: by its delivery, without rate, ledger or spool."""
    clock = SystemClock()
    deliverer = kafka.Deliverer(_configuration(), clock, logging.getLogger("benchmark"))
    with collector.calm():
        run(given, deliverer, clock, Pacer(clock, None), Stop(), lambda _: None)
    deliverer.raise_undelivered()


def _configuration() -> dict[str, str | int | float | bool]:
    return kafka.configuration(KafkaSettings.load(), kafka.DELIVERY_TIMEOUT_S)


def _handed_over(
    producer: Producer, record: Outgoing, note: Callable[[KafkaError | None, Message], None]
) -> bool:
    try:
        producer.produce(
            record.topic, record.value, record.key, headers=record.headers, on_delivery=note
        )
    except BufferError:
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
