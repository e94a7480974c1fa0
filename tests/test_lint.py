"""The linters, as tests: what `make lint` says and what CI says are the same thing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
LINTERS = {
    "ruff": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "sqlfluff": ["sqlfluff", "lint", "dbt_stocks"],
}


def run(*command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )


# The SQL linter renders and parses every model: a minute, which `make lint` takes.
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.long] if n == "sqlfluff" else []) for n in LINTERS],
)
def test_the_linter_finds_nothing(name: str) -> None:
    found = run(*LINTERS[name])

    assert found.returncode == 0, found.stdout + found.stderr


def test_the_lock_is_what_pyproject_compiles_to(tmp_path: Path) -> None:
    lock = ROOT / "requirements.txt"
    compiled = tmp_path / "requirements.txt"
    # The present lock as the starting point: only a change of pyproject may change the result,
    # not a release that came out since.
    compiled.write_text(lock.read_text())

    found = run(
        "uv", "pip", "compile", "pyproject.toml", "--all-extras", "--universal",
        "--generate-hashes", "--python-version", "3.11", "--quiet", "-o", str(compiled),
    )  # fmt: skip

    assert found.returncode == 0, found.stderr
    assert without_header(compiled) == without_header(lock), "run `make lock` and commit the result"


def without_header(lock: Path) -> list[str]:
    return [line for line in lock.read_text().splitlines() if not line.startswith("#")]
