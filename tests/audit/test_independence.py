"""The auditor shares no code with what it judges: a fault there must not blind it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
JUDGED = {"ingestion", "spark_jobs", "dbt_stocks", "pipeline", "infra"}
MODULES = sorted((ROOT / "audit").rglob("*.py"))


def imported(module: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_no_module_imports_what_it_judges(module: Path) -> None:
    assert not imported(module) & JUDGED


def test_nothing_of_it_is_loaded_by_way_of_another_package() -> None:
    script = (
        "import importlib, pkgutil, sys, audit\n"
        "for found in pkgutil.walk_packages(audit.__path__, 'audit.'):\n"
        "    importlib.import_module(found.name)\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "audit" in loaded.stdout.split()
    assert not set(loaded.stdout.split()) & JUDGED
