"""The local providers of the demo: they start, serve a session at speed, and end with the run."""

import json
from pathlib import Path
from urllib.request import urlopen

import psutil
import pytest

from ingestion.errors import StackError
from pipeline import local


def fakes() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [child for child in children if "fakes" in child.cmdline()]


def test_the_providers_serve_while_the_stages_run_and_end_with_them(state: Path) -> None:
    folder = state / "demo"
    folder.mkdir(parents=True)
    with local.providers(folder, ("--ledger", "x")) as stages:
        bars = next(stages)
        assert bars.name == "produce bars"
        assert bars.environment["YAHOO_BASE_URL"].startswith("http://127.0.0.1:")
        assert bars.arguments[-2:] == ("--ledger", "x")
        watched = list(stages)
        assert [stage.name for stage in watched] == ["produce quotes", "produce trades"]
        assert all(stage.ends_after_s == local.WATCHED_S for stage in watched)
        control = (folder / "providers.log").read_text().splitlines()[-1].split()[-1]
        with urlopen(f"{control}/state", timeout=10) as answer:
            served = json.load(answer)
        assert (served["session_open"], served["speed"]) == (True, local.SPEED)
        assert len(fakes()) == 1
    assert fakes() == []


def test_they_end_where_a_stage_fails(state: Path) -> None:
    (state / "demo").mkdir(parents=True)
    with pytest.raises(StackError, match="a stage"), local.providers(state / "demo", ()) as stages:
        next(stages)
        raise StackError("a stage")
    assert fakes() == []


def test_providers_that_do_not_start_are_told(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SCRIPT", state / "no-script.yml")
    (state / "demo").mkdir(parents=True)
    with (
        pytest.raises(StackError, match=r"providers\.log"),
        local.providers(state / "demo", ()) as stages,
    ):
        pytest.fail(f"started with {stages}")
