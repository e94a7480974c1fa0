"""An Airflow for the tests: a home and a metadata database of its own, before Airflow is imported.

Airflow reads its configuration when it is imported, so the environment is set here and not in a
fixture. Each worker process has its own.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingestion.settings import ROOT

Make = Callable[[str], str]

# A command, for `make`, that takes SIGTERM as a wish; ``meanwhile`` is what it does once it is up.
GRACEFUL = """
    import os, pathlib, signal, sys, time
    asked = []
    signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
    print("up", flush=True)
    {meanwhile}
    while not asked:
        time.sleep(0.01)
    if "--report" in sys.argv:
        report = pathlib.Path(sys.argv[sys.argv.index("--report") + 1])
        report.write_text('{{"sent": 3, "interrupted": true}}')
    sys.exit({code})
"""

HOME = Path(tempfile.mkdtemp(prefix="tapehouse-airflow-"))
SETTINGS = {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "orchestration" / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
    "AIRFLOW__COSMOS__CACHE_DIR": str(HOME / "cosmos"),
    "AIRFLOW__COSMOS__ENABLE_HIERARCHICAL_NAMING_FOR_GROUP_NODES_BY_FOLDER": "True",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
}
DECLARED = str(ROOT / "infra" / "airflow")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ.update(SETTINGS)


def python(*arguments: str, home: Path = HOME) -> None:
    """Run a module of ours in the Airflow of ``home``; its output is shown where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | {"AIRFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def manifest() -> None:
    """dbt's manifest in the state folder that is in force: `stack` changes it for good."""
    python("orchestration.manifest")


@pytest.fixture(scope="session")
def airflow_database() -> Iterator[None]:
    """Airflow's metadata with all that is declared."""
    python("orchestration.database", DECLARED)
    yield


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Write a module that a command can run, and return its name."""
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")

    def written(body: str) -> str:
        (tmp_path / "stand_in.py").write_text(textwrap.dedent(body))
        return "stand_in"

    return written
