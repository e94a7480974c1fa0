"""The self-test: red six times on a sound stack, and honest where it is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from audit import bucket, selftest
from audit.ledger import Ledger
from audit.run import Options
from audit.tampering import without_lines
from tests.audit.test_command import audit
from tests.audit.test_ledger import acked, intend, opened, text
from tests.audit.test_plants import object_deleted
from tests.audit.world import World

AIMS = {
    "object deleted": "bronze.chain",
    "object truncated": "bronze.objects",
    "byte flipped": "bronze.objects",
    "Parquet file doubled": "lake.records",
    "ledger id dropped": "ledger.alien",
    "commit ahead": "kafka.committed",
}


def state(world: World) -> dict[str, bytes]:
    """Return what the auditor keeps of what is really there."""
    folder = world.settings.state("audit")
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "self-test.json"}


def run(world: World, **options: Any) -> selftest.Report:
    folder = {"ledger": world.settings.state("ledger")}
    return selftest.run(world.settings, Options(**(folder | options)), lambda _: None)


@pytest.mark.integration
def test_six_plants_turn_red_and_nothing_is_changed(world: World) -> None:
    world.audit()
    before = state(world)
    found = audit(world.env_file, "--self-test", "--ledger-is-complete")
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.endswith("6 of 6 plants turned red\n")
    told = json.loads(world.settings.state("audit", "self-test.json").read_text())
    assert {one["plant"]: one["check"] for one in told["outcomes"]} == AIMS
    assert {one["result"] for one in told["outcomes"]} == {"red"}
    assert state(world) == before
    assert world.audit().verdict == "ok"


@pytest.mark.integration
def test_an_auditor_that_looks_away_stays_green_and_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_objects", lambda place, items: [])
    report = run(world)
    results = {one.plant: one.result for one in report.outcomes}
    assert results["object truncated"] == results["byte flipped"] == "green"
    assert results["ledger id dropped"] == "red", "an intent alone is missed by its outcome"
    assert report.exit_code == 1


@pytest.mark.integration
def test_a_stack_without_a_ledger_has_no_place_for_one_plant(world: World) -> None:
    report = run(world, ledger=None)
    (missing,) = [one for one in report.outcomes if one.result != "red"]
    assert (missing.plant, missing.result) == ("ledger id dropped", "not planted")
    assert missing.sentence == "there is no ledger: give --ledger FOLDER"
    assert report.exit_code == 2


@pytest.mark.integration
def test_on_a_stack_that_is_violated_it_proves_nothing_and_says_so(world: World) -> None:
    with object_deleted(world):
        report = run(world)
    assert report.exit_code == 2
    assert report.outcomes == []
    assert "violated, and a plant would prove nothing: ledger.acked" in report.text()


@pytest.mark.parametrize(("only_intents", "acks"), [(True, 2), (False, 1)])
def test_a_ledger_is_read_without_one_id(tmp_path: Path, only_intents: bool, acks: int) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(text([opened(), intend("a"), acked("a", 1), intend("ab")]))
    ledger = Ledger(tmp_path, without_lines("a", only_intents))
    assert len(ledger.read().intended.ids) == 1
    with file.open("a") as more:
        more.write(text([acked("ab", 2), intend("c")]))
    book = ledger.read()
    assert (len(book.intended.ids), len(book.acked.ids)) == (2, acks)
