"""Scenes are red where a run ends green and has done nothing, or something else."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import duckdb
import pytest

from drill.airflow import scenes
from drill.airflow.client import Run, Task
from drill.airflow.scenes import NEXT, SESSIONS
from drill.airflow.world import World, judged
from ingestion.errors import StackError, TapehouseError

MARTS = ("daily_stock_metrics", "gold_daily_metrics", "gold_daily_bar_history")
MODELS = [scenes.SEED, *(f"dbt.models.m{number}" for number in range(3))]
OK: dict[str, Any] = {"verdict": "ok", "table": [{"gap": 0}, {"gap": None}], "checks": [{}, {}]}


def publish(folder: Path, build: str, days: tuple[str, ...]) -> None:
    """Publish a build with two symbols' rows of each day in every mart, and point to it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"gold-{build}.duckdb"
    with duckdb.connect(path) as db:
        db.execute("create schema gold")
        for mart in MARTS:
            db.execute(
                f"create table gold.{mart} as select '{build}' as build_id, symbol, "
                "unnest(?::date[]) as session_date from (values ('AAPL'), ('IBM')) as t (symbol)",
                [list(days)],
            )
    temporary = folder / "temporary"
    temporary.symlink_to(path.name)
    temporary.replace(folder / "current")


def export(state: Path, shown: Path) -> None:
    """Write a published file's marts as `dbt_stocks export` does."""
    folder = state / "export" / shown.stem
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(shown, read_only=True) as db:
        for mart in MARTS:
            db.execute(f"copy gold.{mart} to '{folder / mart}.parquet' (format parquet)")
    current = state / "export" / "current"
    current.unlink(missing_ok=True)
    current.symlink_to(folder.name)


class Api:
    """An Airflow each of whose runs ends green after ``works`` did something, or nothing."""

    def __init__(self) -> None:
        self.works: dict[str, Any] = {}
        self.states = {
            scenes.BATCH: {"process": "running"} | dict.fromkeys(MODELS, None),
            scenes.MINUTE: {"load": "skipped"},
        }
        self.caused: list[str] = []
        self.on: list[str] = []

    def switch(self, dag_id: str, *, on: bool) -> None:
        assert on
        self.on.append(dag_id)

    def trigger(self, dag_id: str, conf: object = None) -> str:
        del conf
        return f"manual of {dag_id}"

    def tasks(self, dag_id: str, run_id: str) -> dict[str, Task]:
        del run_id
        states = self.states.get(dag_id, {})
        return {name: Task(name, state, 1.0, 2) for name, state in states.items()}

    def run_ids(self, dag_id: str, run_type: str) -> list[str]:
        assert (dag_id, run_type) == ("export_gold", "asset_triggered")
        return self.caused

    def wait(self, dag_id: str, run_id: str, timeout_s: float) -> Run:
        del timeout_s
        self.works.get(dag_id, lambda: None)()
        return Run(dag_id, run_id, "success", 60.0, self.tasks(dag_id, run_id))


