"""Quotes of one provider, or of the first of several that has them: one round, or polled."""

from collections.abc import Sequence
from dataclasses import replace

from ingestion.limits.guards import budget_of
from ingestion.limits.limit import SECOND
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
from ingestion.produce.providers import Providers, providing
from ingestion.produce.ranking import Sources, ranked
from ingestion.settings import LimitsSettings
from ingestion.sources.failover import Failover
from ingestion.sources.fetcher import Unit
from ingestion.sources.polling import Pace, PolledQuotes
from ingestion.sources.ranked import RankedFetcher

NAME = "quotes"


def quotes(
    sources: Sources = None,
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
    """Send quotes, each of the first provider of a list that has it.

    Each symbol is polled every 5.5 seconds, outside of sessions every 15 minutes, or --every so
    often; as rarely as the first provider's budget wants. Until SIGTERM or Ctrl-C.
    """
    refuse_both(once=once, every=every)
    names, symbols = ranked("quotes", sources), symbols_of(symbol, universe)
    delivery = Delivery(rate, report, delivery_timeout, ledger, live_spool(spool, NAME))
    with providing(named_run(run_id, NAME)) as providers:
        poll(providers, names, NAME, symbols, once, duration_s(every), delivery)


def poll(
    providers: Providers,
    names: Sequence[str],
    name: str,
    symbols: Sequence[str],
    once: bool,
    every_s: float | None,
    delivery: Delivery,
) -> None:
    """Send quotes of the first of the providers that serves each poll.

    Raises:
        SettingsError: a provider's key is not set.
        SourceError: a symbol's quote was not served in the only round.
        DeniedError: there never was a quote, and all are denied.
    """
    run = providers.run
    fetcher = RankedFetcher(name, [providers.quotes(each) for each in names], run.clock)
    if once:
        units = [Unit("quote", symbol) for symbol in symbols]
        send(Failover(fetcher, units), providers, delivery, ticks=True)
        return
    pace = Pace(requests_per_minute=per_minute(names[0]))
    if every_s is not None:
        pace = replace(pace, interval_s=every_s, closed_interval_s=every_s)
    source = PolledQuotes(fetcher, symbols, run.calendar, run.clock, run.stopping, pace)
    send(source, providers, delivery, ticks=True)


def per_minute(name: str) -> float:
    """Return how many requests a minute a provider's budget has room for in the long run."""
    limits = budget_of(name, LimitsSettings.load()).limits
    return min(limit.count * 60 * SECOND / limit.length for limit in limits)
