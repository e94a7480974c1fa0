"""Alerts to a webhook that listens, refuses, or is not there."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.deadline import Deadline
from airflow.sdk import BaseHook, DeadlineAlert
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException
from airflow.timetables.base import TimeRestriction
from airflow.utils.state import DagRunState
from sqlalchemy import select
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from orchestration import alerts, dbt
from orchestration.defaults import DEFAULT_ARGS, deadline
from orchestration.sensors import ArrivalSensor
from orchestration.timetables import IntradayTimetable
from tests.orchestration.support import advance, bag_of, queued, stored

TASK = SimpleNamespace(
    dag_id="stock_market_batch_pipeline",
    run_id="manual__1",
    task_id="publish",
    log_url="http://127.0.0.1:18090/dags/stock_market_batch_pipeline/runs/manual__1/tasks/publish",
)
# What knows it may write to the channel.
SECRET = "T0/B0"


class Hook(HTTPServer):
    """A webhook; what came is in ``got``. Without a status it answers in no HTTP."""

    def __init__(self, status: int | None) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = status
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/{SECRET}/x"


class _Handler(BaseHTTPRequestHandler):
    server: Hook

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.got.append(json.loads(self.rfile.read(length)) | {"path": self.path})
        if self.server.status is None:
            self.wfile.write(b"220 mail.example ready\r\n")
            return
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def listening(status: int | None) -> Iterator[Hook]:
    with Hook(status) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening(200) as server:
        yield server


@pytest.fixture(params=["refuses", "speaks no HTTP", "is away", "is no address", "has a blank"])
def dead(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a webhook that takes no alert, in each way."""
    path = f"services/{SECRET}/x"
    with listening(500) as refusing, listening(None) as stranger:
        yield {
            "refuses": refusing.url,
            "speaks no HTTP": stranger.url,
            "is away": f"http://127.0.0.1:1/{path}",
            "is no address": path,
            "has a blank": f"http://127.0.0.1:1/{path} y",
        }[request.param]


