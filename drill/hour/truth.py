"""What is judged: the servers' word and what was done to them, and Kafka's records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Record:
    """A record of Kafka."""

    topic: str
    value: bytes
    headers: Mapping[str, bytes] = field(default_factory=dict)
    key: bytes = b""


@dataclass(frozen=True)
class Window:
    """A time in which a provider's port was closed or its stream mute, in epoch seconds."""

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

    ``days`` are the first and last session date of the bars that were asked for. ``limits`` are
    each provider's, as the servers have them. ``speed`` is how many market seconds a real one has,
    ``grace_s`` how long after its death a provider may still be left alone. ``mute_told`` is how
    many mute connections the producers of trades have told of.
    """

    observations: Sequence[Mapping[str, Any]]
    requests: Sequence[Mapping[str, Any]]
    violations: Sequence[Mapping[str, Any]]
    disturbances: Sequence[Mapping[str, Any]]
    counts: Mapping[str, Any]
    days: tuple[str, str]
    speed: float
    limits: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    dead: Sequence[Window] = ()
    mute: Sequence[Window] = ()
    mute_told: int = 0
    ended: Sequence[Ended] = ()
    secrets: Sequence[str] = ()
    grace_s: float = 0.0
