"""What the servers say that they handed out, against what is in Kafka.

It shares no code with the adapters: JSON from the servers' control endpoint on one side, the
records' bytes on the other. Numbers are compared as decimals.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

FIRST: Final = {"bars": "yahoo", "quotes": "finnhub"}
SECOND: Final = "alphavantage"
_ASKED: Final = {"bars": "chart", "quotes": "quote"}
_DECIMALS: Final = Decimal("1e-18")
# What a killed process had read and not yet put into its spool, with what waited in its socket.
KILLED_S: Final = 1.5
_SHOWN: Final = 5

Value = Decimal | str | None


class Fact(NamedTuple):
    """One thing that was said: by whom, what it is, of which symbol and time, with which values."""

    provider: str
    kind: str
    symbol: str
    time: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Record:
    """A record of Kafka."""

    topic: str
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)
    key: bytes = b""


@dataclass(frozen=True)
class Window:
    """A time in which a provider's port was closed, in epoch seconds."""

    provider: str
    start: float
    end: float


@dataclass(frozen=True)
class Ended:
    """A producer that was ended in the middle: which one, by which signal, in epoch seconds."""

    name: str
    signal: str
    at: float


@dataclass(frozen=True)
class Truth:
    """What the servers' control endpoint says, decoded by `decoded`, and what was done to them.

    ``days`` are the first and last session date of the bars that were asked for. ``speed`` is how
    many market seconds a real one has, ``grace_s`` how long after its death a provider may still be
    left alone.
    """

    observations: Sequence[Mapping[str, Any]]
    requests: Sequence[Mapping[str, Any]]
    violations: Sequence[Mapping[str, Any]]
    disturbances: Sequence[Mapping[str, Any]]
    counts: Mapping[str, Any]
    days: tuple[str, str]
    speed: float
    dead: Sequence[Window] = ()
    ended: Sequence[Ended] = ()
    secrets: Sequence[str] = ()
    grace_s: float = 0.0


@dataclass
class Verdict:
    """What was found wrong, a line each, and what was counted."""

    wrong: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def require(self, is_right: bool, text: str) -> None:
        if not is_right:
            self.wrong.append(text)


def decoded(document: bytes | str) -> Any:  # noqa: ANN401 - JSON
    """Return a JSON document with every number as a decimal of the digits that were sent."""
    return json.loads(document, parse_float=Decimal, parse_int=Decimal)


def judge(truth: Truth, records: Sequence[Record], texts: Mapping[str, bytes]) -> Verdict:
    """Compare all; ``texts`` are logs and files by name, in which no key may occur."""
    verdict = Verdict()
    letters = [record for record in records if record.topic.endswith("-dlq")]
    messages = [decoded(record.value) for record in records if record not in letters]
    _ids(messages, verdict)
    _complete(truth, messages, verdict)
    _budgets(truth, verdict)
    _fail_over(truth, messages, verdict)
    _letters(truth, letters, verdict)
    _secrets(truth, records, texts, verdict)
    return verdict


def unplayed(truth: Truth) -> list[str]:
    """Return which of the hour's faults did not happen: of those it has proved nothing."""
    answers = truth.counts["answers"]
    refusals = [
        one
        for one in truth.requests
        if (one["provider"], one["status"], one["observations"]) == (SECOND, "200", 0)
    ]
    happened = {
        "a wave of 429 by yahoo": answers.get("yahoo.429", 0) > 0,
        "a wave of 429 by finnhub": answers.get("finnhub.429", 0) > 0,
        "an error with status 200": bool(refusals),
        "a mute socket": truth.counts["withheld"] > 0,
        "a body that is none": any(one["kind"] == "quote" for one in truth.disturbances),
        "a frame that is none": any(one["kind"] == "stream" for one in truth.disturbances),
        "a dead provider": bool(truth.dead),
        "a producer that was killed": any(one.signal == "KILL" for one in truth.ended),
    }
    return [name for name, has_happened in happened.items() if not has_happened]


