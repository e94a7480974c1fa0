"""Times producing: the simulator to a real Kafka, against the client's bare loop on its records.

All rows have one broker, interleaved run by run. A run counts only if the topics have grown by
exactly the records that it sent.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console

from benchmarks import stack
from benchmarks.land import measure, report
from benchmarks.land.measure import Run
from benchmarks.produce import providers
from ingestion.cli import write_report
from ingestion.contracts.topics import QUOTES, REALTIME
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT, KafkaSettings, ProjectSettings
from pipeline.screen import Screen

LIMIT: Final = "the client's bare produce() loop (the limit)"
# By the client that is timed.
ROWS: Final[Mapping[str, str]] = {
    "loop": LIMIT,
    "delivery": "our delivery: batches, answers, retries",
    "simulator": "simulator to Kafka",
}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    messages: Annotated[int, typer.Option(min=1_000, help="Records of each run.")] = 300_000,
    runs: Annotated[int, typer.Option(min=1, help="How many runs of each row.")] = 3,
    seconds: Annotated[int, typer.Option(min=9, help="How long trades are watched.")] = 60,
) -> None:
    """Send the simulator's records in each way, and providers': print rate, CPU and memory."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        with stack.temporary("kafka") as (home, environment), stack.in_force(environment):
            found = _interleaved(messages, runs, home, console)
            provided = [providers.finnhub(seconds, home), providers.yahoo(home)]
    except TapehouseError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    facts = {"messages": messages, "runs": runs, "providers": provided}
    _show(report.rows(found, LIMIT), facts, console)


def _interleaved(messages: int, runs: int, home: Path, console: Console) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {name: [] for name in ROWS.values()}
    for number in range(1, runs + 1):
        for what, name in ROWS.items():
            run = _counted(messages, partial(_timed, what, messages, home))
            found[name].append(run)
            said = f"{run.rate:,.0f} records/s, {run.cpu_us:.2f} µs of CPU a record"
            console.print(f"run {number} of {runs}: {name}: {said}", highlight=False, markup=False)
    return found


def _timed(what: str, messages: int, home: Path) -> Run:
    """Run one client and measure it from outside, between the moments that it tells."""
    command = [sys.executable, "-m", "benchmarks.produce.clients", what, str(messages)]
    log, result = home / "client.log", home / "client.json"
    with log.open("wb") as errors, result.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=errors)
        samples = measure.watch([process])
    measure.require_success(process, log)
    told = json.loads(result.read_text())
    return measure.run_of(samples, told["records"], told["begin"], told["end"])


def _counted(messages: int, timed: Callable[[], Run]) -> Run:
    before = _in_topics()
    run = timed()
    grown = _in_topics() - before
    if grown != messages:
        raise TapehouseError(f"expected {messages} new records in the topics, found {grown}")
    return run


def _in_topics() -> int:
    """Return how many records the topics of trades and quotes hold, from the broker's offsets."""
    consumer = Consumer({**KafkaSettings.load().client("auditor"), "group.id": "benchmark"})
    try:
        metadata = consumer.list_topics(timeout=10).topics
        places = [
            TopicPartition(topic, partition)
            for topic in (QUOTES, REALTIME)
            for partition in metadata[topic].partitions
        ]
        return sum(high - low for low, high in map(consumer.get_watermark_offsets, places))
    finally:
        consumer.close()


def _show(rows: list[dict[str, Any]], facts: Mapping[str, Any], console: Console) -> None:
    path = ProjectSettings.load().state("bench", "produce.json")
    write_report(path, {**facts, "machine": stack.machine(), "rows": rows})
    screen = Screen(console, 0)
    screen.table("Producing: median rates", report.shown(rows))
    for row in facts["providers"]:
        screen.line(", ".join(f"{name} {value}" for name, value in row.items()))
    screen.line(f"written to {path}")


if __name__ == "__main__":
    app(prog_name="python -m benchmarks.produce")
