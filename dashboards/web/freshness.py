"""How fresh the shown data are: a badge that ages by itself, with or without a server.

`timeline` says once how the badge will change while no newer data come; `badge` reads it for one
moment, and so does `assets/freshness.js` every second in the browser.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from ingestion.calendar import Calendar

State = Literal[
    "fresh",  # nothing that is due is missing; the market is open, or the newest bar is not due yet
    "late",
    "stale",
    "dead",
    "closed",  # outside of trading hours, complete up to the last session
    "half_day",  # complete, in a session that closes early
    "holiday",  # complete, on a weekday on which the exchange does not open
    "replay",  # recorded or simulated: judged by the build's clock, never by the wall's
    "no_data",  # nothing published, or gold has no feed
    "no_calendar",  # the calendar ends before this moment
    "swapped",  # a newer build is published than the one whose numbers are shown
    "disconnected",  # told by the browser alone: the server has not answered
]
Colour = Literal["green", "amber", "red", "grey", "blue"]
Market = Literal["pre", "open", "post", "closed", "holiday", "unknown"]


class Reads(Protocol):
    """What gold is read with: `dbt_stocks.reader.PinnedBuild` is one."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Feed:
    """A row of gold_freshness; times are aware UTC."""

    source: str
    feed: str
    simulated: bool
    last_event_at: datetime


@dataclass(frozen=True)
class Told:
    """What one published build says; all that the badge depends on beside clock and calendar."""

    build_id: str | None
    now_at: datetime | None
    """The build's own now: the replay clock of recorded and simulated data."""
    built_at: datetime | None
    """Wall clock at which the build was finished."""
    feeds: tuple[Feed, ...] = ()


@dataclass(frozen=True)
class Segment:
    """A period in which nothing of the badge changes but the age."""

    from_at: datetime
    state: State
    colour: Colour
    label: str
    market: Market
    market_label: str
    """The exchange's session in its own time, such as ``Open until 16:00 EST``."""


@dataclass(frozen=True)
class Timeline:
    """How the badge changes while no newer data come."""

    segments: tuple[Segment, ...]
    until_at: datetime
    """Up to when the timeline reaches; a page that is still open then has lost its server."""
    data_at: datetime | None
    """What the age is counted from; None where an age says nothing (replay, no data)."""
    build_id: str | None

    def facts(self, now: datetime) -> Mapping[str, Any]:
        """Return the timeline as JSON for the browser; `now` sets its clock right."""
        raise NotImplementedError


@dataclass(frozen=True)
class Badge:
    """What is shown at one moment."""

    state: State
    colour: Colour
    label: str
    age_s: int | None
    age: str
    """The age as text (``3 min``), empty where there is none."""
    since: datetime
    next_change_at: datetime | None
    market: Market
    market_label: str


def told(build: Reads) -> Told:
    """Read what a build says of its feeds; nothing published is the caller's `BuildError`."""
    raise NotImplementedError


def timeline(now: datetime, calendar: Calendar, said: Told) -> Timeline:
    """Return how the badge changes from `now` on, for `HORIZON`."""
    raise NotImplementedError


def badge(
    now: datetime, calendar: Calendar, said: Told, shown_build_id: str | None = None
) -> Badge:
    """Return the badge of one moment: a pure function.

    `shown_build_id` is the build of the numbers on the page; another than the published one makes
    the badge `swapped`.
    """
    raise NotImplementedError
