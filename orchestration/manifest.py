"""dbt's manifest, from which the DAGs know the models: built before Airflow parses them.

Run as ``python -m orchestration.manifest``.
"""

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Final

from ingestion.errors import BuildError
from ingestion.settings import ROOT, ProjectSettings

PROJECT: Final = ROOT / "dbt_stocks"
# What a manifest is made of.
_SOURCES: Final = ("models", "macros", "seeds", "tests", "dbt_project.yml", "profiles.yml")


def path() -> Path:
    """Return where the manifest is."""
    return ProjectSettings.load().state("airflow", "dbt", "manifest.json")


def build() -> bool:
    """Build the manifest unless it was made from the project as it is; tell whether it was built.

    Raises:
        BuildError: dbt could not parse the project.
    """
    target, stamp = path(), path().with_name("manifest.sha256")
    digest = _digest()
    if target.is_file() and stamp.is_file() and stamp.read_text() == digest:
        return False
    stamp.unlink(missing_ok=True)
    _parse(target.parent)
    stamp.write_text(digest)
    return True


def _parse(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "dbt.cli.main", "parse", "--no-use-colors"),
        *("--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)),
        *("--target-path", str(folder), "--log-path", str(folder / "logs")),
    ]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode:
        end = " ".join((done.stdout + done.stderr).split())[-500:]
        raise BuildError(f"dbt parse ended with {done.returncode}: {end}")


def _digest() -> str:
    digest = hashlib.sha256()
    for name in _SOURCES:
        root = PROJECT / name
        for file in sorted(root.rglob("*")) if root.is_dir() else [root]:
            if file.is_file():
                digest.update(f"{file.relative_to(PROJECT)}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.stdout.write(f"{path()}: {'built' if build() else 'in place'}\n")
