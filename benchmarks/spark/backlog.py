"""How fast the stream reads what lies in Kafka, into a lake in the store."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks import stack
from benchmarks.land import data as land
from benchmarks.land import measure, ours
from benchmarks.land.measure import Run
from benchmarks.spark import data, streaming
from ingestion.contracts.topics import REALTIME
from ingestion.errors import TapehouseError

ROW: Final = "stream: backlog"
RECORDS: Final = 1_000_000
_MEBI: Final = 2**20


def measured(records: int, runs: int, console: Console) -> list[Run]:
    """Read the same trades of one session once a run, each time into an empty lake.

    Raises:
        TapehouseError: the stream failed, or did not take in what was sent.
    """
    found = []
    with stack.temporary("kafka", "store") as (home, environment), stack.in_force(environment):
        land.fill(REALTIME, _trades(records))
        for number in range(1, runs + 1):
            found.append(_run(home, environment, records))
            said = f"{found[-1].rate:,.0f} records/s, {found[-1].cpu_us:.0f} µs of CPU a record"
            console.print(f"run {number} of {runs}: {ROW}: {said}", highlight=False)
    return found


def row(runs: Sequence[Run]) -> dict[str, Any]:
    """Return the row of the table and the file."""
    return {
        "row": ROW,
        "unit": "records/s",
        "median": round(statistics.median(run.rate for run in runs)),
        "runs": [round(run.rate) for run in runs],
        "records": runs[0].records,
        "cpu_us_per_record": round(statistics.median(run.cpu_us for run in runs), 1),
        "peak_rss_mib": round(max(run.peak_rss for run in runs) / _MEBI),
    }


def _trades(records: int) -> Iterator[land.Item]:
    """Make a session's trades, the partitions by turns."""
    each = [data.trades(p, records // data.PARTITIONS) for p in range(data.PARTITIONS)]
    for turn in zip(*each, strict=True):
        for partition, (key, value) in enumerate(turn):
            yield land.Item(partition, key, value)


def _run(home: Path, environment: Mapping[str, str], records: int) -> Run:
    """Measure from the begin of the first batch to the last commit."""
    own, log, report = streaming.fresh(home, environment), home / "log", home / "report.json"
    with log.open("wb") as file:
        process = streaming.start(own, file, "--available-now", "--report", str(report))
        samples = measure.watch([process])
    measure.require_success(process, log)
    told = json.loads(report.read_text())["jobs"]["stream"]
    if (told["read"], told["rejected"]) != (records, {}):
        raise TapehouseError(f"expected {records} records to be taken in, found {told}")
    batches = [one for one in ours.events(log.read_text().splitlines()) if one.name == "batch"]
    begin = batches[0].at - batches[0].told["seconds"]
    return measure.run_of(samples, records, begin, batches[-1].at)
