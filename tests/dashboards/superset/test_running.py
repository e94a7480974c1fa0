"""A real Superset on a gold of its own: what it imports, shows, and shows to whom."""

import datetime as dt
import json
import math
import re
import shutil
import sqlite3
import subprocess
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dashboards.contract import load
from drill.superset.command import chart_counts
from drill.superset.pages import Answer, Site, show, signed_in
from infra.local import superset
from infra.setup import browser
from infra.superset import bundle, rules
from ingestion.settings import ROOT
from tests.conftest import RunningStack, StackFactory
from tests.dashboards.superset import gold

# Migrations, permissions and pages' first visits are slow where the machine is busy.
pytestmark = [pytest.mark.superset, pytest.mark.timeout(1800)]

FILES = bundle.read()
STEMS = {one["uuid"]: Path(path).stem for path, one in FILES.items() if path.startswith("charts/")}
EXPECTED = dict(
    re.findall(
        r"^-- chart: (\w+)\n(.+?)(?=\n-- chart|\Z)",
        Path(__file__).with_name("expected.sql").read_text(),
        re.M | re.S,
    )
)
OVER_TIME = {"advance_decline", "above_mean", "volatility", "drawdowns", "candle"}
_TABLES = (
    "dbs", "tables", "table_columns", "sql_metrics", "slices", "dashboards", "slice_user",
    "dashboard_user", "sqlatable_user", "row_level_security_filters",
    "rls_filter_roles", "rls_filter_tables", "ab_role", "ab_user", "ab_permission_view",
    "ab_permission_view_role",
)  # fmt: skip
_USERS = """
from superset.app import create_app
with create_app().app_context():
    from superset import db, security_manager as manager
    for name in {names}:
        role = manager.find_role(name)
        manager.add_user(name, name, name, name + "@localhost", role, {password!r})
    db.session.commit()
"""
PASSWORD = "of-the-test"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gold")
    gold.publish(folder, "one", load())
    return folder


@pytest.fixture(scope="module")
def running(stack_factory: StackFactory, published: Path) -> Iterator[RunningStack]:
    found = stack_factory.make("superset", ("superset",), WAREHOUSE_GOLD_DIR=str(published))
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in found.environment.items():
            patch.setenv(variable, value)
        yield found
        found.stack.down()


@pytest.fixture(scope="module")
def answers(running: RunningStack) -> dict[str, Answer]:
    """What each chart asked and was told while the dashboards were looked at, by its file."""
    site = Site(url(running), superset.USER, running.layout.superset.secret("admin_password"))
    program = browser.find()
    if program is None:
        pytest.fail("Chromium is missing: apt install chromium", pytrace=False)
    found: dict[str, Answer] = {}
    stems = {number: STEMS[one] for one, number in ids(running, "slices").items() if one in STEMS}
    with signed_in(program, site) as visit:
        for slug, charts in chart_counts().items():
            found |= {stems[one.chart_id]: one for one in show(visit, site, slug, charts)}
    return found


def url(running: RunningStack) -> str:
    return superset.url(running.layout)


