"""``python -m drill run``: the fault matrix on real processes."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout
from rich.console import Console

from drill.matrix import report as reports
from drill.matrix.broken import BREAKABLE
from drill.matrix.cluster import Cluster
from drill.matrix.errors import RedError
from drill.matrix.matrix import ROWS, chosen
from drill.matrix.row import Outcome, Row
from drill.matrix.run import Run
from drill.matrix.stage import Options
from ingestion.errors import StackError
from ingestion.settings import ProjectSettings


def run(
    row: Annotated[list[int] | None, typer.Option(help="Only this row; may be repeated.")] = None,
    broken: Annotated[
        str,
        typer.Option(
            "--break",
            help=f"Break a rule in every lander ({', '.join(BREAKABLE)}); the rows named for it "
            "must then be red.",
        ),
    ] = "",
    soak_minutes: Annotated[float, typer.Option(min=0, help="How long row 31 lasts.")] = 10.0,
    outage_seconds: Annotated[
        float, typer.Option(min=1, help="How long all brokers are down in row 8.")
    ] = 20.0,
    store_outage_seconds: Annotated[
        float, typer.Option(min=1, help="How long the store is down in row 13.")
    ] = 60.0,
    rate: Annotated[float, typer.Option(min=1, help="Records produced a second.")] = 1000.0,
    brokers: Annotated[int, typer.Option(help="3, or 1 for the rows that need no more.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the soak's faults; 0 draws one.")] = 0,
    report: Annotated[Path | None, typer.Option(help="Write the report to this file too.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Only list the rows.")] = False,
) -> None:
    """Break brokers, store and landers for real, and have two auditors judge what was landed.

    Exits 0 when every row is green; with --break, when every row played is red.
    """
    _check(row or [], broken, brokers)
    if listing:
        _list()
        return
    options = Options(
        rate=rate,
        broken=broken,
        outage_s=outage_seconds,
        store_outage_s=store_outage_seconds,
        soak_minutes=soak_minutes,
        seed=seed or time.time_ns() % 10**6,
    )
    paths = [_folder() / "report.json", *([report] if report else [])]
    rows = chosen(row or [], broken)
    if not _play(rows, options, brokers, paths):
        raise typer.Exit(1)


def _check(numbers: Sequence[int], broken: str, brokers: int) -> None:
    if broken and broken not in BREAKABLE:
        raise typer.BadParameter(
            f"expected one of {', '.join(BREAKABLE)}, found {broken!r}", param_hint="--break"
        )
    if unknown := sorted(set(numbers) - set(ROWS)):
        raise typer.BadParameter(
            f"expected one of {', '.join(map(str, ROWS))}, found {unknown[0]}", param_hint="--row"
        )
    if brokers not in (1, 3):
        raise typer.BadParameter(f"expected 1 or 3, found {brokers}", param_hint="--brokers")


def _list() -> None:
    for one in ROWS.values():
        named = f" (red with {', '.join(sorted(one.catches))})" if one.catches else ""
        typer.echo(f"{one.number:>3} {one.fault}{named}")


def _folder() -> Path:
    return ProjectSettings.load().state("drill")


def _play(rows: list[Row], options: Options, brokers: int, paths: list[Path]) -> bool:
    console, began, folder = Console(), time.monotonic(), _folder()
    with _alone(folder), _cluster(folder / "cluster", brokers) as cluster:
        console.print(f"cluster is up after {time.monotonic() - began:.0f} s", highlight=False)
        played = Run(cluster, options, folder / "cluster")
        outcomes = played.play(rows, lambda one: _tell(one, console))
        deep = _deep(played) if not options.broken else ""
    reports.show(outcomes, console)
    for path in paths:
        reports.write(path, outcomes, options, deep, time.monotonic() - began)
    return _conclude(outcomes, options.broken, deep, console)


def _deep(played: Run) -> str:
    try:
        return played.deep()
    except RedError as error:
        return f"red: {error}"


def _tell(one: Outcome, console: Console) -> None:
    reason = f" ({one.kind}: {one.reason})" if one.reason else ""
    recovery = "" if one.recovery_s is None else f", recovered in {one.recovery_s:.1f} s"
    text = f"row {one.row} {one.verdict} after {one.seconds:.0f} s{recovery}: {one.fault}{reason}"
    console.print(text, highlight=False, markup=False)


def _conclude(outcomes: list[Outcome], broken: str, deep: str, console: Console) -> bool:
    if broken:
        stayed = [one.row for one in outcomes if one.kind not in ("violated", "stuck")]
        text = f"not caught in row {', '.join(map(str, stayed))}" if stayed else "caught as wanted"
        console.print(f"rule {broken!r} broken on purpose: {text}", highlight=False)
        return not stayed
    console.print(f"every byte compared with Kafka's: {deep}", highlight=False, markup=False)
    return all(one.verdict == "green" for one in outcomes) and not deep.startswith("red")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "drill.lock", timeout=0):
            yield
    except Timeout as error:
        raise StackError(f"another drill holds {folder / 'drill.lock'}") from error


@contextmanager
def _cluster(home: Path, brokers: int) -> Iterator[Cluster]:
    """A cluster for the time of the block; SIGTERM ends it as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cluster = Cluster(home, brokers)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
