"""``produce bars``: bars of the first of several providers that has them."""

from datetime import date

from ingestion.produce import kafka
from ingestion.produce.execute import Delivery
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
    named_run,
    refuse_both,
    symbols_of,
)
from ingestion.produce.providers import providing
from ingestion.produce.pulls import Wanted, pull
from ingestion.produce.ranking import Sources, ranked
from ingestion.produce.span import span

NAME = "bars"


def bars(
    sources: Sources = None,
    symbol: Symbols = None,
    universe: Universe = "default",
    start: Day = None,
    end: Day = None,
    once: Once = False,
    every: Every = None,
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
    spool: SpoolFolder = None,
) -> None:
    """Send daily bars, a symbol's all of the first provider of a list that has them.

    Without bounds: the last year. A provider is asked only for what it has: a free key of Alpha
    Vantage for ranges within the last 100 sessions.
    """
    refuse_both(once=once, every=every)
    names, symbols = ranked("bars", sources), symbols_of(symbol, universe)
    delivery = Delivery(rate, report, delivery_timeout, ledger, spool or configured_spool())
    with providing(named_run(run_id, NAME)) as providers:
        run = providers.run
        days = span(day_of(start), day_of(end), run.calendar, run.clock, lambda _: date.min)
        pull(providers, names, NAME, Wanted(symbols, "1d", days, duration_s(every)), delivery)
