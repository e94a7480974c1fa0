"""The demo's own work: what it does with stages' reports, and how it tells what went wrong."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from rich.console import Console

from ingestion.errors import BuildError, StackError, TapehouseError, WarehouseLockedError
from ingestion.settings import WarehouseSettings
from pipeline import counts, demo, job
from pipeline.demo import Demo
from pipeline.screen import Screen
from pipeline.stages import Stage, StageError
from tests.pipeline.conftest import MakeStage

BUILD = "20261122T010350Z-c98f74"
TABLE = [
    {
        "topic": "stock-market-batch", "partition": 1, "kafka": 1200, "bronze": 1200, "lake": 1200,
        "rejected": 0, "deduplicated": 0, "warehouse": 1200, "silver": 1200, "quarantined": 0,
        "gap": 0,
    },
    {
        "topic": "stock-quotes", "partition": 0, "kafka": 0, "bronze": 0, "lake": None,
        "rejected": None, "deduplicated": 0, "warehouse": 0, "silver": 0, "quarantined": 0,
        "gap": 0,
    },
]  # fmt: skip
VERDICT = {"verdict": "ok", "table": TABLE, "checks": [1, 2]}
REPORTS: dict[str, dict[str, Any]] = {
    "produce bars": {"delivered": 1200},
    "produce trades": {"delivered": 34},
    "load": {"rows": 1200},
    "reconcile": VERDICT,
}


# What the warehouse holds before and after: rows of silver, of gold, and copies of both kinds.
BEFORE = """
create schema silver; create schema gold; create schema common; create schema verdicts;
create table silver.silver_bars as select * from range(1000);
create table gold.gold_daily_metrics as select * from range(2000);
create table common.rejects_raw as select 'duplicate' as reason from range(10);
create table verdicts.silver_quotes_deduplicated as select * from range(5);
"""
AFTER = """
insert into silver.silver_bars select * from range(1200);
insert into gold.gold_daily_metrics select * from range(700);
insert into common.rejects_raw select 'duplicate' from range(30);
insert into verdicts.silver_quotes_deduplicated select * from range(4);
"""


class GivenKill:
    """A kill with a given end; counts how often it was tried while records were sent."""

    def __init__(self, end: int | TapehouseError) -> None:
        self._end = end
        self.held: int | None = None
        self.attempts = 0

    def attempt(self) -> None:
        self.attempts += 1

    def finish(self) -> int:
        if isinstance(self._end, TapehouseError):
            raise self._end
        self.held = self._end
        return self._end


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def stages(state: Path, make_stage: MakeStage) -> dict[str, Stage]:
    """The stages that the demo runs, by name; a test may put others in."""
    warehouse = WarehouseSettings.load().file()
    warehouse.parent.mkdir(parents=True)
    with duckdb.connect(warehouse) as db:
        db.execute(BEFORE)
    return {
        "stack up": replace(make_stage("stack up"), reports=False),
        "produce bars": make_stage("produce bars", {"delivered": 1200}),
        "produce trades": make_stage("produce trades", {"delivered": 34}),
        "load": make_stage("load", {"rows": 1200}, sql=(str(warehouse), AFTER)),
        "reconcile": make_stage("reconcile", {"verdict": "ok", "table": TABLE, "checks": [1]}),
    }


@pytest.fixture
def make(
    stages: dict[str, Stage], out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Demo]:
    """Make a demo of ``stages``, of which the last two follow the records' sending."""

    def make(with_kill: bool = False) -> Demo:
        monkeypatch.setattr(demo, "STACK_UP", stages["stack up"])
        for name in ("produce bars", "produce trades"):
            monkeypatch.setattr(job, name.replace(" ", "_"), producing(stages[name]))
        monkeypatch.setattr(job, "after_produce", lambda: (stages["load"], stages["reconcile"]))
        return Demo(Screen(Console(file=out, width=160), Demo.n_stages()), with_kill)

    return make


def producing(stage: Stage) -> Callable[..., Stage]:
    return lambda *options: replace(stage, arguments=(*stage.arguments, *options))


@pytest.fixture
def gold(state: Path) -> None:
    """Gold as a build has published it."""
    folder = WarehouseSettings.load().published()
    folder.mkdir(parents=True)
    with duckdb.connect(folder / "gold-1.duckdb") as db:
        db.execute("create schema gold; create schema ops")
        db.execute("create table ops.builds as select ? as build_id", [BUILD])
        db.execute(
            "create table gold.gold_kpi as select 'IBM' as symbol, date '2013-03-01' as "
            "session_date, 202.91::decimal(18, 6) as current_price, 2.08 as change_price, "
            "1.0361 as change_pct, 199.36 as day_low_price, 202.94 as day_high_price, "
            "3308300 as volume_shares, 'post' as market_state, 'recorded' as source, "
            "false as simulated"
        )
    (folder / "current").symlink_to("gold-1.duckdb")


