"""``produce yahoo``: bars with splits and dividends, or its stream of price updates."""

from datetime import datetime
from typing import Annotated

import typer

from ingestion.errors import SettingsError
from ingestion.produce import kafka
from ingestion.produce.execute import Delivery
from ingestion.produce.live import send
from ingestion.produce.options import (
    Day,
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
    configured_spool,
    day_of,
    duration_s,
    live_spool,
    named_run,
    refuse_both,
    symbols_of,
)
from ingestion.produce.providers import YAHOO, Providers, providing
from ingestion.produce.pulls import Wanted, pull
from ingestion.produce.span import span
from ingestion.sources.yahoo import ranges

Interval = Annotated[str, typer.Option(help=f"Length of a bar: {', '.join(ranges.INTERVALS)}.")]
Stream = Annotated[
    bool, typer.Option("--stream", help="Instead of bars: its price updates, as they come.")
]


def yahoo(
    symbol: Symbols = None,
    universe: Universe = "default",
    interval: Interval = "1d",
    start: Day = None,
    end: Day = None,
    once: Once = False,
    every: Every = None,
    stream: Stream = False,
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
    spool: SpoolFolder = None,
) -> None:
    """Send Yahoo's bars with splits and dividends, or price updates from its stream.

    Without bounds: the last year, of intraday bars what Yahoo keeps of it; what earlier runs sent
    is asked for again only as far as it may have changed. Ends after one round, or with --every and
    --stream at SIGTERM or Ctrl-C.
    """
    refuse_both(once=once, every=every, stream=stream)
    symbols = symbols_of(symbol, universe)
    with providing(named_run(run_id, YAHOO)) as providers:
        if stream:
            _refuse_range(interval, start, end)
            folder = live_spool(spool, "yahoo-stream")
            delivery = Delivery(rate, report, delivery_timeout, ledger, folder)
            send(providers.updates(symbols), providers, delivery)
            return
        delivery = Delivery(rate, report, delivery_timeout, ledger, spool or configured_spool())
        wanted = _wanted(symbols, interval, start, end, duration_s(every), providers)
        pull(providers, [YAHOO], YAHOO, wanted, delivery)


def _wanted(
    symbols: tuple[str, ...],
    interval: str,
    start: datetime | None,
    end: datetime | None,
    every_s: float | None,
    providers: Providers,
) -> Wanted:
    if interval not in ranges.INTERVALS:
        expected = ", ".join(ranges.INTERVALS)
        raise SettingsError(f"--interval: expected one of {expected}, found {interval!r}")
    run = providers.run
    days = span(
        day_of(start), day_of(end), run.calendar, run.clock,
        lambda today: ranges.oldest(interval, today),
    )  # fmt: skip
    return Wanted(symbols, interval, days, every_s)


def _refuse_range(interval: str, start: datetime | None, end: datetime | None) -> None:
    if interval != "1d" or start or end:
        raise SettingsError("--stream: expected none of --interval, --start, --end: it has no past")
