"""The files by which people and CI use the project."""

import re
import subprocess

import pytest

from ingestion.settings import ROOT, SECTIONS


def test_the_example_names_every_setting_and_no_other() -> None:
    text = (ROOT / ".env.example").read_text()
    known = set().union(*(section.variables() for section in SECTIONS))
    assert set(re.findall(r"^#?([A-Z][A-Z_0-9]+)=", text, re.M)) == known


def test_the_example_shows_the_defaults() -> None:
    text = (ROOT / ".env.example").read_text()
    shown = dict(re.findall(r"^#([A-Z][A-Z_0-9]+)=(.*)$", text, re.M))
    defaults = {
        f"{section.model_config['env_prefix']}{name}".upper(): field.default
        for section in SECTIONS
        for name, field in section.model_fields.items()
    }
    for name, default in defaults.items():
        assert shown[name] == ("" if default is None else str(default)), name


def test_make_alone_lists_every_command() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^  make ([a-z0-9-]+) ", done.stdout, re.M))
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):(?!=)", text, re.M)) - {"ready"}
    assert listed == targets
    assert {"setup", "up", "down", "status", "reset", "demo", "test", "lint", "audit"} <= listed


def test_no_target_masks_an_exit_code() -> None:
    text = (ROOT / "Makefile").read_text() + (ROOT / ".ci" / "run").read_text()
    assert "||" not in text
    assert not re.search(r"^\t@?-", text, re.M)


def test_ci_calls_what_people_call() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1] == "set -euo pipefail"
    assert lines[-1] == "make test"
    assert len(lines) == 4


def test_a_failing_run_fails_make_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAPEHOUSE_ENV_FILE")  # set-up would complete the one that tests use
    done = subprocess.run(
        ["make", "test", "ARGS=--no-such-option"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
