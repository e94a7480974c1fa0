"""Pictures of a run as Airflow's UI shows it, taken when all of it is really there."""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from PIL import Image
from playwright.sync_api import Page

from drill.airflow.client import Run
from drill.airflow.visit import Visit, visiting
from ingestion.errors import StackError

_GOLD: Final = "dbt.models.gold."
# In dots: one page; the width of a grid beside the table of tasks; a graph with names to be read.
_PAGE: Final = (1600, 1000)
_LOG: Final = (1800, 1000)
_GRID_WIDTH: Final = 1900
_GRAPH: Final = (3200, 1600)
# Percent of the width for grid or graph, the rest for details: long names are cut at Airflow's 20.
_SHARES: Final = {"grid": 23, "graph": 40}
_STEPS_BACK: Final = 4
_FAILURE: Final = "AirflowFailException"  # what a failed model's task raises: its log is there
_COLOURS: Final = 256
# Airflow 3.3 asks for it beside its rendered templates, but its package does not have it.
_MISSING: Final = ("/static/wasm/sqlparser_rs_wasm.js",)
_STILL: Final = """() => {
    const now = document.querySelector(".react-flow__viewport")?.style.transform;
    const same = now !== undefined && now === window.seenTransform;
    window.seenTransform = now;
    return same;
}"""
_BADGES: Final = """() => Object.fromEntries(
    [...document.querySelectorAll(".react-flow__node")].map(node => [
        node.dataset.id,
        node.querySelector('[data-testid="state-badge"]')?.textContent.trim() ?? "",
    ]))"""
_HIDDEN_ROWS: Final = """() => {
    const cell = document.querySelector('[data-testid="task-health"]');
    for (let one = cell?.parentElement; one; one = one.parentElement)
        if (one.scrollHeight > one.clientHeight && getComputedStyle(one).overflowY !== "visible")
            return one.scrollHeight - one.clientHeight;
    return 0;
}"""


class Site(NamedTuple):
    """Where the UI is and who logs in."""

    url: str
    user: str
    password: str


@dataclass(frozen=True)
class Album:
    """Takes the pictures of runs into a folder, with the browser that is started by ``program``."""

    folder: Path
    program: str

    def take(self, name: str, site: Site, run: Run) -> list[Path]:
        """Take a run's grid and graph, and the page of the task that tells of its end.

        That is the summary of a green run, the log of the failed model beside the graph of a red
        one.

        Raises:
            StackError: a page shows other states than the API, an error, or asks another host.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with visiting(self.program, site.url) as visit:
            _log_in(visit, site)
            _set_up(visit.page)
            grid, graph = (self.folder / f"{name}-{what}.png" for what in ("grid", "graph"))
            _grid(visit, run, grid)
            _graph(visit, run, graph)
            failed = [one for one, state in run.states().items() if state == "failed"]
            end = self.folder / f"{name}-{'log' if failed else 'summary'}.png"
            if failed:
                _log(visit, run, failed[0], end)
            else:
                _summary(visit, run, end)
        return [grid, graph, end]


def groups(run: Run) -> list[str]:
    """Return the groups that the graph opens: those of gold, and of all that did not succeed.

    With all of them open it would be some 14,000 dots wide.
    """
    shown = [
        task_id
        for task_id, state in run.states().items()
        if task_id.startswith(_GOLD) or state != "success"
    ]
    words = [task_id.split(".")[:-1] for task_id in shown]
    return sorted({".".join(one[: end + 1]) for one in words for end in range(len(one))})


def _log_in(visit: Visit, site: Site) -> None:
    page = visit.page
    page.goto(site.url)
    page.locator("[name=username]").fill(site.user)
    page.locator("[name=password]").fill(site.password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/auth/login" not in url)
    # Its front page asks what it shows; a page that is left amid that has failed requests.
    page.wait_for_load_state("networkidle")
    visit.watch(known=_MISSING)


def _set_up(page: Page) -> None:
    """Give the UI the choices that a person's clicks leave in the browser."""
    for view, share in _SHARES.items():
        panels = {"expandToSizes": {}, "layout": [share, 100 - share]}
        _remember(page, f"react-resizable-panels:{view}-ltr", {"details-panel,main-panel": panels})
    _remember(page, "log_wrap", value=True)


def _resize(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})


def _remember(page: Page, name: str, value: Any) -> None:  # noqa: ANN401 - whatever JSON can be
    page.evaluate("([name, text]) => localStorage.setItem(name, text)", [name, json.dumps(value)])


