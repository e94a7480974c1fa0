"""Bars and windows once more, the slow and plain way; imports nothing of ours.

Prices and sizes are whole millionths, sums of them and of their squares are integers, logarithms
have 40 digits: what is computed here has no error of its own until it becomes a float at the end.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from itertools import accumulate, pairwise
from typing import Any, Final, NamedTuple

_GRID: Final = timedelta(minutes=5)
_WIDTHS: Final = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1)}
_MINUTE: Final = timedelta(minutes=1)
_UNIT: Final = 10**6
_DIGITS: Final = 40

Message = dict[str, Any]
Key = tuple[str, str, datetime]
"""Interval, segment and start of a bar."""


class Tick(NamedTuple):
    """A trade, as far as windows are made of it."""

    at: datetime
    seq: int
    price: str
    size: str


def windows(ticks: Iterable[Tick], open_at: datetime, close_at: datetime) -> list[dict[str, Any]]:
    """Return one row per 5-minute end of one session of one symbol.

    Sums are decimals, counts integers, all else floats.
    """
    inside = sorted((t for t in ticks if open_at <= t.at < close_at), key=lambda t: (t.at, t.seq))
    sums = _Sums(inside)
    count = -((open_at - close_at) // _GRID)
    ends = [open_at + number * _GRID for number in range(1, count + 1)]
    return [
        {"window_end_at": end}
        | {
            f"{column}_{name}{tail}": value
            for name, width in _WIDTHS.items()
            for (column, tail), value in _window(sums, end, width, open_at, close_at).items()
        }
        for end in ends
    ]


class _Sums:
    """Running sums over trades in order: of price, its square, value, size, returns, squares."""

    def __init__(self, ticks: Sequence[Tick]) -> None:
        self.times = [tick.at for tick in ticks]
        prices, sizes = ([_whole(text) for text in t] for t in _columns(ticks))
        returns = _returns([Decimal(tick.price) for tick in ticks])
        self.price = _running(prices)
        self.square = _running([price * price for price in prices])
        self.value = _running([p * s for p, s in zip(prices, sizes, strict=True)])
        self.size = _running(sizes)
        with localcontext(prec=_DIGITS):
            self.change = list(accumulate(returns, initial=Decimal()))
            self.squared_change = list(accumulate((r * r for r in returns), initial=Decimal()))


def _columns(ticks: Sequence[Tick]) -> tuple[list[str], list[str]]:
    return [tick.price for tick in ticks], [tick.size for tick in ticks]


def _whole(text: str) -> int:
    scaled = Decimal(text) * _UNIT
    assert scaled == int(scaled), text  # noqa: S101 - the contract has six decimals
    return int(scaled)


def _running(values: Iterable[int]) -> list[int]:
    return list(accumulate(values, initial=0))


def _returns(prices: Sequence[Decimal]) -> list[Decimal]:
    """Return the log return of each trade against the one before; of the first none is known."""
    with localcontext(prec=_DIGITS):
        logs = {price: price.ln() for price in set(prices)}
        return [Decimal()] * bool(prices) + [logs[b] - logs[a] for a, b in pairwise(prices)]


def _window(
    sums: _Sums, end: datetime, width: timedelta, open_at: datetime, close_at: datetime
) -> dict[tuple[str, str], Any]:
    start = max(end - width, open_at)
    i, j = bisect_left(sums.times, start), bisect_left(sums.times, end)
    n, first_return = j - i, max(i, 1)  # the session's first trade has no return
    rn = max(j - first_return, 0)
    price, value = sums.price[j] - sums.price[i], sums.value[j] - sums.value[i]
    size = sums.size[j] - sums.size[i]
    minutes = {(at - open_at) // _MINUTE for at in sums.times[i:j]}
    with localcontext(prec=_DIGITS):
        spread = _deviation(n, Decimal(price), Decimal(sums.square[j] - sums.square[i]))
        moved = _deviation(
            rn,
            sums.change[j] - sums.change[min(first_return, j)],
            sums.squared_change[j] - sums.squared_change[min(first_return, j)],
        )
        found: dict[str, Any] = {
            "ma": float(Decimal(price) / n / _UNIT) if n else None,
            "volatility": None if spread is None else float(spread / _UNIT),
            "return_volatility": None if moved is None else float(moved),
            "vwap": float(Decimal(value) / size / _UNIT) if size else None,
            "volume_sum": Decimal(size) / _UNIT,
            "n_obs": n,
            "coverage": len(minutes) / ((min(end, close_at) - start) / _MINUTE),
            "is_partial": end - open_at < width,
        }
    return {("window", "_start_at"): start} | {(name, ""): one for name, one in found.items()}


def _deviation(n: int, total: Decimal, squares: Decimal) -> Decimal | None:
    """Return the sample standard deviation; None below two observations."""
    return ((n * squares - total * total) / (n * (n - 1))).sqrt() if n > 1 else None


class Print(NamedTuple):
    """A trade as it stands after its corrections; ``fetched_at`` is the last one's."""

    at: datetime
    seq: int
    price: Decimal
    size: Decimal
    conditions: list[str]
    event_id: str
    fetched_at: datetime

    @property
    def tick(self) -> Tick:
        """What windows take."""
        return Tick(self.at, self.seq, str(self.price), str(self.size))


