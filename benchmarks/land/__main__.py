"""Times landing: Kafka to the object store, against the limit and against what others use.

Rows that are compared with each other share a broker and a store of their own and are interleaved,
so that whatever else the machine does hits all of them. A run of ours counts only if bronze, read
back, holds what was sent.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from benchmarks import stack
from benchmarks.land import data, hot, latency, ours, peers, report
from benchmarks.land.measure import Run
from ingestion.clock import SystemClock, rfc3339
from ingestion.contracts.topics import QUOTES, REALTIME
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT, ProjectSettings
from pipeline.screen import Screen

LIMIT: Final = "consume only (the limit)"
JOINED: Final = {1: "joined before: fast, one process", 2: "joined before: fast, two processes"}
LATENCY: Final = "latency"
TRADES: Final = "trades: fast, one process"
TRADES_LIMIT: Final = "trades: consume only"
_TRADES_PER_SESSION: Final = 22_000  # about; the recorded bars' volume decides
_FAST: Final = {"LAND_PROFILE": "fast"}

Measure = Callable[[], Run]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    messages: Annotated[int, typer.Option(min=10_000, help="Records in the topic.")] = 3_000_000,
    runs: Annotated[int, typer.Option(min=1, help="How many runs of each row.")] = 3,
    only: Annotated[
        list[str] | None, typer.Option(help="Only rows whose name contains this; may be repeated.")
    ] = None,
) -> None:
    """Measure every way to land a topic and print rate, processor time and memory."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    wanted, commit = _wanted(only), report.commit()
    try:
        found = [
            *_made_up(messages, runs, wanted, console),
            *_joined(messages, runs, wanted, console),
            *_latency(wanted),
            *_trades(messages, runs, wanted, console),
        ]
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    if not found:
        raise typer.BadParameter(f"no row is called like {only}")
    facts = {"messages": messages, "measured_at": rfc3339(SystemClock().now()), "commit": commit}
    path = ProjectSettings.load().state("bench", "land.json")
    report.write(found, facts, path)
    _show(found, console, path)


def _wanted(only: list[str] | None) -> Callable[[str], bool]:
    return lambda name: not only or any(part in name for part in only)


def _made_up(
    messages: int, runs: int, wanted: Callable[[str], bool], console: Console
) -> list[dict[str, Any]]:
    if not any(map(wanted, _contenders(data.Sent(0, 0), {}))):
        return []
    with stack.temporary("kafka", "store") as (_, environment), stack.in_force(environment):
        sent = data.fill(QUOTES, data.made_up(messages))
        contenders = {n: m for n, m in _contenders(sent, environment).items() if wanted(n)}
        return report.rows(_interleaved(contenders, runs, console), LIMIT)


def _joined(
    messages: int, runs: int, wanted: Callable[[str], bool], console: Console
) -> list[dict[str, Any]]:
    names = {number: name for number, name in JOINED.items() if wanted(name)}
    if not names:
        return []
    with stack.temporary("kafka", "store") as (_, environment), stack.in_force(environment):
        landers = hot.Hot(messages, environment)
        contenders = {name: partial(landers.land, number) for number, name in names.items()}
        return report.rows(_interleaved(contenders, runs, console), JOINED[1], "times_one")


def _latency(wanted: Callable[[str], bool]) -> list[dict[str, Any]]:
    if not wanted(LATENCY):
        return []
    with stack.temporary("kafka", "store") as (_, environment), stack.in_force(environment):
        return [report.latency_row(latency.measure(QUOTES, environment), latency.RATE)]


def _trades(
    messages: int, runs: int, wanted: Callable[[str], bool], console: Console
) -> list[dict[str, Any]]:
    if not wanted(TRADES) and not wanted(TRADES_LIMIT):
        return []
    with stack.temporary("kafka", "store") as (home, environment), stack.in_force(environment):
        records = _simulate(messages, home / "trades.json")
        contenders: dict[str, Measure] = {
            TRADES: lambda: ours.land("fast", REALTIME, data.Sent(records, 0), environment),
            TRADES_LIMIT: lambda: peers.client("drop", REALTIME, records, {**environment, **_FAST}),
        }
        return report.rows(_interleaved(contenders, runs, console), TRADES_LIMIT)


def _simulate(messages: int, result: Path) -> int:
    sessions = str(-(-messages // _TRADES_PER_SESSION))
    words = ["produce", "simulator", "--quote-interval", "0", "--last-sessions", sessions]
    command = [sys.executable, "-m", "ingestion", *words, "--report", str(result)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise TapehouseError(f"the simulator ended with {done.returncode}: {done.stderr.strip()}")
    trades: int = json.loads(result.read_text())["trades"]
    return trades


def _contenders(sent: data.Sent, environment: Mapping[str, str]) -> dict[str, Measure]:
    count = sent.records
    few = min(count, peers.OBJECT_EACH)
    fast = {**environment, **_FAST}
    return {
        LIMIT: lambda: peers.client("drop", QUOTES, count, fast),
        "lander: fast, one process": lambda: ours.land("fast", QUOTES, sent, environment),
        "lander: default, one process": lambda: ours.land("default", QUOTES, sent, environment),
        "Kafka Connect runtime, file sink to a local file": lambda: peers.connect(
            QUOTES, sent, environment
        ),
        "Spark Structured Streaming, JSON to the store": lambda: peers.spark(
            QUOTES, count, environment
        ),
        "plain consumer, one object per message": lambda: peers.client(
            "put-each", QUOTES, few, ours.fresh(environment)
        ),
    }


def _interleaved(
    contenders: Mapping[str, Measure], runs: int, console: Console
) -> dict[str, list[Run]]:
    if any("Connect" in name for name in contenders):
        peers.resolve_connect()
    found: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(1, runs + 1):
        for name, measure in contenders.items():
            run = measure()
            found[name].append(run)
            said = f"{run.rate:,.0f} records/s, {run.cpu_us:.2f} µs of CPU a record"
            console.print(f"run {number} of {runs}: {name}: {said}", highlight=False, markup=False)
    return found


def _show(found: list[dict[str, Any]], console: Console, path: Path) -> None:
    screen = Screen(console, 0)
    rates = report.shown([row for row in found if row["row"] != LATENCY])
    if rates:
        screen.table("Landing: medians of the runs; memory is the highest of the runs", rates)
    for row in found:
        if row["row"] == LATENCY:
            screen.line(
                f"produce to bronze at {row['records_per_s']:,} records/s, default profile: "
                f"p50 {row['p50']} s, p99 {row['p99']} s"
            )
    screen.line("Connect writes a local file, as no S3 sink is on Maven Central: its least cost.")
    screen.line(f"written to {path}")


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.land")
