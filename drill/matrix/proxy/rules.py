"""Which request a fault is meant for, what is done to it, and the proof that it was done."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec


class Action(StrEnum):
    """What may become of a request, of its answer, or of the connection."""

    ANSWER = "answer"  # with `status`; the store never sees the request
    APPLY_ANSWER = "apply-answer"  # the store applies it; the answer is `status` all the same
    APPLY_RESET = "apply-reset"  # the store applies it; the connection is reset
    APPLY_REPEAT = "apply-repeat"  # the store gets it twice, the client the second answer
    SWALLOW = "swallow"  # the store never sees it, no answer ever comes
    APPLY_SWALLOW = "apply-swallow"  # the store applies it, no answer ever comes
    DELAY_BEFORE = "delay-before"  # by `seconds`, then forwarded
    TRUNCATE = "truncate"  # half of the body, then both connections are cut
    CORRUPT = "corrupt"  # one byte of the body becomes another
    WRONG_CHECKSUM = "wrong-checksum"  # a Content-MD5 is added that is not the body's


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fault for the requests that match; ``count`` bounds how often, None is for ever."""

    name: str
    action: Action
    method: str = ""
    prefix: str = "/"
    probability: float = 1.0
    seed: int = 0
    count: int | None = None
    status: int = 503
    seconds: tuple[float, float] = (0.0, 0.0)

    def matches(self, method: str, path: str) -> bool:
        """Tell whether a request is one of those that this fault is meant for."""
        return self.method in ("", method) and path.startswith(self.prefix)


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """Put these rules in force, where given."""

    rules: list[Rule] | None = None


@dataclass
class Tally:
    """What a rule has done: the requests that matched, the faults, and what the store said."""

    rule: Rule
    matched: int = 0
    done: int = 0
    store: Counter[str] = field(default_factory=Counter)
    """Status that the store gave to a request that was tampered with, to times."""

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for a report."""
        return {
            "rule": self.rule.name,
            "matched": self.matched,
            "done": self.done,
            "store": dict(self.store),
        }


@dataclass
class Fault:
    """A fault that is being done to one request, with the numbers drawn for it."""

    tally: Tally
    seconds: float

    @property
    def rule(self) -> Rule:
        return self.tally.rule


class RuleBook:
    """The rules in force; the first that matches and whose draw says so is applied."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._entries: list[tuple[Tally, random.Random]] = []
        self.requests = 0
        self.replace(rules)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Put other rules in force, with counts from 0."""
        self._entries = [(Tally(rule), random.Random(rule.seed)) for rule in rules]  # noqa: S311 - a seed
        self.requests = 0

    def choose(self, method: str, path: str) -> Fault | None:
        """Return the fault for this request, counted as done; None where it is let through."""
        self.requests += 1
        for tally, draw in self._entries:
            rule = tally.rule
            if not rule.matches(method, path) or tally.done == rule.count:
                continue
            tally.matched += 1
            if draw.random() < rule.probability:
                tally.done += 1
                return Fault(tally, draw.uniform(*rule.seconds))
        return None

    def obey(self, line: bytes) -> dict[str, Any]:
        """Follow an order of the control port; return what the rules before it have done.

        Raises:
            DecodeError: it is not an order.
        """
        order = msgspec.json.decode(line, type=Order)
        tallies = [tally.as_dict() for tally, _ in self._entries]
        answer = {"requests": self.requests, "tallies": tallies}
        if order.rules is not None:
            self.replace(order.rules)
        return answer
