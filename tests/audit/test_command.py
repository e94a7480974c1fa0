"""The command as a person or a scheduler meets it: exit code, text, verdict file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.audit.test_plants import object_deleted
from tests.audit.world import BATCH, QUOTES, World

ROOT = Path(__file__).resolve().parents[2]


def audit(env_file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "audit", *arguments],
        cwd=ROOT,
        env=os.environ | {"TAPEHOUSE_ENV_FILE": str(env_file)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    file = tmp_path / "env"
    file.write_text(f"TAPEHOUSE_STATE_DIR={tmp_path}/var\nSTORE_PORT=1\nKAFKA_PORT=1\n")
    return file


def test_a_missing_variable_is_named_and_no_verdict_is_ok(nowhere: Path) -> None:
    stale = nowhere.parent / "var/audit/verdict.json"
    stale.parent.mkdir(parents=True)
    stale.write_text('{"verdict": "ok"}')
    found = audit(nowhere)
    assert found.returncode == 2
    assert "KAFKA_AUDITOR_PASSWORD is not set" in found.stdout
    assert "STORE_AUDITOR_ACCESS_KEY is not set" in found.stdout
    assert "Traceback" not in found.stdout + found.stderr
    assert json.loads(stale.read_text())["verdict"] == "unknown"


def test_a_store_that_does_not_answer_is_unknown_and_not_a_gap(nowhere: Path) -> None:
    with nowhere.open("a") as file:
        file.write("STORE_AUDITOR_ACCESS_KEY=a\nSTORE_AUDITOR_SECRET_KEY=b\n")
    found = audit(nowhere, "--stage", "bronze")
    assert found.returncode == 2
    assert "bronze.read" in found.stdout
    assert "violated" not in found.stdout


@pytest.mark.parametrize("line", ["nonsense", "KAFKA_PROT=1"])
def test_a_line_of_the_settings_file_that_nobody_understands_is_one_line_and_unknown(
    nowhere: Path, line: str
) -> None:
    stale = nowhere.parent / "var/audit/verdict.json"
    stale.parent.mkdir(parents=True)
    stale.write_text('{"verdict": "ok"}')
    with nowhere.open("a") as file:
        file.write(f"{line}\n")
    found = audit(nowhere)
    assert found.returncode == 2
    assert found.stderr.startswith(f"error: {nowhere}, line 4: ")
    assert len(found.stderr.splitlines()) == 1
    written = json.loads(stale.read_text())
    assert written["verdict"] == "unknown"
    assert f"error: {written['checks'][0]['detail']}" == found.stderr.strip()


@pytest.mark.parametrize("line", ["", "nonsense\n"], ids=["not read", "broken off"])
def test_a_violation_stands_where_an_audit_has_not_judged(nowhere: Path, line: str) -> None:
    verdict = nowhere.parent / "var/audit/verdict.json"
    verdict.parent.mkdir(parents=True)
    found = '{"verdict": "violated", "checks": [{"name": "gold.marts", "status": "violated"}]}'
    verdict.write_text(found)
    with nowhere.open("a") as file:
        file.write(line)
    report = nowhere.parent / "report.json"
    assert audit(nowhere, "--report", str(report)).returncode == 2
    assert verdict.read_text() == found
    assert json.loads(report.read_text())["verdict"] == "unknown"


def test_a_verdict_that_cannot_be_written_is_no_gap(nowhere: Path) -> None:
    folder = nowhere.parent / "var/audit"
    folder.parent.mkdir(parents=True)
    folder.touch()
    found = audit(nowhere)
    assert found.returncode == 2, "1 says that something was lost"
    assert "error: the verdict cannot be written: " in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.integration
@pytest.mark.parametrize(
    ("variable", "stage", "named"),
    [
        ("KAFKA_AUDITOR_PASSWORD", "kafka", "KAFKA_AUDITOR_PASSWORD"),
        ("KAFKA_AUDITOR_USERNAME", "kafka", "KAFKA_AUDITOR_USERNAME"),
        ("STORE_AUDITOR_ACCESS_KEY", "bronze", "STORE_AUDITOR_ACCESS_KEY"),
        ("STORE_AUDITOR_SECRET_KEY", "bronze", "STORE_AUDITOR_SECRET_KEY"),
        ("STORE_AUDITOR_SECRET_KEY", "lake", "STORE_AUDITOR_SECRET_KEY"),
        ("STORE_BRONZE_BUCKET", "bronze", "STORE_BRONZE_BUCKET"),
    ],
)
def test_a_wrong_credential_is_unknown_and_names_the_setting(
    world: World, monkeypatch: pytest.MonkeyPatch, variable: str, stage: str, named: str
) -> None:
    monkeypatch.setenv(variable, "wrong")
    found = audit(world.env_file, "--stage", stage)
    assert found.returncode == 2
    (line,) = [
        one for one in found.stdout.splitlines() if one.startswith(f"unknown   {stage}.read")
    ]
    assert named in line.partition("; check ")[2]


@pytest.mark.integration
def test_agreement_exits_with_0_and_writes_the_same_verdict_twice(
    world: World, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    found = audit(world.env_file, "--report", str(report))
    assert found.returncode == 0, found.stdout
    assert "audit: OK" in found.stdout
    verdict = json.loads(world.settings.state("audit", "verdict.json").read_text())
    assert verdict == json.loads(report.read_text())
    rows = {(row["topic"], row["partition"]): row for row in verdict["table"]}
    batch = rows[BATCH, 0]
    assert batch["kafka"] == batch["bronze"] == batch["warehouse"] == 10
    assert batch["lake"] + batch["rejected"] + batch["deduplicated"] == 10
    assert batch["silver"] + batch["quarantined"] + batch["rejected"] == 10
    assert batch["gap"] == 0


@pytest.mark.integration
def test_a_gap_exits_with_1_and_names_the_offsets(world: World) -> None:
    with object_deleted(world):
        found = audit(world.env_file)
    assert found.returncode == 1
    assert f"{BATCH}/0: offsets 4, 5, 6, 7 in Kafka, not in bronze" in found.stdout
    verdict = json.loads(world.settings.state("audit", "verdict.json").read_text())
    assert verdict["verdict"] == "violated"
    assert [row["gap"] for row in verdict["table"] if row["gap"]] == [4]


@pytest.mark.integration
def test_a_stage_alone_judges_nothing_else(world: World) -> None:
    with world.sql("delete from silver.silver_bars"):
        assert world.audit(stages=("bronze", "lake")).verdict == "ok"
        assert world.audit(stages=("silver",)).verdict == "violated"


@pytest.mark.integration
def test_stages_that_hold_take_back_no_violation_of_another(world: World) -> None:
    with world.sql("delete from silver.silver_bars"):
        assert audit(world.env_file).returncode == 1
        assert audit(world.env_file, "--stage", "bronze", "--stage", "lake").returncode == 0
        assert shown(world) == "violated"

    assert audit(world.env_file).returncode == 0
    assert shown(world) == "ok"


@pytest.mark.integration
def test_a_stage_that_is_violated_is_the_verdict_until_all_are_judged(world: World) -> None:
    assert audit(world.env_file).returncode == 0
    with object_deleted(world):
        assert audit(world.env_file, "--stage", "bronze").returncode == 1
    assert audit(world.env_file, "--stage", "kafka").returncode == 0
    assert shown(world) == "violated"


@pytest.mark.integration
def test_a_violation_of_some_stages_leaves_that_of_all_as_it_is(world: World) -> None:
    path = world.settings.state("audit", "verdict.json")
    with world.sql("delete from silver.silver_bars"):
        assert audit(world.env_file).returncode == 1
        before = path.read_bytes()
        assert audit(world.env_file, "--stage", "silver").returncode == 1
    assert path.read_bytes() == before
    assert audit(world.env_file).returncode == 0


@pytest.mark.integration
def test_a_warehouse_elsewhere_is_not_judged_and_the_verdict_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAREHOUSE_ENGINE", "snowflake")
    place = world.place(QUOTES, 2)
    sent = f"{place.topic}/{place.generation}/{place.partition}=8"
    with world.sql("delete from common.bronze_stock_quotes_raw"):
        all_ = audit(world.env_file, "--until", sent)
        gold = audit(world.env_file, "--stage", "gold")

    assert all_.returncode == 0, all_.stdout
    assert "skipped   warehouse.read: the warehouse is an account elsewhere" in all_.stdout
    assert shown(world) == "ok"
    assert gold.returncode == 2, "what nobody judges is not in order"


@pytest.mark.integration
def test_a_violation_of_what_is_elsewhere_now_stands(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.sql("delete from silver.silver_bars"):
        assert audit(world.env_file).returncode == 1
        with monkeypatch.context() as patch:
            patch.setenv("WAREHOUSE_ENGINE", "snowflake")
            assert audit(world.env_file).returncode == 0
        assert shown(world) == "violated"
    assert audit(world.env_file).returncode == 0
    assert shown(world) == "ok"


@pytest.mark.integration
def test_a_new_loss_is_shown_beside_the_violation_of_what_is_elsewhere_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with world.sql("delete from silver.silver_bars"):
        assert audit(world.env_file).returncode == 1
        with monkeypatch.context() as patch, object_deleted(world):
            patch.setenv("WAREHOUSE_ENGINE", "snowflake")
            assert audit(world.env_file).returncode == 1
        verdict = json.loads(world.settings.state("audit", "verdict.json").read_text())
    stages = {
        check["name"].partition(".")[0]
        for check in verdict["checks"]
        if check["status"] == "violated"
    }
    assert {"bronze", "silver"} <= stages
    assert [row["gap"] for row in verdict["table"] if row["gap"]] == [4]
    assert audit(world.env_file).returncode == 0


def shown(world: World) -> str:
    """Return the verdict that screens and alerts read."""
    found = json.loads(world.settings.state("audit", "verdict.json").read_text())
    return str(found["verdict"])


@pytest.mark.integration
def test_a_warehouse_that_stays_locked_is_unknown_after_a_visible_wait(world: World) -> None:
    lock = FileLock(world.settings.warehouse().with_suffix(".lock"))
    with lock, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_LOCK_TIMEOUT_S", "0.5")
        found = audit(world.env_file, "--stage", "gold")
    assert found.returncode == 2
    assert "waiting for the warehouse lock" in found.stderr
    assert "warehouse.read" in found.stdout


@pytest.mark.integration
def test_a_warehouse_that_vanished_after_it_was_published_is_a_gap(world: World) -> None:
    path = world.settings.warehouse()
    aside = path.rename(path.with_suffix(".aside"))
    try:
        verdict = world.audit()
    finally:
        aside.rename(path)
    assert verdict.verdict == "violated"
    names = {check.name for check in verdict.checks if check.status == "violated"}
    assert names == {"gold.published"}, "that something was loaded is known by what is published"
    late = {check.name for check in verdict.checks if check.status == "behind"}
    assert late == {"warehouse.records", "warehouse.quotes", "warehouse.metrics"}


@pytest.mark.integration
def test_a_second_audit_reads_only_what_is_new_and_a_full_one_reads_all(world: World) -> None:
    memory = world.settings.state("audit", "bronze.json")
    world.audit()
    known = json.loads(memory.read_text())
    assert len(known["objects"]) == world.object_count()
    key = sorted(known["objects"])[0]
    known["objects"][key]["object"]["runs"] = [[0, 2]]
    memory.write_text(json.dumps(known))
    again = world.audit(ledger=None)  # what a ledger names is read each time
    assert again.verdict == "violated", "the remembered object was read again"
    assert world.audit(full=True).verdict == "ok"
    memory.unlink()
    assert world.audit().verdict == "ok"
