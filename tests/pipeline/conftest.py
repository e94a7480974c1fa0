"""A state folder for each test, and stages whose commands need no stack."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from pipeline.stages import Stage

# Does what its first argument says; what follows is what the run appends.
_COMMAND = """
import json, os, pathlib, signal, sys
plan = json.loads(sys.argv[1])
for number in range(plan["lines"]):
    print(f"line {number}", flush=True)
if plan["sql"]:
    import duckdb
    with duckdb.connect(plan["sql"][0]) as warehouse:
        warehouse.execute(plan["sql"][1])
if plan["report"] is not None:
    pathlib.Path(sys.argv[sys.argv.index("--report") + 1]).write_text(json.dumps(plan["report"]))
if plan["shows"]:
    print(os.environ[plan["shows"]])
if plan["ends_well"]:
    signal.signal(signal.SIGTERM, lambda *_: None)
if plan["is_endless"]:
    signal.pause()
sys.exit(plan["code"])
"""


class MakeStage(Protocol):
    """Makes a stage whose command is a real process that does as told.

    ``sql`` is a DuckDB file and what is executed in it, ``shows`` a variable that it prints; one
    that ``ends_well`` is endless until SIGTERM, and then ends with its code.
    """

    def __call__(
        self,
        name: str,
        report: Mapping[str, Any] | None = None,
        *,
        code: int = 0,
        lines: int = 1,
        is_endless: bool = False,
        ends_well: bool = False,
        shows: str | None = None,
        sql: tuple[str, str] | None = None,
    ) -> Stage: ...


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of settings without any credential, in force here and in children."""
    folder = tmp_path / "var"
    settings = tmp_path / "env"
    settings.write_text(f"TAPEHOUSE_STATE_DIR={folder}\n")
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(settings))
    return folder


@pytest.fixture
def make_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeStage:
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "given_stage.py").write_text(_COMMAND)
    known = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(modules), known))))

    def make(name: str, report: Mapping[str, Any] | None = None, **plan: Any) -> Stage:
        whole = {
            "report": report, "code": 0, "lines": 1, "is_endless": False, "ends_well": False,
            "shows": None, "sql": None, **plan
        }  # fmt: skip
        return Stage(name, ("given_stage", json.dumps(whole)), lambda found: f"saw {found}")

    return make
