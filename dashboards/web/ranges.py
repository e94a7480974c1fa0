"""The ranges of the chart, and which candles each is drawn of.

1H, 4H and 1D are spans of time, not sizes of candles: the finest candles are taken that cover the
span in some hundred bars. Spans end at the newest candle and not at the wall clock, so that a
weekend, and a recording of 2013, show their last day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from dashboards.web.exchange import ExchangeClock

# More bars than pixels help nobody; the coarser interval says the same.
MAX_BARS: Final = 1500
INTRADAY: Final = ("1m", "5m", "15m", "1h", "4h")


@dataclass(frozen=True)
class Series:
    """The candles of one instrument and interval that there are; times are naive UTC as in gold.

    A last candle that is forming ends in the future: something was traded since its start.
    """

    interval: str
    simulated: bool
    first_start_at: datetime
    first_end_at: datetime
    last_start_at: datetime
    last_end_at: datetime
    last_session: date
    n_bars: int


@dataclass(frozen=True)
class Choice:
    """A series, and the start of the range in it (naive UTC); None: from its beginning."""

    series: Series
    start_at: datetime | None


@dataclass(frozen=True)
class Range:
    """A span that can be chosen: ``hours`` of the clock, or days of the exchange; neither: all.

    ``intervals``: what it may be drawn of, finest first; each but those of MAX stays within
    MAX_BARS over the span.
    """

    name: str
    intervals: tuple[str, ...]
    hours: int | None = None
    days: int | None = None

    def start(self, series: Series, zone: ZoneInfo) -> datetime | None:
        """Return where the span begins that ends with a series' last candle, naive UTC."""
        if self.hours is not None:
            return series.last_end_at - timedelta(hours=self.hours)
        if self.days is None:
            return None
        first = series.last_session - timedelta(days=self.days - 1)
        return datetime.combine(first, time(), zone).astimezone(UTC).replace(tzinfo=None)


RANGES: Final = {
    one.name: one
    for one in (
        Range("1H", ("1m", "5m", "15m"), hours=1),
        Range("4H", ("1m", "5m", "15m", "1h"), hours=4),
        Range("1D", ("1m", "5m", "15m", "1h", "4h"), days=1),
        Range("1W", ("5m", "15m", "1h", "4h", "1d"), days=7),
        Range("1M", ("15m", "1h", "4h", "1d"), days=31),
        Range("1Y", ("1d", "1w"), days=366),
        Range("MAX", ("1d", "1w")),
    )
}
DEFAULT: Final = "1D"


def choose(wanted: Range, there: Iterable[Series], exchange: ExchangeClock) -> Choice | None:
    """Return what a range is drawn of: real before simulated, then the finest that covers it.

    What ends a session or a whole candle before others do is left out: its last candles are not
    those of the range. The span ends with the series' own last candle. Where none reaches back far
    enough, the one that does so most. None without any candle.
    """
    candidates = [one for one in there if one.interval in wanted.intervals]
    real = [one for one in candidates if not one.simulated]
    candidates = sorted(real or candidates, key=lambda one: wanted.intervals.index(one.interval))
    if not candidates:
        return None
    last_session = max(one.last_session for one in candidates)
    candidates = [one for one in candidates if one.last_session == last_session]
    last_start_at = max(one.last_start_at for one in candidates)
    candidates = [one for one in candidates if one.last_end_at > last_start_at]
    choices = [Choice(one, wanted.start(one, exchange.zone)) for one in candidates]
    if choices[0].start_at is None:
        fitting = (one for one in choices if one.series.n_bars <= MAX_BARS)
        return next(fitting, choices[-1])
    days = {one.series.interval: _first_day(one.series, candidates, exchange) for one in choices}
    covering = (one for one in choices if days[one.series.interval] <= _due(one, exchange))
    return next(covering, None) or min(choices, key=lambda one: days[one.series.interval])


def _due(choice: Choice, exchange: ExchangeClock) -> date:
    """Return the day of the first session of a span, which may begin on a holiday."""
    if choice.start_at is None:
        return date.max
    return exchange.sessions[exchange.ended(choice.start_at.replace(tzinfo=UTC)) + 1].session_date


def _first_day(series: Series, there: Iterable[Series], exchange: ExchangeClock) -> date:
    """Return the day from which a series has anything; its first candle may begin before that.

    Candles begin on a grid of hours, days or weeks: smaller ones tell what there is in the first.
    """
    within = [
        one.first_start_at
        for one in there
        if one is not series and series.first_start_at <= one.first_start_at < series.first_end_at
    ]
    first = min(within, default=series.first_start_at)
    return first.replace(tzinfo=UTC).astimezone(exchange.zone).date()
