"""A stack, the stream on it that is killed again and again, and the batch over the same records."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self

from drill.lake.content import Lake
from drill.lake.records import send
from drill.stream import content
from drill.stream.expected import Expected
from drill.stream.judge import Table
from drill.stream.market import Record
from infra.local.layout import Layout
from ingestion.contracts.topics import REALTIME
from ingestion.errors import StackError
from ingestion.settings import ROOT

# Longer than any record is late: what the stream leaves out is what came twice.
LATENESS: Final = timedelta(days=5)
_JOBS: Final = ("compact", "window-metrics", "bars", "daily-metrics", "anomalies")
_EPOCH: Final = "tapehouse.stream"
_START_S: Final = 300.0
_PIECES: Final = 12
_PIECE_S: Final = 10.0
_POLL_S: Final = 0.01
_LONGEST_S: Final = 3.0


class WrongError(StackError):
    """The lake does not say what it must."""


class Stream:
    """``python -m spark_jobs stream`` in a process group of its own."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as file:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "spark_jobs", "stream", "--trigger", "1s"],
                cwd=ROOT,
                env=dict(environment),
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen.poll() is None:
            self.kill()

    def require(self) -> None:
        """Raise StackError where it has ended by itself."""
        if self._popen.poll() is not None:
            raise StackError(f"the stream ended with {self._popen.returncode}")

    def kill(self) -> None:
        """End it and its JVM without a chance."""
        os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


class Stage:
    """What a seed is played on."""

    def __init__(self, layout: Layout, seed: int) -> None:
        self._state = layout.state
        (self._state / "lake").mkdir(exist_ok=True)
        self._environment = {
            **layout.child_environment(),
            "LAKE_LATENESS_S": str(LATENESS / timedelta(seconds=1)),
        }
        self._lake = Lake(self._state / "lake" / "catalog.db")
        self._draw = random.Random(seed)  # noqa: S311 - not a secret

    def stream(self, records: Sequence[Record]) -> Iterator[str]:
        """Have records go through the stream, killed on the way; yield what was seen."""
        others = [record for record in records if record.topic != REALTIME]
        trades = [record for record in records if record.topic == REALTIME]
        parts = _parts(trades, 4)
        send([*others, *parts[0]])
        self.command("spark_jobs", "stream", "--available-now")
        yield self._killed_between(parts[1])
        for part in parts[2:]:
            yield self._killed_sometime(part)
        self.command("spark_jobs", "stream", "--available-now")
        yield self._once()

    def batch(self) -> str:
        """Land all that was sent, run the batch jobs, and have the auditor look at the lake."""
        self.command("ingestion", "land", "--once")
        self.command("spark_jobs", "run", *_JOBS)
        report = self._state / "run" / "verdict.json"
        self.command("audit", "--stage", "bronze", "--stage", "lake", "--report", str(report))
        verdict: dict[str, Any] = json.loads(report.read_text())
        lake = [check for check in verdict["checks"] if check["name"] == "lake.records"]
        if not lake:
            raise WrongError("the auditor has not compared bronze with the lake")
        return f"auditor ok, {len(lake)} checks of lake.records (I7)"

    def compare(self, wanted: Expected) -> str:
        """Require that batch and stream say what brute force says, and the same as each other.

        Raises:
            WrongError: one does not.
        """
        keys = {**content.BATCH, **content.STREAM}
        found: dict[str, Table] = {
            name: content.current(self._lake.plain(name), of) for name, of in keys.items()
        }
        said = [
            *content.batch_differences(found, wanted),
            *content.stream_differences(found, wanted),
            *content.disagreements(found),
            *self._compacted(wanted),
        ]
        if said:
            raise WrongError("; ".join(said))
        return ", ".join(f"{len(rows)} {name.partition('.')[2]}" for name, rows in found.items())

    def _compacted(self, wanted: Expected) -> Iterator[str]:
        trades, rejects = (self._lake.plain(f"silver.{name}") for name in ("trades", "rejects"))
        kept = wanted.kept["trade.v1"]
        if len(trades) != kept:
            yield f"silver.trades: expected {kept} rows, found {len(trades)}"
        reasons = [row["reason"] for row in rejects]
        if reasons != ["duplicate"] * wanted.duplicates:
            yield f"silver.rejects: expected {wanted.duplicates} duplicates, found {len(reasons)}"

    def _killed_between(self, records: Sequence[Record]) -> str:
        """Kill it when it has committed a batch to one of its two tables and not to the other."""
        first, *pieces = _parts(records, _PIECES)
        with self._running(first) as stream:
            while not self._is_between(stream):
                if not pieces:
                    raise StackError("the stream was never seen between its tables")
                send(list(pieces.pop(0)))
            stream.kill()
        windows, bars = self._batches()
        if windows[0] == bars[0]:
            raise StackError("the stream was killed too late: both tables have the batch")
        send([record for piece in pieces for record in piece])
        return f"killed with batch {windows[0]} in one of its two tables"

    def _is_between(self, stream: Stream) -> bool:
        deadline = time.monotonic() + _PIECE_S
        while time.monotonic() < deadline:
            stream.require()
            windows, bars = self._batches()
            if windows[0] > bars[0]:
                return True
            time.sleep(_POLL_S)
        return False

    def _killed_sometime(self, records: Sequence[Record]) -> str:
        """Kill it at any moment of the next batches."""
        first, *rest = _parts(records, _PIECES)
        wait_s = self._draw.uniform(0.0, _LONGEST_S)
        with self._running(first) as stream:
            send([record for piece in rest for record in piece])
            time.sleep(wait_s)
            stream.require()
            stream.kill()
        return f"killed {wait_s:.1f} s after {len(records) - len(first)} trades came"

    def _running(self, records: Sequence[Record]) -> Stream:
        """Send records to a new stream, and return it when it has taken them in."""
        before = self._batches()[1][0]
        stream = Stream(self._environment, self._state / "log" / "stream.log")
        send(list(records))
        deadline = time.monotonic() + _START_S
        while self._batches()[1][0] == before:
            stream.require()
            if time.monotonic() > deadline:
                stream.kill()
                raise StackError(f"the stream has taken nothing in within {_START_S:.0f} s")
            time.sleep(_POLL_S)
        return stream

    def _once(self) -> str:
        """Require that each table has had each batch once, in order."""
        for batches in self._batches():
            if batches != sorted(set(batches), reverse=True):
                raise WrongError(f"expected each batch once, found {batches}")
        return f"{len(batches)} batches, each once in either table"

    def _batches(self) -> list[list[int]]:
        """Return the batches that each of the stream's tables has had, the newest first."""
        return [
            [json.loads(text)["batch"] for text in self._lake.told(name, _EPOCH)]
            for name in content.STREAM
        ]

    def command(self, *words: str) -> None:
        """Run one of the product's commands.

        Raises:
            StackError: it failed.
        """
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr)[-600:]
            raise StackError(f"{' '.join(words)} ended with {done.returncode}: {said}")


def _parts(records: Sequence[Record], count: int) -> list[Sequence[Record]]:
    size = -(-len(records) // count)
    return [records[start : start + size] for start in range(0, len(records), size)]