class Small(World):
    """A world without services: gold in files, an auditor that is asked for its words only."""

    asked: list[str]
    verdict: dict[str, Any]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        self.asked.append(" ".join(words))
        folder = self.layout.state / "audit"
        folder.mkdir(exist_ok=True)
        (folder / "verdict.json").write_text(json.dumps(self.verdict))
        return subprocess.CompletedProcess(words, 0)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setenv("WAREHOUSE_PATH", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("WAREHOUSE_GOLD_DIR", str(tmp_path / "gold"))
    monkeypatch.setattr(scenes, "_CAUSED_S", 0.0)
    monkeypatch.setattr(scenes.os, "kill", lambda *_: None)
    process = {"airflow-scheduler": {"pid": 1}}
    monkeypatch.setattr(scenes, "Supervisor", lambda _: SimpleNamespace(processes=lambda: process))
    layout, original = SimpleNamespace(state=tmp_path), tmp_path / "original.duckdb"
    found = Small(cast("Any", layout), cast("Any", Api()), print, ready_s=0, original=original)
    found.asked, found.verdict = [], OK
    publish(tmp_path / "gold", "b1", SESSIONS)
    shutil.copyfile(found.published(), original)
    return found


def working(world: Small, dag_id: str, work: Any) -> None:
    cast("Any", world.api).works[dag_id] = work


def publishing(world: Small, build: str, *days: str) -> Any:
    return lambda: publish(world.layout.state / "gold", build, days)


def minute_of(world: Small, *, load: str, models: int) -> None:
    """The minute path's run: how its load ends, and how many models are built by then."""
    states = cast("Any", world.api).states
    states[scenes.MINUTE] = {"load": load}
    states[scenes.BATCH] |= dict.fromkeys(MODELS[:models], "success")


def test_a_minute_path_that_gives_way_while_models_are_built_is_green(world: Small) -> None:
    minute_of(world, load="skipped", models=1)

    proofs = scenes.again(world)

    assert "minio_to_snowflake gave way after 60 s, with 3 models to come" in proofs


@pytest.mark.parametrize(
    ("load", "models", "expected"),
    [
        ("success", 1, "expected no load"),
        ("skipped", 2, "the minute path waited until 2 models were left"),
    ],
)
def test_one_that_loads_between_them_or_waits_for_them_is_red(
    world: Small, load: str, models: int, expected: str
) -> None:
    minute_of(world, load=load, models=models)

    with pytest.raises(StackError, match=expected):
        scenes.again(world)


def test_a_killed_run_that_brought_its_session_is_green(world: Small) -> None:
    working(world, scenes.BATCH, publishing(world, "b2", *SESSIONS, NEXT))

    proofs = scenes.killed(world)

    assert f"6 rows more, all of {NEXT}" in proofs


@pytest.mark.parametrize("days", [SESSIONS, (*SESSIONS, NEXT, NEXT), (*SESSIONS[1:], NEXT)])
def test_one_that_did_nothing_too_much_or_lost_another_is_red(
    world: Small, days: tuple[str, ...]
) -> None:
    working(world, scenes.BATCH, publishing(world, "b2", *days))

    with pytest.raises(TapehouseError, match="gold is not as expected"):
        scenes.killed(world)


def test_a_session_that_is_known_shows_nothing(world: Small) -> None:
    publish(world.layout.state / "gold", "b2", (*SESSIONS, NEXT))

    with pytest.raises(StackError, match="is in gold before it was fetched"):
        scenes.killed(world)


def test_a_backfill_in_one_go_is_held_against_the_original_runs(world: Small) -> None:
    working(world, scenes.FILL, publishing(world, "afresh", *SESSIONS))

    assert "3 tables as the original runs'" in scenes.backfilled(world)[0]

    working(world, scenes.FILL, publishing(world, "less", *SESSIONS[1:]))
    with pytest.raises(StackError, match="gold_daily_metrics: 10 rows, 8 in the other"):
        scenes.backfilled(world)


def exporting(world: Small) -> None:
    """Publish, and let the asset start an export of what is published."""
    working(world, scenes.FILL, lambda: (publishing(world, "b2", *SESSIONS)(), caused(world)))
    working(world, scenes.EXPORT, lambda: export(world.layout.state, world.published()))


def caused(world: Small) -> None:
    cast("Any", world.api).caused.append("asset_triggered of export_gold")


def test_an_export_that_follows_the_publish_is_green(world: Small) -> None:
    exporting(world)

    assert scenes.exported(world) == ["3 files of gold-b2 in 60 s, 3 hashed as gold"]
    assert cast("Any", world.api).on == ["backfill", "export_gold"]


def test_an_export_that_nothing_starts_is_red(world: Small) -> None:
    exporting(world)
    working(world, scenes.FILL, publishing(world, "b2", *SESSIONS))

    with pytest.raises(TimeoutError, match="no run of export_gold"):
        scenes.exported(world)


def test_an_export_that_ran_before_the_publish_shows_nothing(world: Small) -> None:
    exporting(world)
    caused(world)

    with pytest.raises(StackError, match="before anything was published"):
        scenes.exported(world)


def test_files_of_another_build_are_red(world: Small) -> None:
    exporting(world)
    export(world.layout.state, world.published())
    working(world, scenes.EXPORT, lambda: None)

    with pytest.raises(StackError, match="expected files of gold-b2, found gold-b1"):
        scenes.exported(world)


def test_files_that_are_not_gold_are_red(world: Small) -> None:
    exporting(world)

    def lossy() -> None:
        export(world.layout.state, world.published())
        (world.layout.state / "export" / "current" / "gold_daily_metrics.parquet").unlink()

    working(world, scenes.EXPORT, lossy)

    with pytest.raises(TapehouseError, match="these differ: gold_daily_metrics"):
        scenes.exported(world)


def test_an_audit_is_asked_for_all_and_excuses_nothing(world: Small) -> None:
    assert world.audit() == "reconciled: ok, 2 checks, no gap"
    assert world.asked == ["audit"]

    world.verdict = {**OK, "verdict": "behind"}
    with pytest.raises(StackError, match="found behind and 0 gaps"):
        world.audit()


def test_a_gap_is_told_whatever_the_verdict() -> None:
    with pytest.raises(StackError, match="found ok and 3 gaps"):
        judged({**OK, "table": [{"gap": 3}, {"gap": None}]})
