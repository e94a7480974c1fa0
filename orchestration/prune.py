"""What Airflow remembers of long ago is removed: runs, their logs, their lineage.

``python -m orchestration.prune --days 30``, every night by `maintain_lake`. A run each minute is
some 100 MB of logs, events and rows a day.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from ingestion.cli import write_report
from ingestion.errors import StackError, TapehouseError
from ingestion.settings import ProjectSettings
from orchestration import lineage

KEPT_DAYS: Final = 30
_DAY: Final = "%Y-%m-%d"
# In a task's process Airflow hides the database, which this is about.
_HIDDEN: Final = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")


def prune(
    days: Annotated[int, typer.Option(min=1, help="How many days to keep.")] = KEPT_DAYS,
    report: Annotated[
        Path | None, typer.Option(help="Write what was removed here too, as JSON.")
    ] = None,
) -> None:
    """Remove runs, logs and lineage that are older."""
    before = datetime.now(UTC) - timedelta(days=days)
    try:
        logs = remove_logs(ProjectSettings.load().state("airflow", "logs"), before)
        events = lineage.prune(lineage.folder(), before, datetime.now(UTC))
        clean_database(before)
    except (TapehouseError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(1)
    if report is not None:
        write_report(report, {"log_folders": logs, "event_files": events})
    typer.echo(f"older than {before:{_DAY}}: {logs} folders of logs, {events} files of events")


def remove_logs(root: Path, before: datetime) -> int:
    """Remove the logs of runs, and of days of other services, that are older; return how many."""
    old = [folder for folder in _folders(root) if _changed(folder) < before]
    for folder in old:
        shutil.rmtree(folder)
    return len(old)


def clean_database(before: datetime) -> None:
    """Remove the runs of before from the metadata, as ``airflow db clean`` does.

    Raises:
        StackError: it failed for some table, or nothing says where Airflow's metadata is.
    """
    command = [
        *(sys.executable, "-m", "airflow", "db", "clean", "--yes", "--skip-archive"),
        *("--error-on-cleanup-failure", "--clean-before-timestamp", before.isoformat()),
    ]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        end = " ".join((done.stdout + done.stderr).split())[-500:]
        raise StackError(f"airflow db clean ended with {done.returncode}: {end}")


def _environment() -> dict[str, str]:
    """Return an environment in which Airflow finds the metadata that its services run with."""
    default = ProjectSettings.load().state("run", "airflow.cfg")
    path = Path(os.environ.get("AIRFLOW_CONFIG") or default)
    if not path.is_file():  # Airflow would write one, and clean an empty database
        raise StackError(f"expected Airflow's configuration, which it starts with; found no {path}")
    shown = {name: value for name, value in os.environ.items() if name not in _HIDDEN}
    return shown | {"AIRFLOW_CONFIG": str(path)}


def _folders(root: Path) -> Iterator[Path]:
    """Yield ``dag_id=…/run_id=…``, and days of ``dag_processor`` and the like."""
    yield from root.glob("dag_id=*/run_id=*")
    yield from (one for one in root.glob("*/????-??-??") if one.is_dir() and not one.is_symlink())


def _changed(folder: Path) -> datetime:
    newest = max(one.stat().st_mtime for one in (folder, *folder.rglob("*")))
    return datetime.fromtimestamp(newest, UTC)


if __name__ == "__main__":
    typer.run(prune)
