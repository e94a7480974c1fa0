"""The badge under a fake clock, in Python and as the browser works it out."""

import re
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from dashboards.web import freshness
from dashboards.web.exchange import clock_of
from dashboards.web.freshness import (
    SCHEDULES,
    Badge,
    Feed,
    Told,
    age_text,
    badge,
    marks_of_price,
    timeline,
    told,
)
from dashboards.web.freshness_route import Freshness
from dbt_stocks.reader import GoldReader, PinnedBuild
from ingestion import calendar
from ingestion.settings import ROOT
from tests.dashboards.web.node import play

XNYS = calendar.get()


def at(text: str) -> datetime:
    """A moment of New York's clock."""
    return datetime.fromisoformat(text).replace(tzinfo=XNYS.zone).astimezone(UTC)


def bars(day: str, source: str = "yahoo", *, simulated: bool = False) -> Feed:
    session = XNYS.session(datetime.fromisoformat(day).date())
    assert session is not None
    return Feed(source, "daily_bars", simulated, session.close_at)


def quotes(when: str, source: str = "finnhub", *, simulated: bool = False) -> Feed:
    return Feed(source, "quotes", simulated, at(when))


def build(*feeds: Feed, now: datetime | None = None) -> Told:
    return Told("b1", now, at("2026-11-27T02:00"), feeds)


