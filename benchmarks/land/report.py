"""The table and the file of `make bench-land`."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import stack
from benchmarks.land.latency import Latency
from benchmarks.land.measure import Run
from ingestion.cli import write_report
from ingestion.settings import ProjectSettings

_MEBI: Final = 2**20


def rows(measured: Mapping[str, Sequence[Run]], limit: str) -> list[dict[str, Any]]:
    """Return one row for each contender; ``limit`` names the one that the others are a share of."""
    best = median(measured[limit], "rate") if measured.get(limit) else None
    return [_row(name, runs, best) for name, runs in measured.items() if runs]


def median(runs: Sequence[Run], what: str) -> float:
    """Return the median of one of a run's figures."""
    return float(statistics.median(getattr(run, what) for run in runs))


def _row(name: str, runs: Sequence[Run], limit: float | None) -> dict[str, Any]:
    rate = median(runs, "rate")
    return {
        "row": name,
        "unit": "records/s",
        "median": round(rate),
        "runs": [round(run.rate) for run in runs],
        "records": runs[0].records,
        "cpu_us_per_record": round(median(runs, "cpu_us"), 2),
        "cpu_us_per_record_runs": [round(run.cpu_us, 2) for run in runs],
        "peak_rss_mib_per_process": round(max(run.peak_rss for run in runs) / _MEBI),
        "share_of_limit": None if limit is None else round(rate / limit, 3),
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
            "peak RSS MiB": row["peak_rss_mib_per_process"],
            "of limit": row["share_of_limit"],
        }
        for row in found
    ]


def write(found: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> Path:
    """Write all figures; return where."""
    path = ProjectSettings.load().state("bench", "land.json")
    write_report(path, {**facts, "machine": stack.machine(), "rows": found})
    return path
