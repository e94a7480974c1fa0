"""What the auditor finds lost turns the market page's data health red, in a browser."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from audit import report
from tests.audit.world import BATCH, World
from tests.dashboards.web import small_gold
from tests.dashboards.web.conftest import browser, serve

__all__ = ["browser"]
pytestmark = pytest.mark.integration


def nothing(world: World) -> AbstractContextManager[None]:
    return world.sql("select 1")


def an_object(world: World) -> AbstractContextManager[None]:
    return world.instead(world.key(BATCH, 0, 4))


def a_row_of_silver(world: World) -> AbstractContextManager[None]:
    return world.sql(
        "delete from silver.silver_bars where rowid = (select min(rowid) from silver.silver_bars)"
    )


@pytest.mark.parametrize(
    ("plant", "level", "word"),
    [(nothing, "ok", "Holds"), (an_object, "bad", "Broken"), (a_row_of_silver, "bad", "Broken")],
)
def test_data_health_is_what_the_auditor_found(
    world: World,
    browser: Browser,
    tmp_path: Path,
    plant: Callable[[World], AbstractContextManager[None]],
    level: str,
    word: str,
) -> None:
    with plant(world):
        verdict = world.audit()
    report.write(verdict.document(), tmp_path / "verdict.json")
    small_gold.publish(tmp_path, "b1")
    with serve(tmp_path) as site:
        page = browser.new_page()
        page.goto(f"{site.url}/?view=health")
        card = page.locator(".health-card").filter(has_text="Reconciliation").first
        # The verdict's time is now, and the small gold is of long ago.
        expect(card).to_have_attribute("data-level", level)
        expect(card.locator(".level")).to_contain_text(word)
        if level == "bad":
            expect(page.locator(".health-head .level")).to_contain_text(word)
            gaps = [one for one in verdict.checks if one.status == "violated"]
            assert gaps
            for gap in gaps:
                row = card.locator("table.gaps tr", has_text=gap.name).filter(has_text="violated")
                such_as = row.filter(has_text=str(gap.examples[0]))
                expect(such_as.first).to_be_visible()
        page.close()