def _ids(messages: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
    """Copies are of one event: one id is one fact."""
    facts: dict[str, set[Fact]] = defaultdict(set)
    for message in messages:
        facts[message["event_id"]].add(_fact(message))
    mixed = [event_id for event_id, found in facts.items() if len(found) > 1]
    verdict.require(not mixed, f"{len(mixed)} ids with different values: {mixed[:_SHOWN]}")
    verdict.figures |= {
        "messages": len(messages),
        "events": len(facts),
        "copies": len(messages) - len(facts),
    }


def _complete(truth: Truth, messages: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
    """Each observation is one event, each event an observation; two equal trades are two."""
    events = {message["event_id"]: _fact(message) for message in messages}
    found = Counter(events.values())
    handed: Counter[Fact] = Counter()
    for observation in truth.observations:
        for fact in _facts(observation, truth.days):
            # Other things than trades are one event however often they are handed out.
            handed[fact] = handed[fact] + 1 if fact.kind == "trade" else 1
    missing, surplus = handed - found, found - handed
    in_flight = _in_flight(truth, missing)
    verdict.figures |= {
        "observations": handed.total(),
        "lost_to_a_kill": in_flight.total(),
        "withheld": int(truth.counts.get("withheld", 0)),
    }
    missing -= in_flight
    for name, wrong in (("handed out and not in Kafka", missing), ("never handed out", surplus)):
        shown = [tuple(fact) for fact in list(wrong)[:_SHOWN]]
        verdict.require(not wrong, f"{wrong.total()} {name}: {shown}")


def _in_flight(truth: Truth, missing: Counter[Fact]) -> Counter[Fact]:
    """Return the missing trades that were last on a connection whose process was killed."""
    kills = [each.at for each in truth.ended if (each.name, each.signal) == ("trades", "KILL")]
    opened = [_epoch(one) for one in truth.requests if one["kind"] == "stream"]
    by_connection: dict[str, list[tuple[int, Fact]]] = defaultdict(list)
    for observation in truth.observations:
        if observation["kind"] == "trade":
            name = observation["identity"].split("/")[0]
            fact = next(_facts(observation, truth.days))
            by_connection[name].append((int(fact.time), fact))
    found: Counter[Fact] = Counter()
    for number, at in enumerate(sorted(opened)):
        following = min((other for other in opened if other > at), default=float("inf"))
        if any(at < kill < following for kill in kills):
            trades = by_connection.get(f"finnhub-{number + 1}", [])
            last = max((time for time, _ in trades), default=0)
            since = last - KILLED_S * truth.speed * 1_000
            found.update(fact for time, fact in trades if time >= since)
    return missing & found


def _budgets(truth: Truth, verdict: Verdict) -> None:
    shown = [f"{one['provider']} {one['kind']} {one['at']}" for one in truth.violations[:_SHOWN]]
    verdict.require(not truth.violations, f"{len(truth.violations)} requests over a limit: {shown}")
    verdict.figures["requests"] = len(truth.requests)


def _fail_over(truth: Truth, messages: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
    for unit, first in FIRST.items():
        asked = [
            (_epoch(one), one["observations"] == 0)
            for one in truth.requests
            if (one["provider"], one["kind"]) == (first, _ASKED[unit])
        ]
        dead = [window for window in truth.dead if window.provider == first]
        mine = [message for message in messages if _unit(message) == unit]
        second = [_time(one["fetched_at"]) for one in mine if one["source"] == SECOND]
        unfounded = [
            at for at in second if not _has_failed(at, asked) and not _is_dead(at, dead, truth)
        ]
        verdict.require(
            not unfounded, f"{len(unfounded)} {unit} of {SECOND} while {first} was there"
        )
        for window in dead:
            inside = [one for one in mine if window.start < _time(one["fetched_at"]) < window.end]
            by = Counter(one["source"] for one in inside)
            verdict.require(by[first] == 0, f"{by[first]} {unit} of {first} while it was dead")
            verdict.require(by[SECOND] > 0, f"no {unit} of {SECOND} while {first} was dead")
        verdict.figures[f"{unit}_of_{SECOND}"] = len(second)
        verdict.figures[f"{unit}_of_{first}"] = len(mine) - len(second)


def _has_failed(at: float, asked: Iterable[tuple[float, bool]]) -> bool:
    """Tell whether the first provider's last answer before a moment was none."""
    before = [(moment, is_none) for moment, is_none in asked if moment <= at]
    return bool(before) and max(before)[1]


def _is_dead(at: float, dead: Sequence[Window], truth: Truth) -> bool:
    return any(window.start <= at <= window.end + truth.grace_s for window in dead)


def _letters(truth: Truth, letters: Sequence[Record], verdict: Verdict) -> None:
    given = Counter(one["sha256"] for one in truth.disturbances)
    found = Counter(hashlib.sha256(letter.value).hexdigest() for letter in letters)
    verdict.figures |= {"disturbances": given.total(), "letters": found.total()}
    missing, surplus = (given - found).total(), (found - given).total()
    verdict.require(missing == 0, f"{missing} refused bodies are no dead letter")
    bodies = [
        letter.value[:200]
        for letter in letters
        if hashlib.sha256(letter.value).hexdigest() not in given
    ]
    verdict.require(surplus == 0, f"{surplus} dead letters that nobody sent: {bodies[:_SHOWN]}")


def _secrets(
    truth: Truth, records: Sequence[Record], texts: Mapping[str, bytes], verdict: Verdict
) -> None:
    for secret in truth.secrets:
        key = secret.encode()
        told = [name for name, text in texts.items() if key in text]
        told += [
            record.topic
            for record in records
            if any(key in part for part in (record.value, record.key, *record.headers.values()))
        ]
        verdict.require(not told, f"a key is told in {sorted(set(told))}")


def _facts(observation: Mapping[str, Any], days: tuple[str, str]) -> Iterator[Fact]:
    """Return what an observation should be in Kafka; bars beyond the days were not asked for."""
    kind, provider = observation["kind"], observation["provider"]
    symbol, time, values = observation["symbol"], observation["time"], observation["values"]
    if kind in ("trade", "quote"):
        yield Fact(provider, kind, symbol, time if kind == "trade" else "", tuple(values))
        return
    day = _day(time)
    if not days[0] <= day <= days[1]:
        return
    if kind == "dividend":
        yield Fact(provider, kind, symbol, day, (_number(values[0]),))
    elif kind == "split":
        yield Fact(provider, kind, symbol, day, (_number(values[0] / values[1]),))
    elif kind == "bar.1d":
        yield Fact(provider, "bar", symbol, day, tuple(_number(value) for value in values))
    elif kind == "bar.1d.adjusted":
        opening, high, low, close, adjusted, volume, amount, ratio = map(_number, values)
        yield Fact(provider, "bar", symbol, day, (opening, high, low, close, volume, adjusted))
        if amount:
            yield Fact(provider, "dividend", symbol, day, (amount,))
        if ratio != 1:
            yield Fact(provider, "split", symbol, day, (ratio,))
    else:
        raise ValueError(f"expected a known kind of observation, found {kind}")


def _fact(message: Mapping[str, Any]) -> Fact:
    provider, symbol, data = message["source"], message["symbol"], message["data"]
    schema = message["schema"]
    if schema == "quote.v1":
        # Both providers' fields are in the order of their names.
        return Fact(provider, "quote", symbol, "", tuple(data[name] for name in sorted(data)))
    if schema == "trade.v1":
        ms = round(_time(message["event_time"]) * 1_000)
        values = Decimal(data["price"]), Decimal(data["size"])
        return Fact(provider, "trade", symbol, str(ms), values)
    if schema == "bar.v1":
        names = "open", "high", "low", "close", "volume", "adj_close"
        values_ = tuple(_number(data[name]) for name in names)
        return Fact(provider, "bar", symbol, data["session_date"], values_)
    kind = data["type"]
    value = data["ratio" if kind == "split" else "amount"]
    return Fact(provider, kind, symbol, data["ex_date"], (_number(value),))


def _unit(message: Mapping[str, Any]) -> str | None:
    return {"bar.v1": "bars", "quote.v1": "quotes"}.get(message["schema"])


def _number(value: Decimal | str | None) -> Decimal | None:
    """Return a number to the contract's last decimal."""
    return None if value is None else Decimal(value).quantize(_DECIMALS).normalize()


def _day(time: str) -> str:
    """Return the day of a date, or of an epoch second within a session in New York."""
    if "-" in time:
        return time
    return datetime.fromtimestamp(int(time), UTC).date().isoformat()


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _epoch(request: Mapping[str, Any]) -> float:
    return _time(request["at"])
