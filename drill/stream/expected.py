"""What the lake must say of messages, by brute force; imports nothing of ours.

A table is its rows by key. In a row, floats may be wrong by a billionth of themselves; all else is
exact.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from drill.stream import brute_force
from drill.stream.brute_force import Message, Print
from drill.stream.odd import Day, anomalies

_ZONE: Final = ZoneInfo("America/New_York")
_MINUTE: Final = timedelta(minutes=1)
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
# As the exchange has published them, in UTC: a half day is over at 13:00 in New York; its clock was
# put forward on 10 March 2024 and back on 3 November.
HOURS: Final = {
    "2024-03-08": ("14:30", "21:00"),
    "2024-03-11": ("13:30", "20:00"),
    "2024-11-01": ("13:30", "20:00"),
    "2024-11-04": ("14:30", "21:00"),
    "2024-11-29": ("14:30", "18:00"),
    "2024-12-02": ("14:30", "21:00"),
}
# Sessions with nothing between them: of the others the one before has not been sent.
_BEFORE: Final = {
    "2024-03-11": "2024-03-08",
    "2024-11-04": "2024-11-01",
    "2024-12-02": "2024-11-29",
}

Row = dict[str, Any]
Table = dict[tuple[Any, ...], Row]
Session = tuple[str, str, str]
"""Symbol, source and session."""


@dataclass
class Expected:
    """The metrics' tables, and what compaction keeps and refuses."""

    windows: Table = field(default_factory=dict)
    bars: Table = field(default_factory=dict)
    daily: Table = field(default_factory=dict)
    anomalies: Table = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0


def hours(day: str) -> tuple[datetime, datetime]:
    """Return when a session opens and closes."""
    first, last = (datetime.fromisoformat(f"{day}T{time}:00+00:00") for time in HOURS[day])
    return first, last


def expected(values: Sequence[bytes], lateness: timedelta) -> Expected:
    """Return what the lake must say of records in Kafka's order, whatever their topic."""
    messages = [json.loads(value) for value in values]
    known = [m for m in messages if m["schema"] != "quote.v1"]
    first: dict[str, Message] = {}
    for message in known:
        first.setdefault(message["event_id"], message)
    by_schema: defaultdict[str, list[Message]] = defaultdict(list)
    for message in first.values():
        by_schema[message["schema"]].append(message)
    found = Expected(duplicates=len(known) - len(first))
    found.kept.update({schema: len(some) for schema, some in by_schema.items()})
    found.daily = daily(by_schema["bar.v1"])
    trades = sessions(by_schema["trade.v1"])
    final = _newest(by_schema["trade.v1"], lateness)
    found.windows, found.bars = tables(trades, final)
    splits = {
        (m["symbol"], m["data"]["ex_date"]): Decimal(m["data"]["ratio"])
        for m in by_schema["corporate_action.v1"]
        if m["data"]["type"] == "split"
    }
    found.anomalies = _odd(trades, found.daily, splits)
    return found


def sessions(trades: Iterable[Message]) -> dict[Session, list[Print]]:
    """Return the trades that stand and count, by session."""
    found: defaultdict[Session, list[Message]] = defaultdict(list)
    for message in trades:
        found[message["symbol"], message["source"], _day(message)].append(message)
    return {
        session: [p for p in brute_force.standing(some) if p.price > 0 and p.size >= 0]
        for session, some in found.items()
    }


def _day(message: Message) -> str:
    at = datetime.fromisoformat(message["event_time"])
    return at.astimezone(_ZONE).date().isoformat()


def _newest(trades: Iterable[Message], lateness: timedelta) -> dict[str, datetime]:
    """Return up to when rows are final, by source."""
    found: dict[str, datetime] = {}
    for message in trades:
        at = datetime.fromisoformat(message["fetched_at"]) - lateness
        found[message["source"]] = max(at, found.get(message["source"], at))
    return found


def tables(
    trades: Mapping[Session, list[Print]], final: Mapping[str, datetime]
) -> tuple[Table, Table]:
    """Return windows and bars of sessions; rows that end up to ``final`` of their source are so."""
    windows: Table = {}
    bars: Table = {}
    for (symbol, source, day), prints in trades.items():
        key = symbol, source, date.fromisoformat(day)
        found = brute_force.bars(prints, *hours(day))
        for (interval, segment, start), bar in found.items():
            bars[*key, interval, segment, start] = {
                **dict(zip(("open", "high", "low", "close", "volume"), bar[1:6], strict=True)),
                **{"vwap": None if bar.vwap is None else float(bar.vwap), "n_trades": bar.n},
                **{"end_at": bar.end, "is_final": bar.end <= final[source]},
            }
        for row in _windows(prints, found, day):
            end = row.pop("window_end_at")
            windows[*key, end] = row | {"is_final": end <= final[source]}
    return windows, bars


