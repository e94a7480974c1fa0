"""The badge as Chromium shows it: one page, under clocks that the test sets."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.web import freshness
from tests.dashboards.web import small_gold
from tests.dashboards.web.conftest import serve
from tests.dashboards.web.test_freshness import FakeClock, at

# The day before Thanksgiving; the day after it is a half day.
LAST_QUOTE = at("2026-11-25T15:59:30")
# The quotes of one instrument stop early, those of the others go on.
AAA_QUOTE = at("2026-11-25T15:10:30")
_ASKED_EVERY_MS = 5_000


@dataclass(frozen=True)
class Shown:
    """A page of a gold with one live feed, and its server's clock."""

    page: Page
    clock: FakeClock
    gold: Path

    def at(self, now: datetime) -> None:
        """Set the server's clock, and have the page ask anew."""
        self.clock.at = now
        self.page.clock.fast_forward(_ASKED_EVERY_MS)

    def expect(self, state: str, colour: str, label: str | re.Pattern[str]) -> None:
        badge = self.page.locator("[data-freshness]")
        expect(badge.locator("[data-part=label]")).to_have_text(label)
        expect(badge).to_have_attribute("data-state", state)
        expect(badge).to_have_attribute("data-colour", colour)


def publish(before: Path, build_id: str, last_quote: datetime | None) -> None:
    """Publish a build like one before it, whose one feed is live, or that has none."""
    path = before.with_name(f"gold-{build_id}.duckdb")
    shutil.copyfile(before, path)
    with duckdb.connect(path) as db:
        db.execute("update ops.builds set build_id = ?", [build_id])
        if last_quote is None:
            db.execute("delete from gold.gold_freshness")
        else:
            db.execute(
                "update gold.gold_freshness set source = 'finnhub', feed = 'quotes',"
                " last_event_at = ?",
                [last_quote.astimezone(UTC).replace(tzinfo=None)],
            )
            for symbol, price_at in (("AAA", AAA_QUOTE), ("BBB", last_quote)):
                db.execute(
                    "update gold.gold_kpi set source = 'finnhub', price_kind = 'quote',"
                    " sessions_behind = 1, price_at = ? where symbol = ?",
                    [price_at.astimezone(UTC).replace(tzinfo=None), symbol],
                )
    small_gold.link(path)


@pytest.fixture(scope="module")
def shown(
    browser: Browser, gold_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shown]:
    gold = tmp_path_factory.mktemp("badge")
    (gold / gold_file.name).hardlink_to(gold_file)
    publish(gold / gold_file.name, "live", LAST_QUOTE)
    clock = FakeClock(LAST_QUOTE)
    with serve(gold, clock=clock) as site:
        page = browser.new_page()
        page.clock.install()
        page.goto(f"{site.url}/?symbol=AAA&range=1Y")
        expect(page.locator("#shown")).to_have_attribute("data-shown-build", "live")
        yield Shown(page, clock, gold)
        page.close()


@pytest.mark.parametrize(
    ("now", "state", "colour", "label"),
    [
        ("2026-11-25T15:59:50", "fresh", "green", "Up to date"),
        ("2026-11-25T22:00", "closed", "grey", "Market closed, complete to Wed 25 Nov 2026"),
        ("2026-11-26T12:00", "holiday", "grey", "Holiday, complete to Wed 25 Nov 2026"),
        ("2026-11-27T09:44", "half_day", "green", "Half day, complete to Wed 25 Nov 2026"),
        ("2026-11-27T09:45", "late", "amber", "Late: quotes"),
        ("2026-11-27T10:30", "stale", "red", "Stale: quotes"),
    ],
)
def test_badge_by_clock(shown: Shown, now: str, state: str, colour: str, label: str) -> None:
    shown.at(at(now))
    shown.expect(state, colour, label)


def test_a_price_ages_by_itself_while_its_feed_is_up_to_date(shown: Shown) -> None:
    mark = shown.page.locator("#kpis [data-marks]")

    def draw(now: datetime) -> None:
        shown.at(now)
        shown.page.evaluate(
            "at => dash_clientside.set_props('refresh', {n_intervals: at})", int(now.timestamp())
        )

    draw(at("2026-11-25T15:59:50"))
    shown.expect("fresh", "green", "Up to date")
    expect(mark).to_have_text("Late: quotes")
    expect(mark).to_have_class("tag level warn")
    expect(shown.page.locator("#kpis .behind")).to_have_count(0)
    # Of the marks that were drawn the next one comes without a server.
    shown.page.context.set_offline(True)
    shown.page.clock.fast_forward(17 * 3600 * 1000 + 45 * 60 * 1000)
    expect(mark).to_have_text("Late: quotes")
    shown.page.clock.fast_forward(24 * 3600 * 1000)
    expect(mark).to_have_text("Stale: quotes")
    expect(mark).to_have_class("tag level bad")
    shown.page.context.set_offline(False)
    draw(at("2026-11-25T15:59:50"))
    expect(mark).to_have_text("Late: quotes")
    shown.page.evaluate("dash_clientside.set_props('symbol', {value: 'BBB'})")
    expect(shown.page.locator("#kpis h1")).to_have_text("BBB")
    expect(mark).to_have_text("")
    expect(shown.page.locator("#kpis .behind")).to_have_text("1 session behind")
    shown.page.evaluate("dash_clientside.set_props('symbol', {value: 'AAA'})")
    expect(mark).to_have_text("Late: quotes")


def test_badge_without_a_server(shown: Shown) -> None:
    """It goes on ageing, and says after a while that nothing was heard."""
    shown.at(at("2026-11-27T09:44:22"))  # late from 09:44:30 on
    shown.expect("half_day", "green", "Half day, complete to Wed 25 Nov 2026")
    shown.page.context.set_offline(True)
    shown.page.clock.fast_forward(8_000)
    shown.expect("late", "amber", "Late: quotes")
    shown.page.clock.fast_forward(12_000)
    shown.expect("disconnected", "red", re.compile("No answer for .* s; before: Late: quotes"))
    shown.page.context.set_offline(False)
    shown.at(at("2026-11-27T09:44:23"))
    shown.expect("half_day", "green", "Half day, complete to Wed 25 Nov 2026")


def test_badge_of_another_build(shown: Shown) -> None:
    """What is shown is of the build before until it has been drawn anew."""
    shown.at(at("2026-11-25T15:59:50"))
    shown.expect("fresh", "green", "Up to date")
    shown.page.route("**/_dash-update-component*", lambda route: route.abort())
    publish(shown.gold / "current", "empty", None)
    shown.at(at("2026-11-25T15:59:52"))
    shown.expect("swapped", "amber", freshness.SWAPPED)
    shown.page.unroute_all()
    shown.page.evaluate("dash_clientside.set_props('refresh', {n_intervals: 1000})")
    shown.expect("no_data", "grey", "The build has no prices")
    (shown.gold / "current").unlink()
    shown.at(at("2026-11-25T15:59:54"))
    shown.expect("unreadable", "red", re.compile("Gold cannot be read: "))