# Thanksgiving is 26 November 2026, the day after it a half day.
CASES: list[tuple[str, str, str, list[Feed]]] = [
    ("fresh", "Up to date", "2026-11-20T11:00:00", [quotes("2026-11-20T10:59:30")]),
    ("fresh", "Up to date", "2026-11-20T11:14:29", [quotes("2026-11-20T10:59:30")]),
    ("late", "Late: quotes", "2026-11-20T11:14:30", [quotes("2026-11-20T10:59:30")]),
    ("stale", "Stale: quotes", "2026-11-20T11:59:30", [quotes("2026-11-20T10:59:30")]),
    ("dead", "Dead: quotes, 1 session missing", "2026-11-23T11:00", [quotes("2026-11-19T15:00")]),
    # The night between two sessions is no time in which anything is missing.
    (
        "fresh",
        "Complete to Fri 20 Nov 2026",
        "2026-11-23T09:44:00",
        [quotes("2026-11-20T15:59:30")],
    ),
    ("late", "Late: quotes", "2026-11-23T09:44:30", [quotes("2026-11-20T15:59:30")]),
    ("fresh", "Complete to Thu 19 Nov 2026", "2026-11-20T11:00", [bars("2026-11-19")]),
    ("fresh", "Daily bars due by 22:00 EST", "2026-11-20T21:59:59", [bars("2026-11-19")]),
    ("late", "Late: daily bars, 1 session missing", "2026-11-20T22:00", [bars("2026-11-19")]),
    ("stale", "Stale: daily bars, 2 sessions missing", "2026-11-24T12:00", [bars("2026-11-19")]),
    ("stale", "Stale: daily bars, 5 sessions missing", "2026-11-29T12:00", [bars("2026-11-19")]),
    ("dead", "Dead: daily bars, 6 sessions missing", "2026-11-30T22:00", [bars("2026-11-19")]),
    (
        "closed",
        "Market closed, complete to Fri 20 Nov 2026",
        "2026-11-20T22:00",
        [bars("2026-11-20")],
    ),
    (
        "closed",
        "Market closed, complete to Fri 20 Nov 2026",
        "2026-11-22T12:00",
        [bars("2026-11-20"), quotes("2026-11-20T15:59:30")],
    ),
    (
        "closed",
        "Market closed, complete to Fri 20 Nov 2026",
        "2026-11-23T09:29:59",
        [bars("2026-11-20")],
    ),
    ("holiday", "Holiday, complete to Wed 25 Nov 2026", "2026-11-26T12:00", [bars("2026-11-25")]),
    (
        "late",
        "Late: daily bars, 1 session missing",
        "2026-11-26T12:00",
        [bars("2026-11-24")],
    ),
    ("half_day", "Half day, up to date", "2026-11-27T12:50", [quotes("2026-11-27T12:49")]),
    ("late", "Late: quotes", "2026-11-27T12:50", [quotes("2026-11-27T12:30")]),
    ("half_day", "Half day, daily bars due by 19:00 EST", "2026-11-27T18:59", [bars("2026-11-25")]),
    ("late", "Late: daily bars, 1 session missing", "2026-11-27T19:00", [bars("2026-11-25")]),
    ("half_day", "Half day, complete to Fri 27 Nov 2026", "2026-11-27T19:00", [bars("2026-11-27")]),
    # The Sunday after the half day is an ordinary Sunday.
    (
        "closed",
        "Market closed, complete to Fri 27 Nov 2026",
        "2026-11-29T12:00",
        [bars("2026-11-27")],
    ),
    # Clocks go forward on 8 March 2026, back on 1 November: sessions keep their local hours.
    ("fresh", "Daily bars due by 22:00 EST", "2026-03-06T21:59:59", [bars("2026-03-05")]),
    ("fresh", "Daily bars due by 22:00 EDT", "2026-03-09T21:59:59", [bars("2026-03-06")]),
    ("late", "Late: daily bars, 1 session missing", "2026-03-09T22:00", [bars("2026-03-06")]),
    ("late", "Late: quotes", "2026-03-09T09:44:30", [quotes("2026-03-06T15:59:30")]),
    ("fresh", "Complete to Fri 6 Mar 2026", "2026-03-09T09:44:29", [quotes("2026-03-06T15:59:30")]),
    ("fresh", "Daily bars due by 22:00 EDT", "2026-10-30T21:59:59", [bars("2026-10-29")]),
    ("fresh", "Daily bars due by 22:00 EST", "2026-11-02T21:59:59", [bars("2026-10-30")]),
    ("late", "Late: quotes", "2026-11-02T09:44:30", [quotes("2026-10-30T15:59:30")]),
    (
        "fresh",
        "Complete to Fri 30 Oct 2026",
        "2026-11-02T09:44:29",
        [quotes("2026-10-30T15:59:30")],
    ),
    # The worst feed speaks; of one feed's sources the one that is furthest.
    (
        "late",
        "Late: daily bars, 1 session missing",
        "2026-11-24T11:00",
        [bars("2026-11-20"), quotes("2026-11-24T10:59")],
    ),
    (
        "fresh",
        "Up to date",
        "2026-11-24T11:00",
        [bars("2026-11-23"), bars("2026-10-01", "alphavantage"), quotes("2026-11-24T10:59")],
    ),
    # What is made up or recorded hides nothing of a real feed, and is late for nobody.
    (
        "dead",
        "Dead: daily bars, 37 sessions missing",
        "2026-11-24T11:00",
        [bars("2026-10-01"), quotes("2026-11-24T10:59", "simulator", simulated=True)],
    ),
    ("no_data", "The build has no prices", "2026-11-24T11:00", []),
    (
        "no_calendar",
        "No calendar after Fri 31 Dec 2027",
        "2028-01-01T00:00",
        [bars("2027-12-31")],
    ),
]


@pytest.mark.parametrize(("state", "label", "now", "feeds"), CASES)
def test_badge_by_clock(state: str, label: str, now: str, feeds: list[Feed]) -> None:
    found = badge(at(now), XNYS, build(*feeds))
    assert (found.state, found.label) == (state, label)
    assert found.colour == freshness.COLOURS[found.state]


def test_a_replay_says_of_when_it_is_and_never_ages() -> None:
    feeds = [bars("2013-03-01", "recorded"), quotes("2013-03-01T15:59:59", "sim", simulated=True)]
    found = badge(at("2026-11-24T11:00"), XNYS, build(*feeds, now=at("2013-03-01T16:15")))
    assert found.state == "replay"
    assert found.label == "Recorded and simulated data as of Fri 1 Mar 2013, 16:15 EST"
    assert (found.age_s, found.next_change_at) == (None, None)
    assert (found.market, found.market_label) == ("post", "Closed at 16:00 EST")
    only = badge(at("2026-11-24T11:00"), XNYS, build(feeds[1], now=at("2013-07-01T10:00")))
    assert only.label == "Simulated data as of Mon 1 Jul 2013, 10:00 EDT"


