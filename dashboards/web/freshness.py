"""How fresh the shown data are: a badge that ages by itself, with or without a server.

`timeline` works out once how the badge will change while no newer data come; `badge` reads it for
one moment, and `assets/freshness.js` does so every second in the browser. Live feeds are judged by
the wall clock against the exchange's sessions, recorded and simulated ones by the build's own
clock: a replay of 2013 is not stale, and says of when it is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, Protocol, overload

from dashboards.web.exchange import ExchangeClock, Market, clock_of
from dashboards.web.exchange import State as MarketState
from ingestion.calendar import Calendar

State = Literal[
    "fresh",  # nothing that is due is missing, and something more is expected of today
    "half_day",  # the same, in a session that closes early
    "closed",  # the market is not open, and all of the last session is there
    "holiday",  # the same, on a weekday on which the exchange does not open
    "late",
    "stale",
    "dead",
    "replay",  # recorded or simulated data
    "no_data",  # nothing is published, or no feed of prices
    "no_calendar",  # the calendar ends before this moment: nothing can be said to be due
    "swapped",  # a newer build is published than the one whose numbers are shown
    "unreadable",  # numbers are shown, and gold can no longer be read
    "disconnected",  # told by the browser alone: the server has not answered
]
Colour = Literal["green", "amber", "red", "grey", "blue"]

COLOURS: Final[Mapping[State, Colour]] = {
    "fresh": "green",
    "half_day": "green",
    "closed": "grey",
    "holiday": "grey",
    "late": "amber",
    "stale": "red",
    "dead": "red",
    "replay": "blue",
    "no_data": "grey",
    "no_calendar": "amber",
    "swapped": "amber",
    "unreadable": "red",
    "disconnected": "red",
}


class Schedule(NamedTuple):
    """When a feed is due, and how much trading time without an event makes it late, stale, dead.

    `due` and `late` are gold's (`feed_schedules()`), so that what gold calls late is late here. The
    rest is for somebody who looks at prices: a screen cannot wait until five sessions are missing.
    """

    due: timedelta
    late: timedelta | None = None
    stale: timedelta | None = None
    dead: timedelta | None = None


_SESSION: Final = timedelta(hours=6.5)
# Feeds of prices; corporate actions come when something happens, and are due at no time.
SCHEDULES: Final[Mapping[str, Schedule]] = {
    "daily_bars": Schedule(timedelta(hours=6)),
    "intraday_bars": Schedule(timedelta(hours=1), timedelta(hours=2), timedelta(hours=4), _SESSION),
    "quotes": Schedule(timedelta(hours=1), timedelta(minutes=15), timedelta(hours=1), _SESSION),
    "windows": Schedule(timedelta(hours=1), timedelta(minutes=30), timedelta(hours=1), _SESSION),
}
# Sessions that are due and missing; six is what gold calls stale (`feed_stale_sessions` is five).
MISSING: Final[Mapping[State, int]] = {"late": 1, "stale": 2, "dead": 6}
# Sources that nobody expects at any time, as gold's `unscheduled_sources`.
REPLAYS: Final = frozenset({"recorded"})

# How far a timeline reaches: longer than any page outlives its server unnoticed.
HORIZON: Final = timedelta(days=14)
# The browser asks every five seconds; three answers that fail to come are no accident.
DISCONNECTED_AFTER_S: Final = 20
_BAD: Final[tuple[State, ...]] = ("late", "stale", "dead")
# By gold_kpi.price_kind.
_FEED_OF_PRICE: Final = {"bar": "daily_bars", "quote": "quotes"}
_NAMES: Final = {
    "daily_bars": "daily bars",
    "intraday_bars": "intraday bars",
    "quotes": "quotes",
    "windows": "trades",
}


class Reads(Protocol):
    """What gold is read with: `dbt_stocks.reader.PinnedBuild` is one."""

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class Feed:
    """A row of gold_freshness; `last_event_at` is aware UTC."""

    source: str
    feed: str
    simulated: bool
    last_event_at: datetime

    @property
    def is_replay(self) -> bool:
        """Whether nobody expects it at any time."""
        return self.simulated or self.source in REPLAYS


@dataclass(frozen=True)
class Told:
    """What one published build says: all that the badge depends on beside clock and calendar."""

    build_id: str | None = None
    now_at: datetime | None = None
    """The build's own now: the replay clock of recorded and simulated data."""
    built_at: datetime | None = None
    """Wall clock at which the build was finished."""
    feeds: tuple[Feed, ...] = ()
    problem: str = "Nothing is published yet"
    """Why there are no feeds, where no build could be read."""