def _grid(visit: Visit, run: Run, file: Path) -> None:
    """Picture the grid with every group open, as long as it is."""
    page = visit.page
    _resize(page, (_GRID_WIDTH, _PAGE[1]))
    _open(visit, run, "grid")
    page.get_by_role("button", name="Expand all task groups").click()
    _wait_for_cells(page, run, list(run.tasks)[:1])
    _resize(page, (_GRID_WIDTH, _PAGE[1] + int(page.evaluate(_HIDDEN_ROWS))))
    _wait_for_cells(page, run, list(run.tasks))
    page.locator("[data-testid=state-badge]", has_text=run.state).first.wait_for()
    _shoot(visit, file)


def _wait_for_cells(page: Page, run: Run, task_ids: list[str]) -> None:
    for task_id in task_ids:
        cell = page.get_by_test_id(f"grid-{run.run_id}-{task_id}")
        cell.get_by_test_id("task-state-badge").wait_for()


def _graph(visit: Visit, run: Run, file: Path) -> None:
    """Picture the whole graph."""
    page = visit.page
    _resize(page, _GRAPH)
    _open(visit, run, "graph")
    page.get_by_role("button", name="Collapse Details Panel").click()
    _wait_for_nodes(page, run)
    page.get_by_role("button", name="Fit View").click()
    _wait_until_still(page)
    compare(page, run)
    _shoot(visit, file)


def _wait_for_nodes(page: Page, run: Run) -> None:
    for task_id in _shown(run):
        page.locator(f'.react-flow__node[data-id="{task_id}"]').wait_for(state="attached")
    _wait_until_still(page)


def _wait_until_still(page: Page) -> None:
    page.evaluate("() => { delete window.seenTransform; }")
    page.wait_for_function(_STILL, polling=300)


def _shown(run: Run) -> list[str]:
    """Return the tasks that are not inside of a group that stays closed."""
    opened = {"", *groups(run)}
    return [task_id for task_id in run.tasks if task_id.rpartition(".")[0] in opened]


def compare(page: Page, run: Run) -> None:
    """Raise StackError where the graph shows a task in another state than it is in."""
    badges, states = page.evaluate(_BADGES), run.states()
    for task_id in _shown(run):
        if badges.get(task_id) != states[task_id]:
            raise StackError(
                f"the graph's {task_id}: expected {states[task_id]}, found {badges.get(task_id)}"
            )


def _log(visit: Visit, run: Run, task_id: str, file: Path) -> None:
    """Picture a failed task: in the graph from near, and the end of its log."""
    page = visit.page
    _resize(page, _LOG)
    _open(visit, run, "graph", f"/tasks/{task_id}")
    failure = page.get_by_text(_FAILURE).first
    failure.click()  # closes its trace, which says less than what dbt wrote before it
    page.get_by_text("in conclude").first.wait_for(state="hidden")
    _wait_for_nodes(page, run)
    page.locator(".react-flow__controls-button").last.click()  # to the task that is selected
    _wait_until_still(page)
    for _ in range(_STEPS_BACK):
        page.get_by_role("button", name="Zoom Out").click()
        _wait_until_still(page)
    _shoot(visit, file)


def _summary(visit: Visit, run: Run, file: Path) -> None:
    """Picture the page that the run's last task rendered."""
    page = visit.page
    _resize(page, _PAGE)
    _open(visit, run, "grid", "/tasks/summary/rendered_templates")
    page.get_by_text("reconciliation").first.wait_for()
    _shoot(visit, file)


def _open(visit: Visit, run: Run, view: str, rest: str = "") -> None:
    _remember(visit.page, "default_dag_view", view)
    _remember(visit.page, f"{run.dag_id}/open-groups", groups(run))
    visit.page.goto(f"{visit.url}/dags/{run.dag_id}/runs/{run.run_id}{rest}")


def _shoot(visit: Visit, file: Path) -> None:
    """Take the picture when nothing is asked for any more and nothing turns.

    Raises:
        StackError: it would show an error.
    """
    page = visit.page
    page.wait_for_load_state("networkidle")
    page.wait_for_function(
        """() => [...document.querySelectorAll('[role="progressbar"], .chakra-spinner')]
            .every(one => !one.checkVisibility({visibilityProperty: true}))"""
    )
    alerts = page.get_by_test_id("error-alert").all_inner_texts()
    if alerts:
        raise StackError(f"{page.url} shows: {' '.join(' '.join(alerts).split())}")
    visit.check()
    page.mouse.move(0, 0)
    shot = Image.open(BytesIO(page.screenshot(animations="disabled", caret="hide")))
    # Some 4,000 shades of antialiased text as 256: a third of the bytes, and nobody sees it.
    few = shot.convert("RGB").quantize(_COLOURS, Image.Quantize.FASTOCTREE)
    few.save(file, optimize=True)
