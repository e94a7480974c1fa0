"""The table and the file of `make bench-land`."""

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

from benchmarks import stack
from benchmarks.land.latency import Latency
from benchmarks.land.measure import Run
from ingestion.cli import write_report
from ingestion.settings import ROOT

Relation = Literal["share_of_limit", "times_one"]
_MEBI: Final = 2**20


def rows(
    measured: Mapping[str, Sequence[Run]], base: str, field: Relation = "share_of_limit"
) -> list[dict[str, Any]]:
    """Return one row for each contender; ``field`` relates its rate to that of the row ``base``."""
    rate = median(measured[base], "rate") if measured.get(base) else None
    unknown = dict.fromkeys(get_args(Relation))
    return [
        {**_row(name, runs), **unknown, field: rate and round(median(runs, "rate") / rate, 3)}
        for name, runs in measured.items()
        if runs
    ]


def median(runs: Sequence[Run], what: str) -> float:
    """Return the median of one of a run's figures."""
    return float(statistics.median(getattr(run, what) for run in runs))


def _row(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    return {
        "row": name,
        "unit": "records/s",
        "median": round(median(runs, "rate")),
        "runs": [round(run.rate) for run in runs],
        "records": runs[0].records,
        "cpu_us_per_record": round(median(runs, "cpu_us"), 2),
        "cpu_us_per_record_runs": [round(run.cpu_us, 2) for run in runs],
        "peak_rss_mib_per_process": round(max(run.peak_rss for run in runs) / _MEBI),
    }


def latency_row(latency: Latency, rate: int) -> dict[str, Any]:
    """Return the row of produce to bronze."""
    return {
        "row": "latency",
        "unit": "s",
        "records": latency.records,
        "records_per_s": rate,
        "p50": round(latency.p50_s, 3),
        "p99": round(latency.p99_s, 3),
    }


def shown(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of the table."""
    return [
        {
            "row": row["row"],
            "k records/s": round(row["median"] / 1000, 1),
            "CPU µs/record": row["cpu_us_per_record"],
            "max RSS MiB": row["peak_rss_mib_per_process"],
            "of limit": row["share_of_limit"],
            "times one": row["times_one"],
        }
        for row in found
    ]


def commit() -> str | None:
    """Return what is checked out, ``-dirty`` where it was changed; None outside of a repository."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def write(found: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], path: Path) -> None:
    """Write figures; rows that were not measured again stay if they are of the same commit.

    ``facts`` are put into every row; ``commit`` is one of them.
    """
    measured = [{**row, **facts} for row in found]
    kept = {row["row"]: row for row in _known(path) if _is_of(row, facts["commit"])}
    rows = kept | {row["row"]: row for row in measured}
    write_report(path, {"machine": stack.machine(), "rows": list(rows.values())})


def _known(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    known: list[dict[str, Any]] = json.loads(path.read_text())["rows"]
    return known


def _is_of(row: Mapping[str, Any], commit: str | None) -> bool:
    return commit is not None and row.get("commit") == commit