@dataclass(frozen=True)
class Segment:
    """A period in which nothing of the badge changes but the age."""

    from_at: datetime
    since_at: datetime
    """When the state, which may last for several segments, began."""
    state: State
    label: str
    market: MarketState
    market_label: str
    """The exchange's session in its own time, such as ``Open until 16:00 EST``."""
    data_at: datetime | None
    """What the age is counted from: the newest event of what the label speaks of."""

    def same(self, other: "Segment") -> bool:
        """Whether another one shows the same."""
        return replace(other, from_at=self.from_at, since_at=self.since_at) == self


class Mark(NamedTuple):
    """What is written beside a price from a moment on; without text nothing."""

    from_ms: int
    colour: Colour
    text: str


@dataclass(frozen=True)
class Badge:
    """What is shown at one moment; `age` is empty where an age says nothing."""

    state: State
    colour: Colour
    label: str
    age_s: int | None
    age: str
    since: datetime
    next_change_at: datetime | None
    market: MarketState
    market_label: str


@dataclass(frozen=True)
class Timeline:
    """How the badge changes while no newer data come, in order; never empty."""

    segments: tuple[Segment, ...]
    until_at: datetime
    told: Told

    def at(self, now: datetime, shown_build_id: str | None = None) -> Badge:
        """Return the badge of a moment within the timeline.

        `shown_build_id` is the build of the numbers on the page; where another one is published
        the badge is `swapped`, whatever it would be else, and where none can be read `unreadable`.
        """
        begun = [one for one in self.segments if one.from_at <= now]
        here = begun[-1] if begun else self.segments[0]
        later = self.segments[len(begun) :]
        state, label = here.state, here.label
        if shown_build_id is not None and self.told.build_id is None:
            state = "unreadable"
        elif shown_build_id is not None and shown_build_id != self.told.build_id:
            state, label = "swapped", SWAPPED
        age = None if here.data_at is None else max(0, (now - here.data_at) // _SECOND)
        return Badge(
            state,
            COLOURS[state],
            label,
            age,
            "" if age is None else age_text(age),
            here.since_at,
            later[0].from_at if later else None,
            here.market,
            here.market_label,
        )

    def facts(self, now: datetime) -> dict[str, Any]:
        """Return what the browser needs to age the badge alone: JSON, times in ms since 1970.

        `now` is the server's clock, by which the browser sets its own right.
        """
        begun = sum(one.from_at <= now for one in self.segments)
        return {
            "served_at_ms": _ms(now),
            "until_ms": _ms(self.until_at),
            "build_id": self.told.build_id,
            "built_at_ms": _ms(self.told.built_at),
            "disconnected_after_s": DISCONNECTED_AFTER_S,
            "swapped_label": SWAPPED,
            "colours": dict(COLOURS),
            "segments": [_segment(one) for one in self.segments[max(0, begun - 1) :]],
        }


SWAPPED: Final = "A newer build is published; these numbers are of the one before"
_SECOND: Final = timedelta(seconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def told(build: Reads) -> Told:
    """Return what a published build says of its feeds."""
    rows = build.query(
        "select source, feed, simulated, build_id, last_event_at, checked_at "
        "from gold.gold_freshness order by feed, source"
    )
    [published] = build.query("select build_id, as_of, finished_at from ops.builds")
    feeds = (
        Feed(row["source"], row["feed"], row["simulated"], utc(row["last_event_at"]))
        for row in rows
    )
    return Told(
        published["build_id"],
        utc(published["as_of"]) if published["as_of"] else None,
        utc(published["finished_at"]) if published["finished_at"] else None,
        tuple(feeds),
    )


def utc(moment: datetime) -> datetime:
    """Return a time of gold, which is UTC without saying so, as an aware one."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def badge(
    now: datetime, calendar: Calendar, said: Told, shown_build_id: str | None = None
) -> Badge:
    """Return the badge of one moment: a pure function; see `Timeline.at`."""
    return timeline(now, calendar, said).at(now, shown_build_id)


def timeline(now: datetime, calendar: Calendar, said: Told) -> Timeline:
    """Return how the badge changes from the newest event on until `HORIZON` after `now`."""
    feeds = [*_best(one for one in said.feeds if one.feed in SCHEDULES)]
    start = min([now, *(one.last_event_at for one in feeds if not one.is_replay)])
    return _timeline(clock_of(calendar), now, said, feeds, start)


def _timeline(
    clock: ExchangeClock, now: datetime, said: Told, feeds: Sequence[Feed], start: datetime
) -> Timeline:
    until = now + HORIZON
    live = [one for one in feeds if not one.is_replay]
    if not feeds:
        return Timeline((_nothing(clock, now, said),), until, said)
    if not live:
        return Timeline((_replay(clock, now, said, feeds),), until, said)
    moments = {start, *(one for one in _moments(clock, live, start, until) if start < one < until)}
    return Timeline(tuple(_joined(_judged(clock, live, at) for at in sorted(moments))), until, said)


def marks_of_price(
    now: datetime, clock: ExchangeClock, kind: str, source: str, simulated: bool, price_at: datetime
) -> list[Mark]:
    """Return how one price is marked from `now` on, by the limits of the feed that it came by.

    The badge judges whole feeds, which go on where those of one instrument have stopped. `kind` is
    gold_kpi.price_kind. A bar that is still forming has not arrived: the one before it has.
    """
    if kind == "bar":
        price_at = clock.sessions[max(0, clock.ended(price_at))].close_at
    feed = Feed(source, _FEED_OF_PRICE[kind], simulated, price_at)
    line = _timeline(clock, now, Told(feeds=(feed,)), (feed,), now)
    marks: list[Mark] = []
    for one in line.segments:
        text = one.label if one.state in _BAD else ""
        if not marks or marks[-1].text != text:
            # The first has no beginning: with that of now the same price would be told anew.
            from_ms = _ms(one.from_at) if marks else 0
            marks.append(Mark(from_ms, COLOURS[one.state], text))
    return marks


def age_text(seconds: int) -> str:
    """Return an age as the badge shows it, such as ``3 min``."""
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400} days"


def _best(feeds: Iterable[Feed]) -> Iterator[Feed]:
    """Yield the source of each feed that is furthest, real before replayed.

    A provider that is asked only when another one fails does not make the page late.
    """
    found: dict[str, Feed] = {}
    for one in feeds:
        other = found.get(one.feed)
        if other is None or _rank(other) < _rank(one):
            found[one.feed] = one
    yield from found.values()


def _rank(feed: Feed) -> tuple[bool, bool, datetime]:
    return not feed.is_replay, not feed.simulated, feed.last_event_at


def _moments(
    clock: ExchangeClock, feeds: Sequence[Feed], start: datetime, until: datetime
) -> Iterator[datetime]:
    """Yield all moments at which a badge can change; more do no harm."""
    yield clock.ends_at
    yield from clock.changes(start, until)
    for feed in feeds:
        schedule = SCHEDULES[feed.feed]
        for number in range(clock.begun(feed.last_event_at), clock.begun(until) + 1):
            yield clock.sessions[max(0, number)].close_at + schedule.due
        traded = clock.trading(feed.last_event_at)
        for limit in (schedule.late, schedule.stale, schedule.dead):
            crossed = None if limit is None else clock.when(traded + limit)
            if crossed is not None:
                yield crossed


def _joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Yield segments that differ from the one before, with the beginning of their state."""
    before: Segment | None = None
    for one in segments:
        if before is not None and one.state == before.state:
            one = replace(one, since_at=before.since_at)
        if before is None or not one.same(before):
            before = one
            yield one


def _judged(clock: ExchangeClock, feeds: Sequence[Feed], at: datetime) -> Segment:
    market = clock.market(at)
    if market.state == "unknown":
        return _segment_of(at, "no_calendar", market.label, market, _newest(feeds))
    judged = [(_state(clock, feed, at), feed) for feed in feeds]
    worst = max(_BAD.index(state) + 1 if state in _BAD else 0 for state, _ in judged)
    if worst:
        state = _BAD[worst - 1]
        wrong = [feed for found, feed in judged if found == state]
        return _segment_of(at, state, _behind(clock, state, wrong, at), market, _newest(wrong))
    state, label = _good(clock, feeds, market, at)
    return _segment_of(at, state, label, market, _newest(feeds))


def _state(clock: ExchangeClock, feed: Feed, at: datetime) -> State:
    schedule = SCHEDULES[feed.feed]
    missing = _missing(clock, feed, at)
    silent = clock.trading(at) - clock.trading(feed.last_event_at)
    for state in reversed(_BAD):
        limit: timedelta | None = getattr(schedule, state)
        if missing >= MISSING[state] or (limit is not None and silent >= limit):
            return state
    return "fresh"


def _missing(clock: ExchangeClock, feed: Feed, at: datetime) -> int:
    """Return how many sessions should have arrived and have not."""
    due = clock.ended(at - SCHEDULES[feed.feed].due)
    return max(0, due - clock.begun(feed.last_event_at))


def _behind(clock: ExchangeClock, state: State, wrong: Sequence[Feed], at: datetime) -> str:
    names = " and ".join(_NAMES[feed.feed] for feed in wrong)
    missing = max(_missing(clock, feed, at) for feed in wrong)
    sessions = f", {missing} session{'s' if missing > 1 else ''} missing" if missing else ""
    return f"{state.capitalize()}: {names}{sessions}"


def _good(
    clock: ExchangeClock, feeds: Sequence[Feed], market: Market, at: datetime
) -> tuple[State, str]:
    """Return state and label where nothing that is due is missing."""
    number = clock.begun(at)
    waiting = [feed for feed in feeds if clock.begun(feed.last_event_at) < number]
    complete = max(0, min(clock.begun(feed.last_event_at) for feed in feeds))
    up_to = f"complete to {clock.day(clock.sessions[complete].session_date)}"
    if market.state == "open":
        is_told = any(SCHEDULES[one.feed].late and one not in waiting for one in feeds)
        label = "up to date" if is_told else up_to
    elif waiting:
        due = max(clock.sessions[number].close_at + SCHEDULES[one.feed].due for one in waiting)
        label = f"{' and '.join(_NAMES[one.feed] for one in waiting)} due by {clock.clock(due)}"
    else:
        label = up_to
    state = _calm(market, is_waiting=bool(waiting))
    prefix = {"half_day": "Half day, ", "closed": "Market closed, ", "holiday": "Holiday, "}
    return state, (prefix[state] + label if state in prefix else label[0].upper() + label[1:])


def _calm(market: Market, *, is_waiting: bool) -> State:
    if market.session is not None and market.session.is_half_day:
        return "half_day"
    if market.state == "holiday":
        return "holiday"
    return "fresh" if market.state == "open" or is_waiting else "closed"


def _replay(clock: ExchangeClock, now: datetime, said: Told, feeds: Sequence[Feed]) -> Segment:
    at = said.now_at or _newest(feeds)
    kinds = {one.simulated: "simulated" if one.simulated else "recorded" for one in feeds}
    words = " and ".join(kinds[is_made_up] for is_made_up in sorted(kinds)).capitalize()
    label = f"{words} data as of {clock.day(at)}, {clock.clock(at)}"
    market = clock.market(at)
    # An age by the wall clock would call a recording stale.
    return _segment_of(now, "replay", label, market, None)


def _nothing(clock: ExchangeClock, now: datetime, said: Told) -> Segment:
    label = said.problem if said.build_id is None else "The build has no prices"
    return _segment_of(now, "no_data", label, clock.market(now), None)


def _segment_of(
    at: datetime, state: State, label: str, market: Market, data_at: datetime | None
) -> Segment:
    return Segment(at, at, state, label, market.state, market.label, data_at)


def _newest(feeds: Iterable[Feed]) -> datetime:
    return max(feed.last_event_at for feed in feeds)


def _segment(one: Segment) -> dict[str, Any]:
    return {
        "from_ms": _ms(one.from_at),
        "since_ms": _ms(one.since_at),
        "state": one.state,
        "label": one.label,
        "market": one.market,
        "market_label": one.market_label,
        "data_ms": _ms(one.data_at),
    }


@overload
def _ms(moment: datetime) -> int: ...
@overload
def _ms(moment: datetime | None) -> int | None: ...
def _ms(moment: datetime | None) -> int | None:
    """Return whole milliseconds, never earlier: what has not happened at a ms has not before it."""
    return None if moment is None else -((_EPOCH - moment) // timedelta(milliseconds=1))