def test_another_build_than_the_one_shown() -> None:
    now, said = at("2026-11-20T11:00"), build(quotes("2026-11-20T10:59"))
    assert badge(now, XNYS, said, "b1").state == "fresh"
    found = badge(now, XNYS, said, "b0")
    assert (found.state, found.colour, found.label) == ("swapped", "amber", freshness.SWAPPED)


def test_gold_that_can_no_longer_be_read_is_no_newer_build() -> None:
    now, said = at("2026-11-20T11:00"), Told(problem="Gold cannot be read: no answer for 61 s")
    assert badge(now, XNYS, said).state == "no_data"
    found = badge(now, XNYS, said, "b1")
    assert (found.state, found.colour, found.label) == ("unreadable", "red", said.problem)
    line = timeline(now, XNYS, said)
    asked = {"facts": line.facts(now), "at": freshness._ms(now)}
    shown = play("freshness.js", "given => it.badge(given.facts, given.at, 'b1')", asked)
    assert shown == as_browser(found)


def test_since_and_next_change_are_of_the_state() -> None:
    said = build(quotes("2026-11-20T15:30:00"))
    found = badge(at("2026-11-23T10:15"), XNYS, said)
    assert found.state == "stale"
    # 30 minutes of trading on Friday, then 30 on Monday; dead after six and a half hours.
    assert found.since == at("2026-11-23T10:00")
    assert found.next_change_at == at("2026-11-23T15:30")
    late = badge(at("2026-11-20T15:50"), XNYS, said)
    assert (late.state, late.since) == ("late", at("2026-11-20T15:45"))
    # The weekend changes what the market does, and not since when the feed is late.
    weekend = badge(at("2026-11-21T12:00"), XNYS, said)
    assert (weekend.state, weekend.since) == ("late", at("2026-11-20T15:45"))
    assert weekend.next_change_at == at("2026-11-23T00:00")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (172800, "2 days")],
)
def test_age_text(seconds: int, text: str) -> None:
    assert age_text(seconds) == text


def test_an_event_of_the_future_has_no_negative_age() -> None:
    assert badge(at("2026-11-20T11:00"), XNYS, build(quotes("2026-11-20T11:01"))).age_s == 0


LIVE = {
    "spring": [bars("2026-03-05"), quotes("2026-03-06T15:59:59.123456")],
    "autumn": [bars("2026-10-29"), quotes("2026-10-30T15:59:59.5")],
    "thanksgiving": [bars("2026-11-24"), quotes("2026-11-25T12:00:00.000001")],
    "end of the calendar": [bars("2027-12-30")],
}
FEEDS = {**LIVE, "replay": [bars("2013-03-01", "recorded")], "nothing": []}


@pytest.mark.parametrize("name", LIVE)
def test_no_change_is_missed_between_two_moments(name: str) -> None:
    """The timeline holds only moments at which something may change: are they all?"""
    feeds = LIVE[name]
    clock, start = clock_of(XNYS), max(feed.last_event_at for feed in feeds)
    line = timeline(start, XNYS, build(*feeds))
    for minutes in range(0, 13 * 24 * 60, 7):
        now = start + timedelta(minutes=minutes, seconds=1)
        judged, found = freshness._judged(clock, feeds, now), line.at(now)
        assert (found.state, found.label, found.market_label) == (
            judged.state,
            judged.label,
            judged.market_label,
        ), now
    for before, after in pairwise(line.segments):
        edge = freshness._judged(clock, feeds, after.from_at - timedelta(microseconds=1))
        assert edge.same(before), f"{before} changes before {after.from_at}"


def as_browser(found: Badge) -> dict[str, Any]:
    shown = asdict(found)
    for name in ("since", "next_change_at"):
        shown[name.removesuffix("_at") + "_ms"] = freshness._ms(shown.pop(name))
    return shown


