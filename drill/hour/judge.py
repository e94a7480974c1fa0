"""What the servers say that they handed out, against what is in Kafka.

JSON from the servers' control endpoint is on one side, the records' bytes are on the other.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from drill.hour.facts import Fact, decoded, fact_of, handed_out, seconds
from drill.hour.truth import Ended, Record, Truth, Window

FIRST: Final = {"bars": "yahoo", "quotes": "finnhub"}
SECOND: Final = "alphavantage"
_ASKED: Final = {"bars": "chart", "quotes": "quote"}
# What a killed process had read and not yet put into its spool, with what waited in its socket.
KILLED_S: Final = 1.5
# What Kafka had confirmed to a killed process and its spool may not have forgotten yet.
RESENT_S: Final = 5.0
# By the producer that makes them.
_SCHEMAS: Final = {
    "bar.v1": "bars",
    "corporate_action.v1": "bars",
    "quote.v1": "quotes",
    "trade.v1": "trades",
}
# A request that was under way when a port closed may still be answered.
CLOSING_S: Final = 1.0
# A request arrives later than it was sent, and not always equally late.
SLACK_S: Final = 0.05
_SHOWN: Final = 5


@dataclass
class Verdict:
    """What was found wrong, a line each, and what was counted."""

    wrong: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)

    def require(self, is_right: bool, text: str) -> None:
        if not is_right:
            self.wrong.append(text)


def judge(truth: Truth, records: Sequence[Record], texts: Mapping[str, bytes]) -> Verdict:
    """Compare all; ``texts`` are logs and files by name, in which no key may occur."""
    verdict = Verdict()
    letters = [record for record in records if record.topic.endswith("-dlq")]
    bodies = Counter(record.value for record in records if not record.topic.endswith("-dlq"))
    messages = [decoded(body) for body in bodies]
    verdict.figures["messages"] = bodies.total()
    _ids(messages, verdict)
    handed = _given(truth)
    _complete(truth, messages, handed, verdict)
    _once(messages, handed, verdict)
    _sent_again(truth, [*zip(messages, bodies.values(), strict=True)], verdict)
    _budgets(truth, verdict)
    _fail_over(truth, messages, verdict)
    _watchdog(truth, verdict)
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
        facts[message["event_id"]].add(fact_of(message))
    mixed = [event_id for event_id, found in facts.items() if len(found) > 1]
    verdict.require(not mixed, f"{len(mixed)} ids with different values: {mixed[:_SHOWN]}")
    verdict.figures |= {"events": len(facts), "copies": verdict.figures["messages"] - len(facts)}


def _given(truth: Truth) -> Counter[Fact]:
    """Return how often each thing was handed out."""
    handed: Counter[Fact] = Counter()
    for observation in truth.observations:
        for fact in handed_out(observation, truth.days):
            handed[fact] += int(observation["times"])
    return handed


def _complete(
    truth: Truth,
    messages: Sequence[Mapping[str, Any]],
    handed: Counter[Fact],
    verdict: Verdict,
) -> None:
    """Each observation is one event, each event an observation; two equal trades are two."""
    events = {message["event_id"]: fact_of(message) for message in messages}
    found = Counter(events.values())
    # Other things than trades are one event however often they are handed out.
    told = Counter({fact: n if fact.kind == "trade" else 1 for fact, n in handed.items()})
    missing, surplus = told - found, found - told
    in_flight = _in_flight(truth, missing)
    verdict.figures |= {
        "observations": told.total(),
        "lost_to_a_kill": in_flight.total(),
        "withheld": int(truth.counts.get("withheld", 0)),
    }
    missing -= in_flight
    for name, wrong in (("handed out and not in Kafka", missing), ("never handed out", surplus)):
        shown = [tuple(fact) for fact in list(wrong)[:_SHOWN]]
        verdict.require(not wrong, f"{wrong.total()} {name}: {shown}")


def _once(messages: Sequence[Mapping[str, Any]], handed: Counter[Fact], verdict: Verdict) -> None:
    """A message is made each time that a thing is handed out, and not more often."""
    made = Counter(fact for fact in map(fact_of, messages) if fact in handed)
    shown = [tuple(fact) for fact in list(made - handed)[:_SHOWN]]
    text = f"{(made - handed).total()} messages more than what they tell was handed out: {shown}"
    verdict.require(made <= handed, text)


def _sent_again(
    truth: Truth, counted: Sequence[tuple[Mapping[str, Any], int]], verdict: Verdict
) -> None:
    """The same bytes are there twice only where a process was killed before it forgot them."""
    twice = [(message, count - 1) for message, count in counted if count > 1]
    unfounded = [message for message, more in twice if more > len(_kills_after(truth, message))]
    shown = [f"{one['schema']} {one['symbol']} {one['fetched_at']}" for one in unfounded[:_SHOWN]]
    verdict.require(not unfounded, f"{len(unfounded)} messages sent twice for no kill: {shown}")
    verdict.figures["sent_again_after_a_kill"] = sum(more for _, more in twice)


def _kills_after(truth: Truth, message: Mapping[str, Any]) -> list[Ended]:
    """Return the kills that a message's producer met soon after it had made it."""
    name, made_at = _SCHEMAS[message["schema"]], seconds(message["fetched_at"])
    return [
        one
        for one in truth.ended
        if (one.name, one.signal) == (name, "KILL") and 0 <= one.at - made_at <= RESENT_S
    ]