def known(monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    """Make Airflow know the connection, or not."""

    def get(conn_id: str) -> Any:
        assert conn_id == "tapehouse_alerts"
        if url is None:
            raise AirflowNotFoundException(conn_id)
        return SimpleNamespace(password=url)

    async def aget(conn_id: str) -> Any:
        return get(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", staticmethod(get))
    monkeypatch.setattr(BaseHook, "aget_connection", staticmethod(aget))


def test_a_failed_task_is_told_with_run_task_reason_and_link(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, hook.url)

    alerts.failed({"ti": TASK, "exception": ValueError("gold_kpi: 3 rows\nabove 5 %")})

    assert hook.got == [
        {
            "event": "task_failed",
            "dag": TASK.dag_id,
            "run": TASK.run_id,
            "task": "publish",
            "reason": "gold_kpi: 3 rows above 5 %",
            "link": TASK.log_url,
            "path": f"/services/{SECRET}/x",
        }
    ]


def test_a_stale_source_is_told_and_a_fresh_one_is_not(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, hook.url)

    alerts.stale({"ti": TASK, "test_names": []})
    alerts.stale({"ti": TASK, "test_names": ["bars_raw"]})

    [told] = hook.got
    assert told["event"] == "source_stale"
    assert told["reason"].startswith("nothing new in bars_raw ")


def test_a_build_with_warnings_is_told_and_one_without_is_not(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, hook.url)

    for count in (0, 2):
        report = {"tests_warned": count, "build_id": "b7"}
        ti = SimpleNamespace(**vars(TASK), xcom_pull=lambda found=report, **_: found)
        alerts.warned({"ti": ti})

    [told] = hook.got
    assert told["event"] == "tests_warned"
    assert told["reason"].startswith("2 tests warned in build b7")


def test_a_run_that_was_cut_off_is_told_and_a_failed_one_by_its_tasks(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, hook.url)
    dag = SimpleNamespace(dag_id=TASK.dag_id)

    alerts.cut_off({"dag": dag, "run_id": "r1", "reason": "task_failure"})
    alerts.cut_off({"dag": dag, "run_id": "r2", "reason": "timed_out"})

    [told] = hook.got
    assert (told["event"], told["dag"], told["run"]) == ("run_timed_out", TASK.dag_id, "r2")


def arrive_nothing(kind: str = "scheduled", moment: str = "2026-11-25T17:00:05Z") -> None:
    """Let the sensor have waited in vain, in a run that was made then.

    Its interval is the one that the timetable gives then, moved as if the waiting were over now.
    """
    timetable, patience = IntradayTimetable("XNYS"), timedelta(minutes=10)
    began = datetime.fromisoformat(moment)
    timetable.now = lambda: began
    info = timetable.next_dagrun_info(
        last_automated_data_interval=None, restriction=TimeRestriction(None, None, catchup=False)
    )
    assert info is not None
    assert info.data_interval is not None
    moved = datetime.now(UTC) - (began + patience)
    run = SimpleNamespace(
        run_type=kind,
        data_interval_start=info.data_interval.start + moved,
        data_interval_end=info.data_interval.end + moved,
    )
    sensor = ArrivalSensor(task_id="arrived", topic="t", table="silver.trades", patience=patience)
    sensor.arrived(cast("Any", {"ti": TASK, "dag_run": run}), {"waiting": 0, "ends": {}})


@pytest.mark.parametrize(("kind", "tells"), [("scheduled", True), ("manual", False)])
def test_a_feed_that_is_silent_in_a_session_is_told_by_a_scheduled_run(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, kind: str, tells: bool
) -> None:
    known(monkeypatch, hook.url)

    with pytest.raises(AirflowSkipException):
        arrive_nothing(kind=kind)

    assert [told["event"] for told in hook.got] == ["nothing_arrived"] * tells


@pytest.mark.parametrize(
    ("moment", "tells"),
    [
        ("2026-11-25T14:45:05Z", True),  # the first interval of a session is over
        ("2026-11-25T17:14:00Z", True),  # switched on, late in an interval
        ("2026-11-25T21:00:05Z", True),  # the last one is over
        ("2026-11-25T21:30:00Z", False),  # switched on in the evening
        ("2026-11-26T16:00:00Z", False),  # on a holiday
        ("2026-11-27T14:25:00Z", False),  # five minutes before the open
        ("2026-11-27T18:00:05Z", True),  # the end of a half day
        ("2026-11-27T18:30:00Z", False),
        ("2026-11-28T16:00:00Z", False),  # at a weekend
    ],
)
def test_a_closed_exchange_is_no_silent_feed(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, moment: str, tells: bool
) -> None:
    """Switched on then, the timetable gives the last interval that is due, however old it is."""
    known(monkeypatch, hook.url)

    with pytest.raises(AirflowSkipException):
        arrive_nothing(moment=moment)

    assert [told["event"] for told in hook.got] == ["nothing_arrived"] * tells


def test_a_missed_deadline_is_told_unless_the_run_has_failed(
    airflow_database: None, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow removes the deadline of a run that has succeeded, and no other's."""
    known(monkeypatch, hook.url)
    name = "export_gold"

    with queued(stored(name, bag_of(name))) as (run, session):
        for state in (DagRunState.QUEUED, DagRunState.RUNNING):
            run.state = state
            miss_deadline(run, session)
        assert advance(run, {"export": "failed"}, session)[0] == "failed"
        miss_deadline(run, session)
        run_id = run.run_id

    assert [(told["event"], told["dag"], told["run"]) for told in hook.got] == [
        ("deadline_missed", name, run_id)
    ] * 2
    assert hook.got[0]["reason"] == "not done 60 minutes after it was queued"


def miss_deadline(run: DagRun, session: Session) -> None:
    """Do what the scheduler does when a run's deadline is over, and then the triggerer."""
    session.commit()
    [missed] = session.scalars(select(Deadline).where(Deadline.dagrun_id == run.id))
    missed.handle_miss(session)
    arguments = missed.callback.data["kwargs"]
    session.rollback()
    asyncio.run(alerts.late(**arguments))


def test_without_a_webhook_the_log_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known(monkeypatch, None)

    alerts.failed({"ti": TASK, "exception": None})
    asyncio.run(alerts.late(5.0, {"dag_run": {"dag_id": "d", "run_id": "r"}}))

    said = capsys.readouterr()
    assert "task_failed" in said.out + said.err
    assert "deadline_missed" in said.out + said.err


def test_a_webhook_that_takes_no_alert_is_no_silence(
    dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch, dead)

    with pytest.raises(OSError, match=r"500|refused|expected a webhook") as raised:
        alerts.failed({"ti": TASK, "exception": None})

    assert SECRET not in str(raised.value)


def test_a_run_of_no_trades_is_skipped_whatever_the_webhook_does(
    dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that failed here would wait its ten minutes once more with each try."""
    known(monkeypatch, dead)

    with capture_logs() as logged, pytest.raises(AirflowSkipException):
        arrive_nothing()

    is_told_of(logged, "nothing_arrived")


def test_a_batch_run_does_not_fail_where_old_bars_cannot_be_told(
    dead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cosmos tells of them inside the task."""
    known(monkeypatch, dead)
    warning = SimpleNamespace(status="warn", message=None, node=SimpleNamespace(name="bars_raw"))
    found = SimpleNamespace(result=SimpleNamespace(results=[warning]))
    models = SimpleNamespace(iter_tasks=lambda: iter([SimpleNamespace(cache_dir=None)]))
    task = dbt.freshness("freshness", beside=cast("Any", models))
    monkeypatch.setattr(task, "build_and_run_cmd", lambda **_: found)

    with capture_logs() as logged:
        task.execute(cast("Any", {"ti": TASK}))

    is_told_of(logged, "source_stale")


def is_told_of(logged: Sequence[Mapping[str, Any]], alert: str) -> None:
    """The log has an alert, and that no webhook took it, without the webhook's address."""
    [told, failed] = logged
    assert told["event"] == alert
    assert (failed["event"], failed["alert"]) == ("webhook_failed", alert)
    assert failed["log_level"] == "error"
    assert failed["reason"]
    assert SECRET not in str(failed)


def test_every_task_and_every_scheduled_dag_alerts() -> None:
    alert = deadline(DEFAULT_ARGS["execution_timeout"])

    assert DEFAULT_ARGS["on_failure_callback"] is alerts.failed
    assert isinstance(alert, DeadlineAlert)
    assert alert.callback.path == "orchestration.alerts.late"
    assert alert.callback.kwargs == {"minutes": 30.0}
