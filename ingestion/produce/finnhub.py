"""``produce finnhub``: quotes by polling, or trades by its WebSocket."""

from enum import StrEnum
from typing import Annotated

import typer

from ingestion.errors import SettingsError
from ingestion.produce import kafka
from ingestion.produce.execute import Delivery
from ingestion.produce.live import send
from ingestion.produce.options import (
    DeliveryTimeout,
    Every,
    LedgerFolder,
    Once,
    Rate,
    Report,
    RunId,
    SpoolFolder,
    Symbols,
    Universe,
    duration_s,
    live_spool,
    named_run,
    refuse_both,
    symbols_of,
)
from ingestion.produce.providers import FINNHUB, providing
from ingestion.produce.quotes import poll


class Kind(StrEnum):
    """What is asked for."""

    QUOTES = "quotes"
    TRADES = "trades"


def finnhub(
    kind: Annotated[Kind, typer.Option(help="Polled quotes, or the stream of trades.")] = (
        Kind.QUOTES
    ),
    symbol: Symbols = None,
    universe: Universe = "default",
    once: Once = False,
    every: Every = None,
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
    spool: SpoolFolder = None,
) -> None:
    """Send Finnhub's quotes or trades until SIGTERM or Ctrl-C; quotes also --once.

    Each symbol's quote is polled every 5.5 seconds, outside of sessions every 15 minutes, or
    --every so often; as rarely as the budget wants. A key has one stream: one process sends trades.
    """
    refuse_both(once=once, every=every)
    symbols = symbols_of(symbol, universe)
    folder = live_spool(spool, f"{FINNHUB}-{kind}")
    delivery = Delivery(rate, report, delivery_timeout, ledger, folder)
    with providing(named_run(run_id, FINNHUB)) as providers:
        if kind is Kind.QUOTES:
            poll(providers, [FINNHUB], FINNHUB, symbols, once, duration_s(every), delivery)
            return
        if once or every:
            raise SettingsError("--kind trades: expected neither --once nor --every")
        send(providers.trades(symbols), providers, delivery)
