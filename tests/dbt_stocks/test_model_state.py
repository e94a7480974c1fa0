"""What the tables' rows rest on: a part that was built alone, a refresh that was refused."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ingestion.settings import ROOT
from tests.dbt_stocks.conftest import Project
from tests.dbt_stocks.raw import RawWarehouse, action, at, bar, quote

BEFORE, DAYS = date(2013, 3, 4), (date(2013, 3, 5), date(2013, 3, 6))
SYMBOLS = ("AAPL", "GOOG", "IBM", "MSFT")
PRIORITY = "source_priority: [recorded, yahoo, alphavantage,"
OTHER_PRIORITY = "source_priority: [recorded, alphavantage, yahoo,"
# Marts of bars by different ways: through returns, through indicators, straight from silver.
CLOSES = {
    "gold_daily_metrics": "true",
    "gold_technical_indicators": "true",
    "gold_candlestick": "candle_interval = '1d'",
    "daily_stock_metrics": "true",
}


@dataclass(frozen=True)
class Story:
    """A project that was built in parts and then whole, and what was said and shown."""

    project: Project
    selected: "subprocess.CompletedProcess[str]"
    by_hand: "subprocess.CompletedProcess[str]"
    whole: dict[str, Any]
    closes: dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Rules:
    """The same project with other rules: a refresh that was refused, and the build after it."""

    project: Project
    refreshed: "subprocess.CompletedProcess[str]"
    after_refresh: dict[str, Any]
    closes_after_refresh: dict[str, list[tuple[Any, ...]]]
    state: list[tuple[Any, ...]]


def prices(close: str) -> tuple[str, str, str, str]:
    return (close, close, close, close)


def two_sources(raw: RawWarehouse, day: date, close: str, other: str) -> None:
    for symbol in SYMBOLS:
        raw.bars([bar(symbol, day, prices(close), source="yahoo")])
        raw.bars([bar(symbol, day, prices(other), source="alphavantage")])


def closes(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """Return the days, sources and closes that each published mart shows of a share."""
    columns = {"daily_stock_metrics": "daily_close"}
    return {
        mart: project.raw.query(
            f"select session_date, source, {columns.get(mart, 'close_price')}::double "
            f"from gold.{mart} where symbol = 'IBM' and {condition} "
            f"and session_date >= '{BEFORE}' order by all"
        )
        for mart, condition in CLOSES.items()
    }


def dbt_by_hand(project: Project, *arguments: str) -> None:
    target = str(project.state / "by_hand")
    done = subprocess.run(
        [str(Path(sys.executable).parent / "dbt"), "run", *arguments,
         "--target-path", target, "--log-path", target],
        cwd=ROOT / "dbt_stocks",
        env=os.environ | {"WAREHOUSE_PATH": str(project.raw.path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def with_other_rules(project: Project, folder: Path, *arguments: str) -> Any:
    """Run the gate of a copy of the project that prefers another source."""
    if not folder.exists():
        ignored = shutil.ignore_patterns("target", "logs", "__pycache__")
        shutil.copytree(ROOT / "dbt_stocks", folder / "dbt_stocks", ignore=ignored)
        rules = folder / "dbt_stocks/dbt_project.yml"
        assert PRIORITY in rules.read_text()
        rules.write_text(rules.read_text().replace(PRIORITY, OTHER_PRIORITY))
    return subprocess.run(
        [sys.executable, "-m", "dbt_stocks", *arguments],
        cwd=folder,
        env=project.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def story(two_batches: Project, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("story")
    shutil.copytree(two_batches.state, folder / "state", symlinks=True)
    (folder / "state" / "env").write_text(f"TAPEHOUSE_STATE_DIR={folder / 'state'}\n")
    project = Project(folder / "state")
    raw = project.raw
    raw.batch, raw.offsets = 3, {"stock-market-batch": 300}
    two_sources(raw, BEFORE, "20", "21")
    two_sources(raw, DAYS[0], "22", "23")
    raw.actions([action("MSFT", DAYS[0], "dividend", "1"), action("IBM", BEFORE, "split", "2")])

    selected = project.dbt_stocks("build", "--select", "silver_corporate_actions_judged+")
    # Also asks for less than is new: what is passed over stays to be computed.
    dbt_by_hand(project, "--select", "+gold_daily_metrics", "gold_treechart",
                "--vars", "from_batch: 99")  # fmt: skip
    by_hand = project.dbt_stocks("publish")
    whole = project.build("--build-id", "whole")
    return Story(project, selected, by_hand, whole, closes(project))


@pytest.fixture(scope="module")
def rules(story: Story) -> Rules:
    project, raw = story.project, story.project.raw
    rules = project.state.parent / "other"
    raw.query("update common.daily_stock_metrics_raw set daily_change = 77 where symbol = 'IBM'")
    refreshed = with_other_rules(project, rules, "build", "--full-refresh")
    raw.query("update common.daily_stock_metrics_raw set daily_change = 0 where symbol = 'IBM'")
    raw.batch, raw.offsets = 4, {"stock-market-batch": 400}
    two_sources(raw, DAYS[1], "24", "25")
    report = project.state / "after.json"
    after = with_other_rules(
        project, rules, "build", "--build-id", "after", "--report", str(report)
    )
    assert after.returncode == 0, after.stderr
    return Rules(
        project,
        refreshed,
        json.loads(report.read_text()),
        closes(project),
        raw.query("select model_name, covered_batch, generation from ops.model_state "
                  "where kept_for = '' and content_hash is null order by all"),
    )  # fmt: skip


def test_a_selection_that_leaves_models_behind_is_not_published(story: Story) -> None:
    assert story.selected.returncode == 1
    said = story.selected.stderr.splitlines()[-1]
    assert said.startswith("error: expected all models to be of the same load batches, found ")
    assert "silver_bars_judged" in said and "without load batch 3" in said
    assert said.endswith("gold unchanged: run `python -m dbt_stocks build`, all of it")


def test_a_part_that_was_built_by_hand_is_not_published(story: Story) -> None:
    assert story.by_hand.returncode == 1
    said = story.by_hand.stderr.splitlines()[-1]
    assert "daily_stock_metrics" in said and "without load batch 3" in said
    assert "gold_daily_metrics" not in said and "silver_bars_judged" not in said


def test_what_partial_builds_passed_over_is_in_the_next_one(story: Story) -> None:
    expected = [(BEFORE, "yahoo", 20.0), (DAYS[0], "yahoo", 22.0)]

    assert story.whole["status"] == "published"
    assert story.closes == dict.fromkeys(CLOSES, expected)
    assert story.whole["rebuilt"] == []
    assert story.project.raw.value(
        "select load_batch_id from ops.builds where build_id = 'whole'"
    ) == 3  # fmt: skip


@pytest.mark.long
def test_after_a_refused_refresh_all_marts_are_of_the_new_rules(rules: Rules) -> None:
    assert rules.refreshed.returncode == 1
    assert "daily_stock_metrics_change" in rules.refreshed.stderr
    expected = [
        (BEFORE, "alphavantage", 21.0),
        (DAYS[0], "alphavantage", 23.0),
        (DAYS[1], "alphavantage", 25.0),
    ]

    assert rules.closes_after_refresh == dict.fromkeys(CLOSES, expected)
    rebuilt = " ".join(rules.after_refresh["rebuilt"])
    assert "gold_daily_metrics was rebuilt in full: fct_adjustment_factor, silver_" in rebuilt
    assert "silver_bars_judged was" not in rebuilt


@pytest.mark.long
def test_every_table_has_a_state_and_covers_the_newest_batch(rules: Rules) -> None:
    tables = rules.project.raw.query(
        "select table_name from duckdb_tables() where schema_name in "
        "('silver', 'verdicts', 'quarantine', 'gold_candidate') order by all"
    )

    assert [(name,) for name, *_ in rules.state] == tables
    assert {batch for name, batch, _ in rules.state if name != "gold_dq_scorecard"} == {4}


@pytest.mark.long
def test_after_a_change_of_a_seed_all_that_stands_on_it_is_judged_anew(rules: Rules) -> None:
    raw, copy = rules.project.raw, rules.project.state.parent / "other"
    refused = "select count(*) from quarantine.quarantine_bars where symbol = 'ZZZZ'"
    shown = "select count(*) from gold.gold_daily_metrics where symbol = 'ZZZZ'"
    before = raw.value(refused), raw.value(shown)
    instruments = copy / "dbt_stocks/seeds/instruments.csv"
    span = "1999-01-01,2013-02-28"
    listed = f"zzzz@1999-01-01,zzzz,ZZZZ,Zed,XNAS,USD,Energy,Oil,true,{span},{span}\n"
    instruments.write_text(instruments.read_text() + listed)

    report = rules.project.state / "seeded.json"
    done = with_other_rules(
        rules.project, copy, "build", "--build-id", "seeded", "--report", str(report)
    )

    assert done.returncode == 0, done.stderr
    assert before == (1, 0)
    assert (raw.value(refused), raw.value(shown)) == (0, 1)
    rebuilt = json.loads(report.read_text())["rebuilt"]
    assert "silver_bars_judged was rebuilt in full: instruments had been rebuilt" in rebuilt


@pytest.mark.long
def test_a_selection_that_has_all_that_is_new_is_published(rules: Rules) -> None:
    """What reads bars alone has nothing to do with a batch of quotes, and lacks nothing."""
    raw = rules.project.raw
    raw.batch, raw.offsets = 5, {"stock-quotes": 500}
    raw.quotes([quote("AAPL", at(2013, 3, 7, 15, 30), 10.0)])

    done = with_other_rules(
        rules.project,
        rules.project.state.parent / "other",
        *("build", "--build-id", "quotes", "--select", "bronze_stock_quotes+"),
    )

    assert done.returncode == 0, done.stderr
    assert raw.query("select load_batch_id, status from ops.builds where build_id = 'quotes'") == [
        (5, "published")
    ]
    assert raw.value("select count(*) from silver.silver_quotes where batch_id = 5") == 1
    covered = dict(raw.query("select model_name, covered_batch from ops.model_state"
                             " where kept_for = ''"))  # fmt: skip
    assert covered["silver_quotes_judged"] == covered["gold_kpi"] == 5
    assert covered["silver_bars_judged"] == 4


@pytest.mark.long
def test_what_has_something_new_is_built_alone(rules: Rules) -> None:
    raw, copy = rules.project.raw, rules.project.state.parent / "other"
    raw.batch, raw.offsets = 6, {"stock-quotes": 600}
    raw.quotes([quote("AAPL", at(2013, 3, 7, 15, 40), 10.0)])

    report = rules.project.state / "new.json"
    done = with_other_rules(
        rules.project, copy, "build", "--build-id", "new", "--only-new", "--report", str(report)
    )

    assert done.returncode == 0, done.stderr
    found = json.loads(report.read_text())
    built_by = dict(
        raw.query(
            "select model_name, build_id from ops.model_state "
            "where kept_for = '' and model_name <> 'gold_dq_scorecard'"
        )
    )
    built = sum(build == "new" for build in built_by.values())
    assert (found["status"], found["models"]) == ("published", built)
    assert f"{built} of {len(built_by) + 1} tables have something new" in done.stderr
    assert built_by["gold_kpi"] == built_by["silver_quotes_judged"] == "new"
    assert built_by["gold_daily_metrics"] != "new"
    assert raw.value("select count(*) from silver.silver_quotes where batch_id = 6") == 1


@pytest.mark.long
def test_a_session_that_few_have_is_not_published(rules: Rules) -> None:
    """Last, since it changes the story's project."""
    raw = rules.project.raw
    raw.batch, raw.offsets = 7, {"stock-market-batch": 700}
    raw.bars([bar("AAPL", date(2013, 3, 7), prices("26"), source="yahoo")])
    # The session after it has all of them: the one before does not become whole by that.
    two_sources(raw, date(2013, 3, 8), "27", "27")

    failed = rules.project.dbt_stocks("build", "--build-id", "few")

    assert failed.returncode == 1
    assert "fail test newest_sessions_are_complete, 3 failing rows" in failed.stderr
    found = raw.query(
        "select test_name, status from ops.test_results where build_id = 'few' "
        "and status not in ('pass', 'skipped') and test_name like 'newest%' order by all"
    )
    assert found == [
        ("newest_sessions_are_complete", "fail"),
        ("newest_sessions_lack_bars", "warn"),
    ]
