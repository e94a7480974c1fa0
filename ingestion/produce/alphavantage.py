"""``produce alphavantage``: daily bars, intraday bars, or quotes."""

from collections.abc import Callable
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import typer

from ingestion.calendar import Calendar
from ingestion.errors import SettingsError
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
    live_spool,
    named_run,
    refuse_both,
    symbols_of,
)
from ingestion.produce.providers import ALPHAVANTAGE, Providers, providing
from ingestion.produce.pulls import Wanted, pull
from ingestion.produce.quotes import poll
from ingestion.produce.span import span
from ingestion.settings import AlphaVantageSettings
from ingestion.sources.alphavantage.reader import COMPACT_ROWS, DAILY, INTRADAY


class Kind(StrEnum):
    """What is asked for."""

    DAILY = "daily"
    INTRADAY = "intraday"
    QUOTES = "quotes"


Interval = Annotated[
    str | None, typer.Option(help=f"Of intraday bars: {', '.join(INTRADAY)}; 5m without.")
]


def alphavantage(
    kind: Annotated[Kind, typer.Option(help="Bars of days, of minutes, or quotes.")] = Kind.DAILY,
    symbol: Symbols = None,
    universe: Universe = "default",
    interval: Interval = None,
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
    """Send Alpha Vantage's bars of the last year, or quotes until SIGTERM or Ctrl-C.

    A free key has 25 requests a day, raw daily bars of the last 100 sessions, and quotes; with
    ALPHAVANTAGE_PREMIUM all of the past, splits, dividends and intraday bars. Bars are one round
    unless --every is given.
    """
    refuse_both(once=once, every=every)
    symbols, every_s = symbols_of(symbol, universe), duration_s(every)
    with providing(named_run(run_id, ALPHAVANTAGE)) as providers:
        if kind is Kind.QUOTES:
            _refuse(interval, start, end)
            folder = live_spool(spool, f"{ALPHAVANTAGE}-{kind}")
            delivery = Delivery(rate, report, delivery_timeout, ledger, folder)
            poll(providers, [ALPHAVANTAGE], ALPHAVANTAGE, symbols, once, every_s, delivery)
            return
        length = _length(kind, interval)
        days = _days(length, start, end, providers)
        delivery = Delivery(rate, report, delivery_timeout, ledger, spool or configured_spool())
        wanted = Wanted(symbols, length, days, every_s)
        pull(providers, [ALPHAVANTAGE], ALPHAVANTAGE, wanted, delivery)


def _refuse(interval: str | None, start: datetime | None, end: datetime | None) -> None:
    if interval or start or end:
        raise SettingsError("--kind quotes: expected none of --interval, --start, --end")


def _length(kind: Kind, interval: str | None) -> str:
    """Return the bars' interval.

    Raises:
        SettingsError: there is no such one, or the key's plan does not have it.
    """
    if kind is Kind.DAILY:
        if interval not in (None, DAILY):
            raise SettingsError(f"--interval: expected --kind intraday, found {interval!r}")
        return DAILY
    if interval is not None and interval not in INTRADAY:
        expected = ", ".join(INTRADAY)
        raise SettingsError(f"--interval: expected one of {expected}, found {interval!r}")
    if not AlphaVantageSettings.load().premium:
        raise SettingsError(
            "ALPHAVANTAGE_PREMIUM is not set: intraday bars are for keys of a premium plan"
        )
    return interval or "5m"


def _days(
    length: str, start: datetime | None, end: datetime | None, providers: Providers
) -> Callable[[], tuple[date, date]]:
    run, premium = providers.run, AlphaVantageSettings.load().premium

    def oldest(today: date) -> date:
        return date.min if premium else _oldest_free(run.calendar, today)

    first = oldest(run.clock.now().astimezone(run.calendar.zone).date())
    if start is not None and start.date() < first:
        raise SettingsError(
            f"ALPHAVANTAGE_PREMIUM is not set: a free key has the last {COMPACT_ROWS} sessions, "
            f"expected --start from {first} on, found {start.date()}"
        )
    return span(day_of(start), day_of(end), run.calendar, run.clock, oldest)


def _oldest_free(calendar: Calendar, today: date) -> date:
    return calendar.sessions(None, today)[-COMPACT_ROWS].session_date
