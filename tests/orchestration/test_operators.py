"""What becomes of a task by the end of its command: a real process, of a module of the test's own.

Airflow tries a task again after AirflowException, and never after AirflowFailException.
"""

import threading
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from ingestion.lock import held
from ingestion.settings import ProjectSettings, WarehouseSettings
from ingestion.sources.progress import Progress
from orchestration.operators import CommandOperator
from orchestration.restore import RestoreOperator
from orchestration.run import TRY_AGAIN
from tests.orchestration.conftest import GRACEFUL, Make
from tests.orchestration.ti import Ti, context
from tests.support import wait_for

REPORTS = """
    import pathlib, sys
    pathlib.Path(sys.argv[sys.argv.index("--report") + 1]).write_text('{{"rows": 3}}')
    print("the last line", flush=True)
    {ending}
"""
ENDS = {
    "sys.exit(1)": AirflowFailException,
    "sys.exit(2)": AirflowFailException,
    f"sys.exit({TRY_AGAIN})": AirflowException,
    "import os; os.kill(os.getpid(), 9)": AirflowException,
}


def ended(words: list[str], **options: Any) -> tuple[type[Exception], str, Ti]:
    """Return as what a failing command's task fails, what it says, and what it left."""
    ti = Ti()
    with pytest.raises(AirflowException) as found:
        CommandOperator(task_id="load", command=words, **options).execute(context(ti))
    return found.type, str(found.value), ti


def test_a_command_that_succeeds_is_a_task_that_does(make: Make) -> None:
    ti = Ti()
    name = make(REPORTS.format(ending=""))

    CommandOperator(task_id="load", command=[name]).execute(context(ti))

    assert ti.pushed["report"] == {"rows": 3}
    assert ti.pushed["seconds"] > 0


@pytest.mark.parametrize(("ending", "error"), ENDS.items())
def test_a_command_that_fails_is_a_task_that_does(
    make: Make, ending: str, error: type[Exception]
) -> None:
    found, text, ti = ended([make(REPORTS.format(ending=ending)), "--all"])

    assert found is error
    assert text.startswith("`python -m stand_in --all` ended with ")
    assert "the last line" in text
    assert ti.pushed["report"] == {"rows": 3}
    assert ti.pushed["seconds"] > 0


def test_a_task_that_is_killed_fails_though_its_command_ends_well(
    make: Make, tmp_path: Path
) -> None:
    up = tmp_path / "up"
    moved: list[dict[str, Any]] = []
    operator = CommandOperator(
        task_id="fetch",
        command=[make(GRACEFUL.format(meanwhile=f"pathlib.Path({str(up)!r}).touch()", code=0))],
        edges=lambda report: moved.append(dict(report)) or [],
    )
    ti = Ti()

    def kill() -> None:
        wait_for(up.is_file)
        operator.on_kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(AirflowException) as found:
        operator.execute(context(ti))
    killer.join()

    assert found.type is AirflowException
    assert str(found.value) == (
        "`python -m stand_in` ended with 0, expected all of its work done, "
        "found stopped with its task:\nup"
    )
    assert ti.pushed["report"] == {"sent": 3, "interrupted": True}
    assert moved == []


def test_a_command_that_was_interrupted_is_tried_again(make: Make) -> None:
    meanwhile = "os.kill(os.getpid(), signal.SIGTERM)"

    found, text, _ = ended([make(GRACEFUL.format(meanwhile=meanwhile, code=0))])

    assert found is AirflowException
    assert "ended with 0, expected all of its work done, found `interrupted` in its report" in text


def test_a_long_command_does_not_keep_its_failure_out_of_an_alert(make: Make) -> None:
    """An alert is cut at a thousand characters."""
    words = [f"--until=t/{'a' * 32}/{number}=5" for number in range(40)]

    _, text, _ = ended([make(REPORTS.format(ending="sys.exit(1)")), *words])

    assert text.startswith("`python -m stand_in --until=t/aaa")
    assert "the last line" in text[:1_000]


def test_the_codes_of_a_task_are_tried_again_and_no_others(make: Make) -> None:
    name = make("import sys; sys.exit(2)")

    assert ended([name], transient_codes=[2])[0] is AirflowException
    assert ended([name], transient_codes=[1])[0] is AirflowFailException


def test_what_has_failed_has_moved_nothing(make: Make) -> None:
    asked: list[dict[str, Any]] = []
    operator = CommandOperator(
        task_id="load",
        command=[make(REPORTS.format(ending="sys.exit(1)"))],
        edges=lambda report: asked.append(dict(report)) or [],
    )

    with pytest.raises(AirflowFailException):
        operator.execute(context(Ti()))

    assert asked == []


def test_a_fetch_that_finds_another_is_tried_again_and_asks_no_other_provider(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALPHAVANTAGE_API_KEY", "never-sent")
    words = ["ingestion", "produce", "bars", "--sources", "yahoo,alphavantage"]

    with Progress(ProjectSettings.load().state("progress"), "yahoo-1d"):
        found, text, _ = ended(words)

    assert found is AirflowException
    assert f"ended with {TRY_AGAIN}:" in text
    assert "found another process that fetches the same" in text


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is no warehouse."""
    path = tmp_path / "w.duckdb"
    path.write_text("damaged")
    monkeypatch.setenv("WAREHOUSE_PATH", str(path))
    monkeypatch.setenv("WAREHOUSE_LOCK_TIMEOUT_S", "0.2")
    return path


def restored(states: dict[str, str]) -> None:
    RestoreOperator(task_id="restore").execute(context(Ti(states)))


@pytest.mark.usefixtures("warehouse")
def test_a_restoration_that_fails_is_a_task_that_does() -> None:
    with pytest.raises(AirflowException, match="--reason run-1: gold_kpi failed") as found:
        restored({"dbt.models.gold.gold_kpi": "failed", "dbt.models.gold.gold_movers": "success"})

    assert found.type is AirflowFailException


def test_a_restoration_that_finds_the_warehouse_locked_is_tried_again(warehouse: Path) -> None:
    with (
        held(WarehouseSettings.load().lock(), 1, lambda _: None),
        pytest.raises(AirflowException, match="gold_kpi failed") as found,
    ):
        restored({"dbt.models.gold.gold_kpi": "failed"})

    assert found.type is AirflowException


@pytest.mark.usefixtures("warehouse")
def test_where_no_model_failed_nothing_is_restored() -> None:
    with pytest.raises(AirflowSkipException):
        restored({"dbt.models.gold.gold_kpi": "upstream_failed", "load": "failed"})
