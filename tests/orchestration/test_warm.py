"""What Airflow's processes load before they fork."""

import subprocess
import sys

import pytest

from ingestion.settings import ROOT
from tests.orchestration.support import DAGS

PARSE = """
import runpy, sys
from orchestration import warm

warm.load()
before = set(sys.modules)
runpy.run_path(sys.argv[1])
new = sorted(set(sys.modules) - before)
slow = ("cosmos", "dbt", "dbt_common", "fastapi", "filelock")
print([name for name in new if name.split(".")[0] in slow])
"""
ADAPTERS = """
import sys
from orchestration import warm

warm.load()
print(sorted({name.split(".")[2] for name in sys.modules if name.startswith("dbt.adapters.")}
             & {"duckdb", "snowflake"}))
"""


def last_line(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_parse_of_the_batch_pipeline_finds_the_slow_libraries_loaded(manifest: None) -> None:
    assert last_line(PARSE, str(DAGS / "stock_market_batch_pipeline.py")) == "[]"


@pytest.mark.parametrize("engine", ["duckdb", "snowflake"])
def test_the_adapter_is_that_of_the_configured_warehouse(
    monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setenv("WAREHOUSE_ENGINE", engine)

    assert last_line(ADAPTERS) == f"['{engine}']"


def test_as_a_command_it_is_airflows_own() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-X", "importtime", "-m", "orchestration.warm"),
            *("dag-processor", "--help"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "--bundle-name" in done.stdout
    assert "cosmos.operators.local" in done.stderr
