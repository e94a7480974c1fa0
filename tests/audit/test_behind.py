"""Records on their way are told apart from lost ones, stage by stage."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from audit.model import Check, Verdict
from audit.report import render
from tests.audit.test_command import audit
from tests.audit.world import BATCH, BUILT, QUOTES, World

pytestmark = pytest.mark.integration


def late(verdict: Verdict) -> dict[str, list[int | str]]:
    """Return the examples of every check that is behind, by name; there is nothing worse."""
    assert verdict.verdict == "behind", render(verdict)
    found: dict[str, list[int | str]] = {}
    for check in verdict.checks:
        if check.status == "behind":
            found.setdefault(check.name, []).extend(check.examples)
    return found


def status(verdict: Verdict, name: str) -> set[str]:
    checks: list[Check] = [check for check in verdict.checks if check.name == name]
    return {check.status for check in checks}


@contextmanager
def without_the_last_object(world: World) -> Iterator[None]:
    """Have bronze as it was before its last object, with no audit's memory of it."""
    memory = world.settings.state("audit", "bronze.json")
    memory.unlink(missing_ok=True)
    with world.instead(world.key(BATCH, 0, 8)):
        yield
        memory.unlink(missing_ok=True)


def test_a_lander_that_lags_is_behind_with_an_exit_code_of_its_own(world: World) -> None:
    with without_the_last_object(world):
        verdict = world.audit(stages=("kafka", "bronze"))
        found = audit(world.env_file, "--stage", "bronze")
        excused = audit(world.env_file, "--stage", "bronze", "--allow-behind")
    assert late(verdict) == {"bronze.records": [8, 9]}
    assert found.returncode == 3
    text = f"behind    bronze.records: {BATCH}/0: offsets 8, 9 in Kafka, not yet in bronze"
    assert text in found.stdout
    assert "audit: BEHIND" in found.stdout
    assert excused.returncode == 0
    written = json.loads(world.settings.state("audit", "stages.json").read_text())
    assert written["verdict"] == "behind", "the option excuses, it does not change the verdict"


def test_allowing_to_be_behind_excuses_no_loss(world: World) -> None:
    with world.instead(world.key(BATCH, 0, 4)):
        found = audit(world.env_file, "--stage", "bronze", "--allow-behind")
    assert found.returncode == 1


def test_what_was_committed_or_seen_before_is_not_on_its_way(world: World) -> None:
    with without_the_last_object(world):
        world.commit(BATCH, 0, 10)
        committed = world.audit(stages=("bronze",))
        world.commit(BATCH, 0, 8)
        assert world.audit(stages=("bronze",)).verdict == "behind"
    world.audit(stages=("bronze",))
    with world.instead(world.key(BATCH, 0, 8)):
        seen = world.audit(stages=("bronze",))
    assert "violated" in status(committed, "bronze.records")
    assert "violated" in status(seen, "bronze.records")


def test_what_was_sent_through_is_not_on_its_way(world: World) -> None:
    place = world.place(BATCH, 0)
    name = f"{place.topic}/{place.generation}/{place.partition}"
    with without_the_last_object(world):
        behind = audit(
            world.env_file, "--stage", "bronze", "--allow-behind", "--until", f"{name}=8"
        )
        lost = audit(world.env_file, "--stage", "bronze", "--allow-behind", "--until", f"{name}=9")
        verdict = world.audit(stages=("bronze",), until={place: 9})
    assert behind.returncode == 0, behind.stdout
    assert lost.returncode == 1, lost.stdout
    assert {
        (check.name, check.status): list(check.examples)
        for check in verdict.checks
        if check.status in ("violated", "behind")
    } == {
        ("bronze.records", "violated"): [8],
        ("bronze.records", "behind"): [9],
        ("bronze.until", "violated"): [8],
    }


def test_no_stage_may_lack_what_was_sent_through(world: World) -> None:
    sent = {world.place(BATCH, 1): 6, world.place(QUOTES, 2): 7}
    with world.sql(
        "delete from common.bronze_stock_quotes_raw where cast(v['offset'] as int) >= 4;"
        f"delete from ops.load_ledger where file = '{world.key(QUOTES, 2, 4)}';"
        f"update common.bars_raw set loaded_at = timestamp '{BUILT}' + interval 1 hour"
        ' where partition = 1 and "offset" = 4;'
        'delete from silver.silver_bars where partition = 1 and "offset" = 4'
    ):
        verdict = world.audit(stages=("warehouse", "silver"), until=sent)
    found = {c.name: list(c.examples) for c in verdict.checks if c.status == "violated"}
    assert found["warehouse.quotes"] == [4, 5, 6]
    assert found["silver.bars"] == [4]


def test_an_end_that_nobody_understands_is_told(world: World) -> None:
    found = audit(world.env_file, "--until", f"{BATCH}/0=9")
    assert found.returncode == 2
    assert "expected TOPIC/GENERATION/PARTITION=OFFSET" in found.stderr


def test_what_compaction_has_not_come_to_is_behind(world: World) -> None:
    with world.lake("silver.corporate_actions") as table:
        rows = table.scan().to_arrow().slice(0, 0)
        table.append(rows, snapshot_properties={"tapehouse.positions": world.positions(less=1)})
        found = late(world.audit(stages=("lake",)))
    assert found == {"lake.positions": [9, 5]}


def test_what_is_not_loaded_yet_is_behind(world: World) -> None:
    last = world.key(QUOTES, 2, 4)
    with world.sql(
        "delete from common.bronze_stock_quotes_raw where cast(v['offset'] as int) >= 4;"
        f"delete from ops.load_ledger where file = '{last}'"
    ):
        verdict = world.audit(stages=("warehouse",))
    assert late(verdict) == {"warehouse.quotes": [4, 5, 6, 7]}


def test_metrics_that_are_not_loaded_yet_are_behind(world: World) -> None:
    with world.sql(
        "delete from common.realtime_stock_analytics_raw;"
        "delete from ops.load_ledger where file like '%analytics'"
    ):
        (named,) = late(world.audit(stages=("warehouse",)))["warehouse.metrics"]
    assert str(named).endswith("1 in the lake, 0 loaded")


def test_what_was_loaded_after_the_last_build_is_behind(world: World) -> None:
    with world.sql(
        f"update common.bars_raw set loaded_at = timestamp '{BUILT}' + interval 1 hour"
        ' where partition = 1 and "offset" = 4;'
        'delete from silver.silver_bars where partition = 1 and "offset" = 4'
    ):
        verdict = world.audit(stages=("silver",))
    assert late(verdict) == {"silver.bars": [4]}


def test_gold_is_behind_after_a_build_that_was_not_published(world: World) -> None:
    with world.sql(
        "insert into ops.builds "
        f"values ('2', 'failed', null, timestamp '{BUILT}' + interval 1 hour);"
        "update silver.silver_daily_bars set session_date = '2013-03-04'"
    ):
        verdict = world.audit(stages=("gold",))
    assert set(late(verdict)) == {"gold.marts"}