@pytest.mark.parametrize("name", FEEDS)
def test_the_browser_ages_the_badge_as_the_server_does(name: str) -> None:
    feeds = FEEDS[name]
    start = at("2026-11-25T12:00:01") if not feeds else max(one.last_event_at for one in feeds)
    start = start.replace(microsecond=0) + timedelta(seconds=1)
    line = timeline(start, XNYS, build(*feeds, now=at("2013-03-01T16:15")))
    edges = [one.from_at for one in line.segments if one.from_at > start]
    grid = [start + timedelta(minutes=11 * n) for n in range(13 * 24 * 60 // 11)]
    ms = timedelta(milliseconds=1)
    near = [
        freshness._EPOCH + ms * (freshness._ms(one) or 0) + k * ms for one in edges for k in (-1, 0)
    ]
    moments = [one for one in (*grid, *near) if start <= one < line.until_at]
    asked = {
        "facts": line.facts(start),
        "asked": [[freshness._ms(one), shown] for one in moments for shown in (None, "b1", "b0")],
    }
    found = play(
        "freshness.js",
        "given => given.asked.map(([at, shown]) => it.badge(given.facts, at, shown))",
        asked,
    )
    expected = [as_browser(line.at(one, shown)) for one in moments for shown in (None, "b1", "b0")]
    assert len(found) == len(expected) > 1000
    assert found == expected


def test_a_browser_without_answers_says_so_and_goes_on_ageing() -> None:
    now = at("2026-11-20T11:00")
    facts = timeline(now, XNYS, build(quotes("2026-11-20T10:59"))).facts(now)
    cases = [
        [facts, 0],
        [facts, 19_999],
        [facts, 20_000],
        [facts, 3_600_000],
        [None, 0],
        [None, 20_000],
    ]
    asked = [[one, freshness._ms(now) + silence, silence] for one, silence in cases]  # type: ignore[operator]
    found = play(
        "freshness.js",
        "given => given.map(([facts, at, silence]) => it.seen(facts, at, silence))",
        asked,
    )
    assert [one["state"] for one in found] == [
        *("fresh", "fresh", "disconnected", "disconnected", "no_data", "disconnected")
    ]
    assert found[2]["label"] == "No answer for 20 s; before: Up to date"
    # Late by then, and known to be without the server.
    assert found[3]["label"] == "No answer for 1 h; before: Stale: quotes"
    assert found[3]["age"] == "1 h"
    beyond = [[facts, facts["until_ms"], 0]]
    [found] = play(
        "freshness.js",
        "given => given.map(([facts, at, silence]) => it.seen(facts, at, silence))",
        beyond,
    )
    assert found["state"] == "disconnected"


@pytest.mark.parametrize(
    ("kind", "source", "simulated", "price_at"),
    [
        ("quote", "finnhub", False, "2026-11-25T09:31:00.000001"),
        ("bar", "yahoo", False, "2026-11-23T16:00"),
        ("quote", "simulator", True, "2026-11-20T09:31"),
        ("bar", "recorded", False, "2013-03-01T16:00"),
    ],
)
def test_a_price_is_marked_when_a_badge_of_it_alone_would_be(
    kind: str, source: str, simulated: bool, price_at: str
) -> None:
    start = at("2026-11-25T09:32")
    feed = Feed(source, {"quote": "quotes", "bar": "daily_bars"}[kind], simulated, at(price_at))
    marks = marks_of_price(start, clock_of(XNYS), kind, source, simulated, at(price_at))
    changes = []
    for minutes in range(0, 13 * 24 * 60, 7):
        now = start + timedelta(minutes=minutes, seconds=1)
        alone = badge(now, XNYS, build(feed))
        is_bad = alone.state in ("late", "stale", "dead")
        shown = [one for one in marks if one.from_ms <= freshness._ms(now)][-1]
        assert shown.text == (alone.label if is_bad else ""), now
        assert not is_bad or shown.colour == alone.colour
        changes.append(shown.text)
    assert (len(set(changes)) > 3) == (not feed.is_replay)


def test_a_bar_that_was_still_forming_has_not_arrived() -> None:
    now, forming, before = map(at, ("2026-11-23T11:05", "2026-11-23T11:00", "2026-11-20T16:00"))
    marks = [
        marks_of_price(now, clock_of(XNYS), "bar", "yahoo", False, one) for one in (forming, before)
    ]
    assert marks[0] == marks[1]
    assert marks[0][0].text == ""
    # Six hours after the close of the day that it is of.
    assert marks[0][1].from_ms == freshness._ms(at("2026-11-23T22:00"))


def test_what_gold_calls_late_is_late_here() -> None:
    macro = (ROOT / "dbt_stocks/macros/feed_schedules.sql").read_text()
    rows = re.findall(r"'(\w+)': \[(\d+|'null'), (\d+|'null')\]", macro)
    theirs = {feed: (due, quiet) for feed, due, quiet in rows if due != "'null'"}

    def text(span: timedelta | None, unit: timedelta) -> str:
        return "'null'" if span is None else str(span // unit)

    ours = {
        feed: (text(one.due, timedelta(minutes=1)), text(one.late, timedelta(seconds=1)))
        for feed, one in SCHEDULES.items()
    }
    assert ours == theirs
    settings = yaml.safe_load((ROOT / "dbt_stocks/dbt_project.yml").read_text())["vars"]
    assert freshness.MISSING["dead"] == settings["feed_stale_sessions"] + 1
    assert set(settings["unscheduled_sources"]) == freshness.REPLAYS
    for one in SCHEDULES.values():
        limits = [limit for limit in (one.late, one.stale, one.dead) if limit is not None]
        assert limits == sorted(limits)


def small_gold(path: Path, build_id: str, last: datetime) -> None:
    with duckdb.connect(path) as db:
        db.execute("create schema gold; create schema ops")
        db.execute(
            "create table ops.builds as select ? as build_id, ?::timestamp as as_of, "
            "?::timestamp as finished_at",
            [build_id, last.replace(tzinfo=None), last.replace(tzinfo=None)],
        )
        db.execute(
            "create table gold.gold_freshness as select 'finnhub' as source, 'quotes' as feed, "
            "false as simulated, ? as build_id, ?::timestamp as last_event_at, "
            "?::timestamp as checked_at",
            [build_id, last.replace(tzinfo=None), last.replace(tzinfo=None)],
        )


def test_told_by_a_build(tmp_path: Path) -> None:
    last = at("2026-11-20T10:59")
    small_gold(tmp_path / "gold-b7.duckdb", "b7", last)
    with duckdb.connect(tmp_path / "gold-b7.duckdb", read_only=True) as db:
        found = told(PinnedBuild(db.cursor()))
    assert found == Told("b7", last, last, (Feed("finnhub", "quotes", False, last),))


class FakeClock:
    def __init__(self, now: datetime) -> None:
        self.at = now

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def test_the_route_follows_published_builds(tmp_path: Path) -> None:
    clock = FakeClock(at("2026-11-20T11:00"))
    with GoldReader(tmp_path) as reader:
        source = Freshness(reader, XNYS, clock)
        before = source.facts()
        assert before["segments"][0]["state"] == "no_data"
        assert "no build yet" in before["segments"][0]["label"]
        for number, minutes in ((1, 1), (2, 3)):
            small_gold(tmp_path / f"gold-b{number}.duckdb", f"b{number}", at("2026-11-20T10:59"))
            (tmp_path / "current").unlink(missing_ok=True)
            (tmp_path / "current").symlink_to(f"gold-b{number}.duckdb")
            clock.sleep(60 * minutes)
            facts = source.facts()
            assert (facts["build_id"], facts["segments"][0]["state"]) == (f"b{number}", "fresh")
            assert facts["served_at_ms"] == freshness._ms(clock.at)
        (tmp_path / "gold-b3.duckdb").write_text("no database")
        (tmp_path / "current").unlink()
        (tmp_path / "current").symlink_to("gold-b3.duckdb")
        clock.sleep(2)
        assert source.facts()["segments"][0]["label"].startswith("Gold cannot be read")