def _windows(
    prints: Sequence[Print], bars: dict[brute_force.Key, brute_force.Bar], day: str
) -> list[Row]:
    open_at, close_at = hours(day)
    ticks = [p.tick for p in prints if open_at <= p.at < close_at]
    if not ticks:
        return []
    rows = brute_force.windows(ticks, open_at, close_at)
    ends = [row["window_end_at"] for row in rows]
    for n in (5, 15, 30):
        means = brute_force.period_means(bars, ends, n)
        for row, mean in zip(rows, means, strict=True):
            row[f"ma_{n}_periods"] = None if mean is None else float(mean)
    return rows


def daily(bars: Iterable[Message]) -> Table:
    """Return the daily metrics of bars in Kafka's order."""
    newest: dict[tuple[Any, ...], Message] = {}
    for message in filter(_is_sound, bars):
        data = message["data"]
        key = message["symbol"], message["source"], date.fromisoformat(data["session_date"])
        if key not in newest or data["as_of"] >= newest[key]["data"]["as_of"]:
            newest[key] = message
    return {key: _daily(message) for key, message in newest.items()}


def _is_sound(message: Message) -> bool:
    data = message["data"]
    prices = [data[name] for name in ("open", "high", "low", "close")]
    if data["interval"] != "1d" or data["adjustment"] not in ("raw", "split") or None in prices:
        return False
    first, high, low, last = map(Decimal, prices)
    return 0 < low <= min(first, last) and max(first, last) <= high and _volume(data) >= 0


def _volume(data: Row) -> Decimal:
    return Decimal(data["volume"] or 0)


def _daily(message: Message) -> Row:
    data, unit = message["data"], Decimal("0.000001")
    row: Row = {
        f"daily_{name}": Decimal(data[name]).quantize(unit, ROUND_HALF_UP)
        for name in ("open", "high", "low", "close")
    }
    volume = None if data["volume"] is None else int(data["volume"])
    change = float((Decimal(data["close"]) / Decimal(data["open"]) - 1) * 100)
    event_id = {"bar_event_id": message["event_id"], "simulated": message["simulated"]}
    return row | {"daily_volume": volume, "daily_change": change} | event_id


def _odd(
    trades: Mapping[Session, list[Print]],
    bars: Table,
    splits: Mapping[tuple[str, str], Decimal],
) -> Table:
    found: Table = {}
    for (symbol, source, day), prints in trades.items():
        mine = bars.get((symbol, source, date.fromisoformat(day)), {})
        before = _BEFORE.get(day)
        last = bars.get((symbol, source, date.fromisoformat(before)), {}) if before else {}
        one = Day(
            day,
            *hours(day),
            low=mine.get("daily_low"),
            high=mine.get("daily_high"),
            close_before=last.get("daily_close"),
            ratio=splits.get((symbol, day), Decimal(1)),
        )
        for rule, subject, value, threshold in anomalies(prints, one):
            key = symbol, source, date.fromisoformat(day), rule, subject
            found[key] = {"value": value, "threshold": threshold}
    return found


def in_time(
    batches: Iterable[Collection[tuple[int, bytes]]], lateness: timedelta
) -> tuple[Expected, Counter[str]]:
    """Return what the stream must say of batches of (partition, trade), and what it leaves out.

    A minute is closed when a batch before has brought a fetch from its partition that is
    ``lateness`` past its end: then a trade for it is late, and a change of one in it unmatched (and
    told when the clock is a minute past the change's own fetch).
    """
    kept: dict[str, Message] = {}
    over: dict[str, datetime] = {}
    left_out, unmatched = Counter[str](), list[tuple[int, Message]]()
    clocks: dict[int, datetime] = {}
    for batch in batches:
        before, closed = dict(clocks), {p: at - lateness for p, at in clocks.items()}
        read = [(partition, json.loads(value)) for partition, value in batch]
        # Within a batch a change may be read before its trade.
        for partition, message in sorted(read, key=lambda one: _is_change(one[1])):
            limit = closed.get(partition, _NEVER)
            meant = message["data"].get("ref") or message["event_id"]
            over.setdefault(meant, _minute_end(message))
            if not _is_change(message) and over[meant] <= limit:
                left_out["late"] += 1
            elif message["event_id"] in kept:
                left_out["duplicate"] += 1
            elif _is_change(message) and (meant not in kept or over[meant] <= limit):
                unmatched.append((partition, message))
            else:
                kept[message["event_id"]] = message
        clocks = _advanced(before, read)
    final = {p: at - lateness for p, at in clocks.items()}
    left_out["unmatched"] = sum(
        datetime.fromisoformat(m["fetched_at"]) + _MINUTE <= final[p] for p, m in unmatched
    )
    found = Expected()
    newest = {"simulator": max(final.values())}
    found.windows, found.bars = tables(sessions(kept.values()), newest)
    return found, +left_out


def _is_change(message: Message) -> bool:
    return bool(message["data"].get("action", "new") != "new")


def _minute_end(message: Message) -> datetime:
    at = datetime.fromisoformat(message["event_time"])
    return at.replace(second=0, microsecond=0) + _MINUTE


def _advanced(
    clocks: dict[int, datetime], read: Iterable[tuple[int, Message]]
) -> dict[int, datetime]:
    found = dict(clocks)
    for partition, message in read:
        at = datetime.fromisoformat(message["fetched_at"])
        found[partition] = max(at, found.get(partition, at))
    return found