def metadata(running: RunningStack, sql: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(superset.home(running.layout) / "superset.db") as db:
        return db.execute(sql).fetchall()


def ids(running: RunningStack, table: str) -> dict[str, int]:
    rows = metadata(running, f"select uuid, id from {table}")
    return {str(uuid.UUID(bytes=key)): number for key, number in rows}


def inventory(running: RunningStack) -> dict[str, list[Any]]:
    found = {table: sorted(metadata(running, f"select id from {table}")) for table in _TABLES}
    # Superset ties a dashboard to its charts anew at each import.
    ties = "select dashboard_id, slice_id from dashboard_slices"
    return found | {"dashboard_slices": sorted(metadata(running, ties))}


def test_a_second_import_adds_nothing_and_makes_nothing_anew(running: RunningStack) -> None:
    first = inventory(running)
    assert len(first["slices"]) == len(STEMS)
    assert len(first["dashboards"]) == 2
    assert superset.run(running.layout, "import").endswith(f"{len(FILES)} files imported")
    assert inventory(running) == first


def test_an_export_equals_the_files(running: RunningStack, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundle.FOLDER, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    said = superset.run(running.layout, "export", "--folder", str(folder))
    assert said.endswith("the files are what Superset has")
    assert bundle.read(folder) == FILES


def test_every_chart_asks_and_gets_rows(answers: dict[str, Answer]) -> None:
    assert set(answers) == set(EXPECTED) == set(STEMS.values())
    for name, answer in answers.items():
        assert all(answer.rows), f"{name} has no rows"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_chart_shows_what_sql_on_gold_says(
    name: str, answers: dict[str, Answer], published: Path
) -> None:
    with duckdb.connect(published / "gold-one.duckdb", read_only=True) as db:
        cursor = db.execute(EXPECTED[name])
        columns = [one[0] for one in cursor.description or []]
        expected = cursor.fetchall()
    shown = answers[name].rows
    found = over_time(shown) if name in OVER_TIME else table(shown, columns)
    assert found == Counter(tuple(map(plain, row)) for row in expected)


def over_time(shown: list[list[dict[str, Any]]]) -> Counter[tuple[Any, ...]]:
    """Return axis, series and value of what pages get as a column for each series."""
    return Counter(
        (plain(row["session_date"]), series.rpartition(", ")[2], plain(value))
        for query in shown
        for row in query
        for series, value in row.items()
        if series != "session_date" and value is not None
    )


def table(shown: list[list[dict[str, Any]]], columns: list[str]) -> Counter[tuple[Any, ...]]:
    (rows,) = shown
    return Counter(tuple(plain(row[name]) for name in columns) for row in rows)


def plain(value: object) -> object:
    """Return a value as both sides have it: moments in milliseconds, numbers to 9 places."""
    if isinstance(value, dt.datetime):
        return plain(value.replace(tzinfo=dt.UTC).timestamp() * 1000)
    if isinstance(value, dt.date):
        return plain(dt.datetime.combine(value, dt.time()))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return None if math.isnan(value) else float(f"{float(value):.9g}")
    return value


@pytest.fixture(scope="module")
def users(running: RunningStack) -> list[str]:
    """A user for each role, of the role's name."""
    names = [rules.READER, *rules.SECTORS]
    done = subprocess.run(
        [superset.python(), "-c", _USERS.format(names=names, password=PASSWORD)],
        env=running.layout.child_environment() | superset.environment(running.layout),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return names


def ask(
    running: RunningStack, user: str, path: str, body: object, method: str = "POST"
) -> dict[str, Any]:
    """Ask as a page of Superset's does: with the user's token, and the form's against forgery."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    headers = {"Content-Type": "application/json", "Referer": url(running)}

    def send(path: str, body: object = None, method: str = "POST") -> dict[str, Any]:
        data = None if method == "GET" else json.dumps(body).encode()
        asked = urllib.request.Request(f"{url(running)}{path}", data, headers, method=method)
        with opener.open(asked, timeout=300) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    login = {"username": user, "password": PASSWORD, "provider": "db"}
    headers["Authorization"] = f"Bearer {send('/api/v1/security/login', login)['access_token']}"
    headers["X-CSRFToken"] = send("/api/v1/security/csrf_token/", method="GET")["result"]
    return send(path, body, method)


def question(dataset: int, columns: list[str]) -> dict[str, Any]:
    query = {"columns": columns, "metrics": [], "row_limit": 10_000, "orderby": []}
    source = {"id": dataset, "type": "table"}
    return {"datasource": source, "queries": [query], "result_format": "json", "force": True}


def seen(running: RunningStack, user: str) -> dict[str, set[str]]:
    """Return for each dataset that tells sectors the instruments or universes a user can see."""
    numbers, found = ids(running, "tables"), {}
    for document in (one for one in FILES.values() if "sql" in one):
        columns = [column["column_name"] for column in document["columns"]]
        key = rules.columns_of(document["table_name"], columns)
        if key is not None:
            body = question(numbers[document["uuid"]], list(key))
            rows = ask(running, user, "/api/v1/chart/data", body)["result"][0]["data"]
            found[document["table_name"]] = {str(row[name]) for row in rows for name in key}
    return found


def test_a_reader_sees_all_and_a_reader_of_a_sector_that_sector_alone(
    running: RunningStack, users: list[str]
) -> None:
    reader, sector = users
    everything = {"breadth": {"all", "Energy", gold.SECTOR}}
    tech = {"breadth": {gold.SECTOR}}

    whole, part = seen(running, reader), seen(running, sector)

    assert len(whole) == len(part) == 10
    for name in whole:
        assert whole[name] == everything.get(name, {"alpha", "beta", "oil"}), name
        assert part[name] == tech.get(name, {"alpha", "beta"}), name


def test_readers_change_nothing_and_have_no_sql_of_their_own(
    running: RunningStack, users: list[str]
) -> None:
    chart = next(iter(ids(running, "slices").values()))
    database = next(iter(ids(running, "dbs").values()))
    for user in users:
        for path, body, method in (
            (f"/api/v1/chart/{chart}", {"slice_name": "mine"}, "PUT"),
            (f"/api/v1/chart/{chart}", {}, "DELETE"),
            ("/api/v1/sqllab/execute/", {"database_id": database, "sql": "select 1"}, "POST"),
        ):
            with pytest.raises(urllib.error.HTTPError) as refused:
                ask(running, user, path, body, method)
            refused.value.close()
            assert refused.value.code in (401, 403, 404), path


def test_a_new_build_is_shown_by_the_next_question(
    running: RunningStack, users: list[str], published: Path
) -> None:
    dataset = ids(running, "tables")[bundle.identity("datasets/Gold/kpi.yaml")]
    body = question(dataset, ["symbol", "current_price"])

    def prices() -> dict[str, float]:
        rows = ask(running, users[0], "/api/v1/chart/data", body)["result"][0]["data"]
        return {row["symbol"]: row["current_price"] for row in rows}

    before = prices()
    gold.publish(published, "two", load(), shift=7)
    assert prices() == {symbol: price + 7 for symbol, price in before.items()}


def test_a_chart_that_is_gone_from_the_files_is_removed_others_stay(
    running: RunningStack, tmp_path: Path
) -> None:
    path = "charts/anomalies.yaml"
    files = bundle.read()
    gone = files.pop(path)
    for document in files.values():
        if "position" in document:
            _take_tile(document["position"], gone["uuid"])
    bundle.write(files, tmp_path)
    before = ids(running, "slices")
    own = _own_chart(running)

    said = superset.run(running.layout, "import", "--folder", str(tmp_path))

    assert said.endswith(f"{len(FILES) - 1} files imported; removed {path}")
    after = ids(running, "slices")
    assert set(before) - set(after) == {gone["uuid"]}
    assert own in after.values()
    superset.run(running.layout, "import")
    assert gone["uuid"] in ids(running, "slices")


def test_what_was_changed_by_hand_is_what_the_files_say_again(running: RunningStack) -> None:
    with sqlite3.connect(superset.home(running.layout) / "superset.db") as db:
        db.execute("update slices set slice_name = 'by hand', params = '{}'")
    superset.run(running.layout, "import")
    names = {name for (name,) in metadata(running, "select slice_name from slices")}
    assert {one["slice_name"] for one in FILES.values() if "slice_name" in one} <= names


def _take_tile(position: dict[str, Any], chart: str) -> None:
    tile = next(
        (
            name
            for name, part in position.items()
            if isinstance(part, dict) and part.get("meta", {}).get("uuid") == chart
        ),
        None,
    )
    if tile:
        row = position.pop(tile)["parents"][-1]
        position[row]["children"].remove(tile)


def _own_chart(running: RunningStack) -> int:
    """Put in a chart of somebody else's, as the page of charts would."""
    dataset = ids(running, "tables")[bundle.identity("datasets/Gold/kpi.yaml")]
    with sqlite3.connect(superset.home(running.layout) / "superset.db") as db:
        cursor = db.execute(
            "insert into slices (slice_name, datasource_id, datasource_type, viz_type, params,"
            " uuid, created_on, changed_on) values ('Mine', ?, 'table', 'table', '{}', ?,"
            " current_timestamp, current_timestamp)",
            (dataset, uuid.uuid4().bytes),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid
