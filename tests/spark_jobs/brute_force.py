"""Window metrics and bars once more, the slow and plain way; imports nothing of ours."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd


class Tick(NamedTuple):
    at: datetime
    seq: int
    price: str
    size: str


def windows(ticks: list[Tick], open_at: datetime, close_at: datetime) -> pd.DataFrame:
    """One row per 5-minute end of one session of one symbol."""
    inside = sorted((t for t in ticks if open_at <= t.at < close_at), key=lambda t: (t.at, t.seq))
    frame = pd.DataFrame(
        {
            "at": [t.at for t in inside],
            "price": np.array([t.price for t in inside], dtype=np.longdouble),
            "size": np.array([t.size for t in inside], dtype=np.longdouble),
        }
    )
    logs = np.log(frame["price"].to_numpy())
    frame["ret"] = np.concatenate([[np.nan], np.diff(logs)])
    ends = pd.date_range(open_at + timedelta(minutes=5), close_at, freq="5min")
    rows = [
        {
            "window_end_at": end,
            **_width(frame, end, "15m", 15, open_at),
            **_width(frame, end, "1h", 60, open_at),
        }
        for end in ends
    ]
    return pd.DataFrame(rows)


def _width(
    frame: pd.DataFrame, end: pd.Timestamp, name: str, minutes: int, open_at: datetime
) -> dict:
    start = max(end - timedelta(minutes=minutes), pd.Timestamp(open_at))
    part = frame[(frame["at"] >= start) & (frame["at"] < end)]
    price, size, ret = (part[c].to_numpy() for c in ("price", "size", "ret"))
    ret = ret[~np.isnan(ret)]
    elapsed = (part["at"] - open_at) // timedelta(minutes=1)
    volume = size.sum()
    return {
        f"window_{name}_start_at": start,
        f"ma_{name}": price.mean() if len(price) else None,
        f"volatility_{name}": price.std(ddof=1) if len(price) > 1 else None,
        f"return_volatility_{name}": ret.std(ddof=1) if len(ret) > 1 else None,
        f"vwap_{name}": (price * size).sum() / volume if volume else None,
        f"volume_sum_{name}": volume,
        f"n_obs_{name}": len(price),
        f"coverage_{name}": elapsed.nunique() / ((end - start) / timedelta(minutes=1)),
        f"is_partial_{name}": end - open_at < timedelta(minutes=minutes),
    }


class Print(NamedTuple):
    """A trade as it stands after its corrections."""

    at: datetime
    seq: int
    price: Decimal
    size: Decimal
    conditions: list[str]

    @property
    def tick(self) -> Tick:
        return Tick(self.at, self.seq, str(self.price), str(self.size))


def standing(messages: list[dict[str, Any]]) -> list[Print]:
    """Trades that stand after all messages, which are given in Kafka's order."""
    refs = {m["event_id"]: m["data"]["ref"] for m in messages if m["data"]["action"] != "new"}
    changes: dict[str, dict[str, Any]] = {}
    for message in sorted(messages, key=lambda m: m["fetched_at"]):  # stable: Kafka's order stays
        if message["event_id"] in refs:
            changes[_meant(message["event_id"], refs)] = message["data"]
    found = []
    for message in messages:
        if message["data"]["action"] == "new":
            change = changes.get(message["event_id"], message["data"])
            if change["action"] != "cancel":
                found.append(_print(message, change))
    return sorted(found, key=lambda p: (p.at, p.seq))


def _meant(event_id: str, refs: dict[str, str | None]) -> str:
    for _ in refs:
        if refs.get(event_id):
            event_id = refs[event_id] or ""
    return event_id


def _print(message: dict[str, Any], change: dict[str, Any]) -> Print:
    at, data = datetime.fromisoformat(message["event_time"]), message["data"]
    price, size = Decimal(change["price"]), Decimal(change["size"])
    return Print(at, data["seq"], price, size, data["conditions"])


class Bar(NamedTuple):
    end: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    vwap: Decimal | None
    n: int


def bars(
    prints: list[Print], open_at: datetime, close_at: datetime
) -> dict[tuple[str, str, datetime], Bar]:
    """Bars of one session of one symbol by (interval, segment, start)."""
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


def _bar(end: datetime, prints: list[Print]) -> Bar:
    prices, volume = [p.price for p in prints], sum((p.size for p in prints), Decimal())
    value = sum((p.price * p.size for p in prints), Decimal())
    vwap = value / volume if volume else None
    ends = prices[0], max(prices), min(prices), prices[-1]
    return Bar(end, *ends, volume, vwap, len(prints))


def period_means(
    found: dict[tuple[str, str, datetime], Bar], ends: list[datetime], n: int
) -> list[Decimal | None]:
    """The mean of the last n closes of 5-minute bars up to each end; None until there are n."""
    closes = sorted(
        (start + timedelta(minutes=5), bar.close)
        for (interval, segment, start), bar in found.items()
        if (interval, segment) == ("5m", "regular")
    )
    means: list[Decimal | None] = []
    for end in ends:
        last = [close for at, close in closes if at <= end][-n:]
        means.append(sum(last, Decimal()) / n if len(last) == n else None)
    return means