def _in_flight(truth: Truth, missing: Counter[Fact]) -> Counter[Fact]:
    """Return the missing trades that were last on a connection whose process was killed."""
    kills = [each.at for each in truth.ended if (each.name, each.signal) == ("trades", "KILL")]
    opened = _opened(truth)
    by_connection: dict[str, list[tuple[int, Fact]]] = defaultdict(list)
    for observation in truth.observations:
        if observation["kind"] == "trade":
            name = observation["identity"].split("/")[0]
            fact = next(handed_out(observation, truth.days))
            by_connection[name].append((int(fact.time), fact))
    found: Counter[Fact] = Counter()
    for number, at in enumerate(opened):
        following = min((other for other in opened if other > at), default=float("inf"))
        if any(at < kill < following for kill in kills):
            trades = by_connection.get(f"finnhub-{number + 1}", [])
            last = max((time for time, _ in trades), default=0)
            since = last - KILLED_S * truth.speed * 1_000
            found.update(fact for time, fact in trades if time >= since)
    return missing & found


def _opened(truth: Truth) -> list[float]:
    """Return when each connection of trades was opened; those that were refused are none."""
    accepted = "finnhub", "stream", "stream"
    return sorted(
        _epoch(one)
        for one in truth.requests
        if (one["provider"], one["kind"], one["status"]) == accepted
    )


def _budgets(truth: Truth, verdict: Verdict) -> None:
    """No request is over a limit: by the servers' judgement, and counted again from their log."""
    shown = [f"{one['provider']} {one['kind']} {one['at']}" for one in truth.violations[:_SHOWN]]
    verdict.require(not truth.violations, f"{len(truth.violations)} requests over a limit: {shown}")
    verdict.figures["requests"] = len(truth.requests)
    for provider, limits in truth.limits.items():
        # Cookies and crumbs are no one's budget.
        at = [
            float(one["elapsed_s"])
            for one in truth.requests
            if one["provider"] == provider and one["kind"] != "session"
        ]
        for limit in limits:
            most, seconds = _busiest(at, limit["seconds"] - SLACK_S), limit["seconds"]
            verdict.figures[f"{provider}_most_in_{seconds:g}_s"] = most
            verdict.require(
                most <= limit["requests"],
                f"{most} requests over a limit: {provider} allows {limit['requests']:g} in "
                f"{seconds:g} s",
            )


def _busiest(moments: Sequence[float], seconds: float) -> int:
    """Return the most moments within any window of so many seconds."""
    ordered, first, most = sorted(moments), 0, 0
    for number, at in enumerate(ordered):
        while ordered[first] <= at - seconds:
            first += 1
        most = max(most, number - first + 1)
    return most


def _fail_over(truth: Truth, messages: Sequence[Mapping[str, Any]], verdict: Verdict) -> None:
    for unit, first in FIRST.items():
        asked = [
            (_epoch(one), one["observations"] == 0)
            for one in truth.requests
            if (one["provider"], one["kind"]) == (first, _ASKED[unit])
        ]
        dead = [window for window in truth.dead if window.provider == first]
        mine = [message for message in messages if _unit(message) == unit]
        second = [seconds(one["fetched_at"]) for one in mine if one["source"] == SECOND]
        unfounded = [
            at for at in second if not _has_failed(at, asked) and not _is_dead(at, dead, truth)
        ]
        verdict.require(
            not unfounded, f"{len(unfounded)} {unit} of {SECOND} while {first} was there"
        )
        for window in dead:
            closed = window.start + CLOSING_S
            inside = [one for one in mine if closed < seconds(one["fetched_at"]) < window.end]
            by = Counter(one["source"] for one in inside)
            verdict.require(by[first] == 0, f"{by[first]} {unit} of {first} while it was dead")
            verdict.require(by[SECOND] > 0, f"no {unit} of {SECOND} while {first} was dead")
            reached = sum(closed < at < window.end for at, _ in asked)
            verdict.require(reached == 0, f"{reached} requests reached {first} while it was dead")
        verdict.figures[f"{unit}_of_{SECOND}"] = len(second)
        verdict.figures[f"{unit}_of_{first}"] = len(mine) - len(second)


def _has_failed(at: float, asked: Iterable[tuple[float, bool]]) -> bool:
    """Tell whether the first provider's last answer before a moment was none."""
    before = [(moment, is_none) for moment, is_none in asked if moment <= at]
    return bool(before) and max(before)[1]


def _is_dead(at: float, dead: Sequence[Window], truth: Truth) -> bool:
    return any(window.start <= at <= window.end + truth.grace_s for window in dead)


def _watchdog(truth: Truth, verdict: Verdict) -> None:
    """A mute connection is left for another one: the servers saw it come, the producer says why."""
    opened = _opened(truth)
    ends = [one.at for one in truth.ended if one.name == "trades"]
    started = {min((at for at in opened if at > end), default=None) for end in [0.0, *ends]}
    seen = sum(
        any(window.start < at < window.end for window in truth.mute)
        for at in opened
        if at not in started
    )
    verdict.figures |= {"mute_left": seen, "mute_told": truth.mute_told}
    verdict.require(
        not truth.mute or 0 < seen == truth.mute_told,
        f"expected each mute connection to be left for another one, found {seen} new ones while "
        f"the stream was mute, and {truth.mute_told} told of by the producer",
    )


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


def _unit(message: Mapping[str, Any]) -> str | None:
    return {"bar.v1": "bars", "quote.v1": "quotes"}.get(message["schema"])


def _epoch(request: Mapping[str, Any]) -> float:
    return seconds(request["at"])
