"""``python -m drill load``: the loaded producer, the product's own `Deliverer` at a steady rate."""

import logging
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ingestion.cli import write_report
from ingestion.clock import Clock, SystemClock, rfc3339
from ingestion.contracts.identity import trade_id
from ingestion.contracts.records import (
    BarData,
    BarMessage,
    Message,
    QuoteMessage,
    TradeData,
    TradeMessage,
)
from ingestion.produce.kafka import DELIVERY_TIMEOUT_S, Deliverer, configuration
from ingestion.produce.ledger import Ledger
from ingestion.produce.outgoing import of_message
from ingestion.produce.pacing import Pacer, Stop, stop_on_signal
from ingestion.settings import KafkaSettings

SOURCE: Final = "drill"
_SYMBOLS: Final = [f"DRILL{number:02d}" for number in range(40)]  # over all partitions
_FLUSH_S: Final = 120.0  # longer than any fault of the matrix lasts
_FLUSH_SLICE_S: Final = 0.5
_TOLD_EVERY: Final = 200


def load(
    rate: Annotated[float, typer.Option(help="Records a second.")],
    ledger: Annotated[Path, typer.Option(help="Folder of the write-ahead ledger.")],
    report: Annotated[Path, typer.Option(help="Where to tell what was sent and confirmed.")],
) -> None:
    """Send trades, quotes and bars until SIGTERM, then wait for every answer."""
    clock, run_id = SystemClock(), uuid.uuid4().hex
    config = configuration(KafkaSettings.load(), DELIVERY_TIMEOUT_S)
    log = logging.getLogger("librdkafka")
    with stop_on_signal() as stop, Ledger(ledger, run_id, clock) as book:
        deliverer = Deliverer(config, clock, log, ledger=book)
        made = messages(run_id, clock)
        _send(made, deliverer, Pacer(clock, rate), stop, report)
        left = _wait_for_answers(deliverer, clock)
    _tell(deliverer, report)
    if left or deliverer.summary.undelivered:
        raise typer.Exit(1)


def _send(
    made: Iterator[Message], deliverer: Deliverer, pacer: Pacer, stop: Stop, report: Path
) -> None:
    for number, message in enumerate(made):
        while not stop.requested and pacer.wait():
            deliverer.poll()
        if stop.requested:
            return
        deliverer.send(of_message(message))
        if number % _TOLD_EVERY == 0:
            _tell(deliverer, report)


def _wait_for_answers(deliverer: Deliverer, clock: Clock) -> int:
    """Return how many records are still without an answer."""
    deadline = clock.monotonic() + _FLUSH_S
    while (left := deliverer.flush(_FLUSH_SLICE_S)) and clock.monotonic() < deadline:
        pass
    deliverer.end()
    return left


def _tell(deliverer: Deliverer, report: Path) -> None:
    summary = deliverer.summary
    counts = {"sent": summary.sent.total(), "delivered": summary.delivered.total()}
    write_report(report, counts | {"undelivered": summary.undelivered})


def messages(run_id: str, clock: Clock) -> Iterator[Message]:
    """Make messages without end, each with an event_id that no other run makes."""
    makers = (_trade, _trade, _quote, _bar)
    number = 0
    while True:
        yield makers[number % len(makers)](run_id, number, rfc3339(clock.now()))
        number += 1


def _envelope(run_id: str, number: int, now: str) -> dict[str, Any]:
    return {
        "event_id": trade_id(SOURCE, run_id, number),
        "source": SOURCE,
        "simulated": True,
        "symbol": _SYMBOLS[number // 4 % len(_SYMBOLS)],
        "event_time": now,
        "fetched_at": now,
        "run_id": run_id,
    }


def _trade(run_id: str, number: int, now: str) -> Message:
    data = TradeData(
        price=f"{100 + number % 900}.{number % 100:02d}",
        size=str(1 + number % 500),
        exchange=None,
        conditions=[],
        seq=number + 1,
    )
    return TradeMessage(**_envelope(run_id, number, now), data=data)


def _quote(run_id: str, number: int, now: str) -> Message:
    price = 100 + number % 900
    data = {"c": price, "d": 1, "dp": 0.5, "h": price + 1, "l": price - 1, "o": price, "pc": price}
    return QuoteMessage(**_envelope(run_id, number, now), data=data)


def _bar(run_id: str, number: int, now: str) -> Message:
    price = f"{100 + number % 900}.00"
    data = BarData(
        interval="1d",
        start=now,
        session_date=now[:10],
        open=price,
        high=price,
        low=price,
        close=price,
        volume=str(number),
        adj_close=None,
        currency="USD",
        adjustment="raw",
        as_of=now,
    )
    return BarMessage(**_envelope(run_id, number, now), data=data)