def report(state: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((state / "demo" / "report.json").read_text())
    return found


@pytest.mark.usefixtures("gold")
def test_what_was_sent_and_what_grew_is_reported(make: Callable[..., Demo], state: Path) -> None:
    make().run()

    found = report(state)
    assert found["ok"] is True
    assert found["sent"] == 1234
    assert found["added"] == {"silver": 1200, "gold": 700, "deduplicated": 34}
    assert found["gold_rows"] == {"gold_daily_metrics": 2700}
    assert found["reconciliation"] == {"verdict": "ok", "table": TABLE}
    assert [stage["name"] for stage in found["stages"]] == [
        "stack up", "produce bars", "produce trades", "load", "reconcile"
    ]  # fmt: skip


@pytest.mark.usefixtures("gold")
def test_both_producers_keep_a_ledger_for_the_audit(
    make: Callable[..., Demo], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, asked = make(), []
    for name in ("produce_bars", "produce_trades"):
        given = getattr(job, name)
        monkeypatch.setattr(job, name, lambda *o, given=given: asked.append(o) or given(*o))

    made.run()

    assert asked == [("--ledger", str(state / "ledger"))] * 2


@pytest.mark.usefixtures("gold")
def test_what_came_out_is_shown(make: Callable[..., Demo], out: io.StringIO, state: Path) -> None:
    make().run()

    lines = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "[ 2/5] produce bars" in " ".join(lines)
    assert lines[4].startswith("[ 5/5] reconcile"), "one line a stage"
    assert f"gold_kpi, build {BUILD}" in lines
    assert "IBM 2013-03-01 202.91 2.08 1.04 199.36 202.94 3,308,300 post recorded no" in lines, (
        lines
    )
    assert "stock-market-batch/1 1,200 1,200 1,200 0 0 1,200 1,200 0 0" in lines
    assert not any(line.startswith("stock-quotes/0") for line in lines), "it never had a record"
    assert "sent 1,234; silver +1,200 rows, gold +700 rows, deduplicated +34" in lines
    assert f"report {state / 'demo' / 'report.json'}" in lines


@pytest.mark.usefixtures("gold")
def test_a_failing_stage_is_reported_and_nothing_runs_after_it(
    make: Callable[..., Demo], stages: dict[str, Stage], make_stage: MakeStage, state: Path
) -> None:
    make().run()
    stages["produce trades"] = make_stage("produce trades", {"delivered": 0}, code=3)
    (state / "demo" / "load.json").unlink()

    with pytest.raises(StageError, match="'produce trades' failed"):
        make().run()

    found = report(state)
    assert found["ok"] is False
    assert "ended with 3" in found["error"]
    assert [stage["name"] for stage in found["stages"]] == ["stack up", "produce bars"]
    assert not (state / "demo" / "load.json").exists()


def test_gold_that_cannot_be_shown_is_a_failed_run(make: Callable[..., Demo], state: Path) -> None:
    with pytest.raises(BuildError, match="no build yet"):
        make().run()

    assert report(state)["ok"] is False


@pytest.mark.usefixtures("gold")
def test_a_warehouse_that_cannot_be_counted_is_a_failed_run_and_waiting_is_shown(
    make: Callable[..., Demo], state: Path, out: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(say: Callable[[str], None]) -> None:
        say("waiting for it")
        raise WarehouseLockedError("held")

    monkeypatch.setattr(counts, "read", read)

    with pytest.raises(WarehouseLockedError):
        make().run()

    assert (report(state)["ok"], report(state)["error"]) == (False, "held")
    assert "waiting for it" in out.getvalue()


@pytest.mark.usefixtures("gold")
def test_a_lander_is_killed_while_records_are_sent_and_the_report_says_what_it_held(
    make: Callable[..., Demo],
    state: Path,
    out: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kill = GivenKill(4321)
    monkeypatch.setattr(demo, "lander_kill", lambda: kill)

    make(with_kill=True).run()

    assert kill.attempts > 0
    assert report(state)["lander_killed_holding"] == 4321
    assert "held at least 4,321 records" in out.getvalue()


@pytest.mark.usefixtures("gold")
def test_a_run_in_which_no_lander_could_be_killed_fails(
    make: Callable[..., Demo], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "lander_kill", lambda: GivenKill(StackError("no lander")))

    with pytest.raises(StackError):
        make(with_kill=True).run()

    found = report(state)
    assert (found["ok"], found["error"]) == (False, "no lander")
    assert [stage["name"] for stage in found["stages"]][-1] == "produce trades"


@pytest.mark.usefixtures("gold")
def test_a_run_that_is_broken_off_leaves_no_report_of_an_earlier_one(
    make: Callable[..., Demo], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ctrl_c(*_: object) -> None:
        raise KeyboardInterrupt

    make().run()
    monkeypatch.setattr(Screen, "running", ctrl_c)

    with pytest.raises(KeyboardInterrupt):
        make().run()

    assert not (state / "demo" / "report.json").exists()


@pytest.mark.usefixtures("gold")
def test_no_lander_is_killed_unasked(
    make: Callable[..., Demo], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "lander_kill", lambda: pytest.fail("nobody asked for it"))

    make().run()

    assert "lander_killed_holding" not in report(state)
