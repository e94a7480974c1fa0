"""What is odd about trades, windows and sessions, the plain way; imports nothing of ours."""

import math
import statistics
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from drill.stream.brute_force import Print

_TO_NORMAL: Final = 1.4826

Flag = tuple[str, str, float, float]
"""Rule, subject, value, threshold."""


class Day(NamedTuple):
    """A session of one symbol: its hours, and what bars and splits say of it where they do."""

    session_date: str
    open_at: datetime
    close_at: datetime
    low: Decimal | None = None
    high: Decimal | None = None
    close_before: Decimal | None = None
    ratio: Decimal = Decimal(1)


def anomalies(prints: Sequence[Print], day: Day) -> Iterator[Flag]:
    """Yield the flags of the trades of one session, which are in order and count."""
    inside = [p for p in prints if day.open_at <= p.at < day.close_at]
    for segment in (inside, *_outside(prints, day)):
        yield from _prices(segment)
    yield from _ranges(inside, day)
    for item in prints:
        age = (item.fetched_at - item.at) / timedelta(seconds=1)
        if age > 900 or age < -60:
            yield "trade_stale", item.event_id, age, 900.0 if age > 900 else -60.0
    yield from _volumes(inside, day)
    yield from _jump(inside, day)


def _outside(prints: Sequence[Print], day: Day) -> Iterator[list[Print]]:
    """Yield the trades before hours and after, the auctions' apart."""
    early = [(p, day.open_at - p.at) for p in prints if p.at < day.open_at]
    late = [(p, p.at - day.close_at) for p in prints if p.at >= day.close_at]
    for some, name in ((early, "opening_auction"), (late, "closing_auction")):
        is_auction = [name in p.conditions and away <= timedelta(minutes=2) for p, away in some]
        for wanted in (True, False):
            yield [p for (p, _), is_ in zip(some, is_auction, strict=True) if is_ is wanted]


def _prices(prints: Sequence[Print]) -> Iterator[Flag]:
    values = [float(p.price) for p in prints]
    for item, score in zip(prints, _scores(values, 50, 20, 0.0, 0.0005), strict=True):
        if score is not None and abs(score) > 25:
            yield "trade_price", item.event_id, score, math.copysign(25.0, score)


def _ranges(inside: Sequence[Print], day: Day) -> Iterator[Flag]:
    for item in inside:
        if day.low is not None and item.price < day.low:
            yield "trade_range", item.event_id, float(item.price), float(day.low)
        if day.high is not None and item.price > day.high:
            yield "trade_range", item.event_id, float(item.price), float(day.high)


def _volumes(inside: Sequence[Print], day: Day) -> Iterator[Flag]:
    five = timedelta(minutes=5)
    sums: dict[datetime, Decimal] = {}
    for item in inside:
        end = day.open_at + ((item.at - day.open_at) // five + 1) * five
        sums[end] = sums.get(end, Decimal()) + item.size
    ends = sorted(end for end in sums if day.open_at + five < end < day.close_at)
    values = [math.log1p(sums[end]) for end in ends]
    for end, score in zip(ends, _scores(values, 24, 6, 0.5, 0.0), strict=True):
        if score is not None and score > 4.5:
            yield "window_volume", f"{end:%Y-%m-%dT%H:%M:%SZ}", score, 4.5


def _jump(inside: Sequence[Print], day: Day) -> Iterator[Flag]:
    if day.close_before is None or not inside:
        return
    median = statistics.median(float(p.price) for p in inside)
    jump = median / (float(day.close_before) / float(day.ratio)) - 1
    if abs(jump) > 0.3:
        yield "session_jump", day.session_date, jump, math.copysign(0.3, jump)


def _scores(
    values: Sequence[float], last: int, fewest: int, floor: float, relative: float
) -> Iterator[float | None]:
    """Yield how far each value is from those before it; None where there are too few."""
    for number, value in enumerate(values):
        before = values[max(number - last, 0) : number]
        if len(before) < fewest:
            yield None
            continue
        median = statistics.median(before)
        spread = _TO_NORMAL * statistics.median(abs(x - median) for x in before)
        yield (value - median) / max(spread, floor + relative * abs(median))