def standing(messages: Sequence[Message]) -> list[Print]:
    """Return the trades that stand after all messages, which are given in Kafka's order."""
    refs = {m["event_id"]: m["data"]["ref"] for m in messages if _action(m) != "new"}
    changes: dict[str, Message] = {}
    for message in sorted(messages, key=lambda m: str(m["fetched_at"])):  # Kafka's order stays
        if message["event_id"] in refs:
            changes[_meant(message["event_id"], refs)] = message
    found = []
    for message in messages:
        if _action(message) == "new":
            change = changes.get(message["event_id"], message)
            if _action(change) != "cancel":
                found.append(_print(message, change))
    return sorted(found, key=lambda p: (p.at, p.seq))


def _action(message: Message) -> str:
    return str(message["data"].get("action", "new"))


def _meant(event_id: str, refs: dict[str, str | None]) -> str:
    for _ in refs:
        if refs.get(event_id):
            event_id = refs[event_id] or ""
    return event_id


def _print(message: Message, change: Message) -> Print:
    data = message["data"]
    return Print(
        datetime.fromisoformat(message["event_time"]),
        data["seq"],
        Decimal(change["data"]["price"]),
        Decimal(change["data"]["size"]),
        data["conditions"],
        message["event_id"],
        max(datetime.fromisoformat(one["fetched_at"]) for one in (message, change)),
    )


class Bar(NamedTuple):
    """What a bar says; ``n`` is its number of trades."""

    end: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    vwap: Decimal | None
    n: int


def bars(prints: Iterable[Print], open_at: datetime, close_at: datetime) -> dict[Key, Bar]:
    """Return the bars of one session of one symbol."""
    groups: dict[tuple[str, str, datetime, datetime], list[Print]] = {}
    for item in (p for p in prints if p.price > 0 and p.size >= 0):
        segment = _segment(item, open_at, close_at)
        for interval, width in (("1m", 1), ("5m", 5), ("15m", 15), ("1h", 60)):
            start, end = _span(item.at, segment, timedelta(minutes=width), open_at, close_at)
            groups.setdefault((interval, segment, start, end), []).append(item)
        if segment == "regular":
            groups.setdefault(("1d", "regular", open_at, close_at), []).append(item)
    return {(i, s, start): _bar(end, found) for (i, s, start, end), found in groups.items()}


def _segment(item: Print, open_at: datetime, close_at: datetime) -> str:
    two = timedelta(minutes=2)
    if item.at < open_at:
        is_auction = "opening_auction" in item.conditions and open_at - item.at <= two
        return "regular" if is_auction else "pre"
    if item.at >= close_at:
        is_auction = "closing_auction" in item.conditions and item.at - close_at <= two
        return "regular" if is_auction else "post"
    return "regular"


def _span(
    at: datetime, segment: str, width: timedelta, open_at: datetime, close_at: datetime
) -> tuple[datetime, datetime]:
    origin = close_at if segment == "post" else open_at
    if segment == "regular":
        at = min(max(at, open_at), close_at - timedelta(microseconds=1))
    start = origin + (at - origin) // width * width
    return start, min(start + width, close_at) if segment == "regular" else start + width


def _bar(end: datetime, prints: Sequence[Print]) -> Bar:
    prices, volume = [p.price for p in prints], sum((p.size for p in prints), Decimal())
    value = sum((p.price * p.size for p in prints), Decimal())
    vwap = value / volume if volume else None
    return Bar(end, prices[0], max(prices), min(prices), prices[-1], volume, vwap, len(prints))


def period_means(found: dict[Key, Bar], ends: Iterable[datetime], n: int) -> list[Decimal | None]:
    """Return the mean of the last n closes of 5-minute bars up to each end; None below n."""
    closes = sorted(
        (start + _GRID, bar.close)
        for (interval, segment, start), bar in found.items()
        if (interval, segment) == ("5m", "regular")
    )
    means: list[Decimal | None] = []
    for end in ends:
        last = [close for at, close in closes if at <= end][-n:]
        means.append(sum(last, Decimal()) / n if len(last) == n else None)
    return means
