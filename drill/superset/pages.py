"""Superset's dashboards in a headless Chromium: what their charts ask, and what they are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Page, Response

from drill.airflow.visit import Visit, visiting
from ingestion.errors import StackError

_DATA: Final = "/api/v1/chart/data"
# Tall enough for a whole dashboard: charts out of sight are not drawn.
_PAGE: Final = (1600, 2300)
_COLOURS: Final = 256
_DRAWN: Final = """charts => {
    const holders = document.querySelectorAll('[data-test="dashboard-component-chart-holder"]');
    const busy = document.querySelectorAll('[data-test="loading-indicator"], .loading');
    return holders.length === charts && busy.length === 0;
}"""
_FAULTS: Final = """() => [...document.querySelectorAll(
    '[data-test="error-alert"], .ant-alert-error, [role="alert"].ant-alert-error')]
    .map(one => one.textContent)"""
# A dashboard's first visit brings 15 MB of scripts; on a busy machine that takes minutes.
_TIMEOUT_MS: Final = 300_000.0
_STILL_MS: Final = 2_000.0


class Site(NamedTuple):
    """Where Superset is and who logs in."""

    url: str
    user: str
    password: str


@dataclass(frozen=True)
class Answer:
    """What one chart asked for and was told: the rows of each of its queries."""

    chart_id: int
    question: dict[str, Any]
    rows: list[list[dict[str, Any]]]


@contextmanager
def signed_in(program: str, site: Site) -> Iterator[Visit]:
    """Open a page of somebody who has logged in; from then on every failed answer is a fault.

    Raises:
        StackError: the page asked another host than Superset, or something went wrong in it.
    """
    with visiting(program, site.url) as visit:
        page = visit.page
        page.set_viewport_size({"width": _PAGE[0], "height": _PAGE[1]})
        page.set_default_timeout(_TIMEOUT_MS)
        page.goto(f"{site.url}/login/?next={site.url}/api/v1/me/")  # not the page of news
        page.fill("#username", site.user)
        page.fill("#password", site.password)
        page.press("#password", "Enter")
        page.wait_for_url(
            lambda url: not urlsplit(url).path.startswith("/login"), wait_until="commit"
        )
        visit.watch()
        yield visit
        visit.check()


def show(visit: Visit, site: Site, slug: str, charts: int) -> list[Answer]:
    """Open a dashboard, wait until all of its charts are drawn, and return their answers.

    Raises:
        StackError: a chart shows an error.
    """
    responses: list[Response] = []
    visit.page.on("response", lambda one: responses.append(one) if _DATA in one.url else None)
    visit.page.goto(f"{site.url}/superset/dashboard/{slug}/", wait_until="commit")
    visit.page.wait_for_function(_DRAWN, arg=charts)
    _wait_until_still(visit.page, charts)
    if faults := visit.page.evaluate(_FAULTS):
        raise StackError(f"dashboard {slug} shows: {'; '.join(faults)}")
    answers = {one.chart_id: one for one in map(_answer, responses) if one is not None}
    return list(answers.values())  # of a chart that asked twice, the last


def picture(page: Page, path: Path) -> None:
    """Save what is shown, down to the last chart, in few colours: it goes into git."""
    end = page.evaluate(
        """() => Math.max(...[...document.querySelectorAll(
            '[data-test="dashboard-component-chart-holder"]')]
            .map(one => one.getBoundingClientRect().bottom))"""
    )
    shot = page.screenshot(
        clip={"x": 0, "y": 0, "width": _PAGE[0], "height": min(end + 24, _PAGE[1])}
    )
    image = Image.open(BytesIO(shot)).convert("RGB")
    path.parent.mkdir(parents=True, exist_ok=True)
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _wait_until_still(page: Page, charts: int) -> None:
    """Wait out what filters make charts ask again, and the last strokes of drawing."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(_STILL_MS)
    page.wait_for_function(_DRAWN, arg=charts)


def _answer(response: Response) -> Answer | None:
    """Return what a chart was told; None for a question of a filter, which no chart asked."""
    question = response.request.post_data_json or {}
    chart = (question.get("form_data") or {}).get("slice_id")
    if not chart:
        return None
    return Answer(int(chart), question, [one["data"] for one in response.json()["result"]])
