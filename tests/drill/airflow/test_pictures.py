"""What makes a page unfit for a picture, in a real Chromium on a site of the test's own."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drill.airflow.client import Run, Task
from drill.airflow.pictures import compare, groups
from drill.airflow.visit import Visit, visiting
from infra.setup import browser
from infra.setup.console import Console
from ingestion.errors import StackError

NODE = (
    "<div class='react-flow__node' data-id='{}'><b>a task</b>"
    "<span data-testid='state-badge'>{}</span></div>"
)
PAGES = {
    "/graph": NODE.format("load", "success") + NODE.format("publish", "upstream_failed"),
    "/": "<p>all is well</p><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>",
    "/stranger": "<p>hello</p><img src='http://elsewhere.example/x.png'>",
    "/socket": "<p>hello</p><script>new WebSocket('ws://127.0.0.2:9/')</script>",
    "/other-port": "<p>hello</p><img src='http://127.0.0.1:9/x.png'>",
    "/broken": "<p>hello</p><img src='/missing.png'>",
    "/throws": "<p>hello</p><script>throw new Error('planted')</script>",
}
FAULTS = {
    "/stranger": "another host: http://elsewhere.example/x.png",
    "/socket": "another host: ws://127.0.0.2:9/",
    "/other-port": "another host: http://127.0.0.1:9/x.png",
    "/broken": "404 from .*/missing.png",
    "/throws": "planted",
}


class Site(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = PAGES.get(self.path, "").encode()
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: pytest's output is for tests."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return browser.ensure(Console(total=1), tmp_path_factory.mktemp("browser") / "log")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def beside(visit: Visit) -> Visit:
    """Another page in the same browser, which takes seconds to start."""
    return Visit(visit.page.context.new_page(), visit.url)


def looked_at(visit: Visit, path: str, known: tuple[str, ...] = ()) -> None:
    visit.watch(known)
    visit.page.goto(visit.url + path)
    visit.page.wait_for_load_state("networkidle")
    visit.check()


def test_pages_without_fault_pass(program: str, url: str) -> None:
    with visiting(program, url) as visit:
        looked_at(visit, "/")
        assert visit.page.inner_text("p") == "all is well"
        looked_at(beside(visit), "/broken", known=("/missing.png",))


def test_each_fault_of_a_page_is_told(program: str, url: str) -> None:
    with visiting(program, url) as visit:
        for path, told in FAULTS.items():
            with pytest.raises(StackError, match=told):
                looked_at(beside(visit), path)


def test_no_other_host_has_an_address(program: str, url: str) -> None:
    with (
        pytest.raises(StackError, match="ERR_NAME_NOT_RESOLVED"),
        visiting(program, url) as visit,
    ):
        visit.page.goto(url.replace("127.0.0.1", "localhost"))


def test_what_does_not_come_about_is_told_in_our_words(program: str, url: str) -> None:
    with pytest.raises(StackError, match="Timeout"), visiting(program, url) as visit:
        visit.page.goto(url)
        visit.page.get_by_text("never").wait_for(timeout=200)


def test_a_browser_that_does_not_start_is_told(tmp_path: Path, url: str) -> None:
    with pytest.raises(StackError, match="in a browser"), visiting(str(tmp_path / "none"), url):
        pass


def run(states: dict[str, str]) -> Run:
    tasks = {name: Task(name, state, 1.0, 1) for name, state in states.items()}
    return Run("batch", "one", "failed", 1.0, tasks)


def test_the_graph_opens_gold_and_what_did_not_succeed() -> None:
    found = run(
        {
            "load": "success",
            "dbt.models.silver.silver_bars": "success",
            "dbt.models.silver.market.silver_clock": "failed",
            "dbt.models.bronze.bronze_bars": "success",
            "dbt.models.gold.daily.gold_drawdown": "success",
            "publish": "upstream_failed",
        }
    )
    gold = ["dbt.models.gold", "dbt.models.gold.daily"]
    silver = ["dbt.models.silver", "dbt.models.silver.market"]
    assert groups(found) == ["dbt", "dbt.models", *gold, *silver]


def test_a_graph_shows_the_states_of_the_run(program: str, url: str) -> None:
    with visiting(program, url) as visit:
        looked_at(visit, "/graph")
        compare(visit.page, run({"load": "success", "publish": "upstream_failed"}))
        with pytest.raises(StackError, match="load: expected failed, found success"):
            compare(visit.page, run({"load": "failed"}))
        with pytest.raises(StackError, match="fetch: expected success, found None"):
            compare(visit.page, run({"load": "success", "fetch": "success"}))
