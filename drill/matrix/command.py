"""``python -m drill run``: the fault matrix on real processes."""

import shlex
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout
from rich.console import Console

from drill.matrix import report as reports
from drill.matrix.broken import BREAKABLE
from drill.matrix.cluster import Cluster, forget
from drill.matrix.errors import RedError
from drill.matrix.matrix import ROWS, chosen
from drill.matrix.report import Report
from drill.matrix.row import Outcome, Row
from drill.matrix.run import Run
from drill.matrix.stage import Options
from ingestion.errors import StackError
from ingestion.settings import ROOT, ProjectSettings, env_file


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
    soak_minutes: Annotated[float, typer.Option(min=0, help="How long row 31 lasts.")] = 20.0,
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

    Exits 0 when no row and no comparison is red; with --break, when every row played is red because
    of a check that is named for the rule.
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
    rows = sorted(chosen(row or [], broken), key=lambda one: -one.brokers)
    if not _play(rows, options, brokers, Report(paths, options)):
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


def _play(rows: list[Row], options: Options, brokers: int, report: Report) -> bool:
    console, folder = Console(), _folder()
    with _alone(folder):
        report.forget()
        played = Played(folder, options, brokers, console, report)
        while rows:
            rows = played.on_a_new_cluster(rows)
        verdict = reports.judged(played.outcomes, played.deep, options.broken)
        report.write(played.outcomes, played.deep, verdict)
    reports.show(played.outcomes, console)
    return conclude(played, options.broken, console)


@dataclass
class Played:
    """What has been played so far; a row that is red leaves its cluster to nobody."""

    folder: Path
    options: Options
    brokers: int
    console: Console
    report: Report
    outcomes: list[Outcome] = field(default_factory=list)
    deep: list[str] = field(default_factory=list)
    clusters: int = 0

    def on_a_new_cluster(self, rows: Sequence[Row]) -> list[Row]:
        """Play until a row is red or wants another cluster; return the rows that are left."""
        self.clusters += 1
        total = len(self.outcomes) + len(rows)
        size = min(self.brokers, rows[0].brokers)
        home, began = self.folder / f"cluster-{self.clusters}", time.monotonic()
        with _cluster(home, size) as cluster:
            took = time.monotonic() - began
            _say(f"cluster {self.clusters} is up after {took:.0f} s", self.console)
            _say(f"to look in from another terminal: {_looking_in()}", self.console)
            run, left = Run(cluster, self.options, home), list[Row]()
            for number, row in enumerate(rows, start=1):
                if min(self.brokers, row.brokers) != size:
                    left = list(rows[number - 1 :])
                    break
                self._play(run, row, total)
                if self.outcomes[-1].verdict == "red":
                    self._leave_uncompared(rows[: number - 1])
                    return list(rows[number:])
            self.deep.append(_deep(run))
        return left

    def _play(self, run: Run, row: Row, total: int) -> None:
        number = len(self.outcomes) + 1
        _say(f"row {row.number}: {row.fault} ... ({number} of {total})", self.console)
        self.outcomes.append(run.play(row))
        self.report.write(self.outcomes, self.deep)
        _tell(self.outcomes[-1], self.console)

    def _leave_uncompared(self, rows: Sequence[Row]) -> None:
        """Say which good rows are not compared, since a red one came after them."""
        numbers = {row.number for row in rows}
        for one in self.outcomes:
            if one.row in numbers and one.verdict == "green":
                why = f"row {self.outcomes[-1].row} was red on the same cluster"
                one.remarks.append(f"not compared byte for byte: {why}")


def _deep(played: Run) -> str:
    try:
        return played.deep()
    except RedError as error:
        return f"{reports.RED}: {error}"


def _looking_in() -> str:
    path = env_file()
    shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
    settings = f"TAPEHOUSE_ENV_FILE={shlex.quote(str(shown))}"
    return f"{settings} .venv/bin/python -m ingestion status --watch 2"


def _tell(one: Outcome, console: Console) -> None:
    reason = f" ({one.kind}: {one.reason})" if one.reason else ""
    recovery = "" if one.recovery_s is None else f", recovered in {one.recovery_s:.1f} s"
    text = f"row {one.row} {one.verdict} after {one.seconds:.0f} s{recovery}: {one.fault}{reason}"
    _say(text, console)


def _say(text: str, console: Console) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def conclude(played: Played, broken: str, console: Console) -> bool:
    """Say and return whether the run ended as it has to."""
    outcomes = played.outcomes
    verdict = reports.judged(outcomes, played.deep, broken)
    if broken:
        stayed = reports.missed(outcomes, broken)
        text = f"not caught in row {', '.join(map(str, stayed))}" if stayed else "caught as wanted"
        rows = ", ".join(str(one.row) for one in outcomes)
        console.print(f"rule {broken!r} broken on purpose in row {rows}: {text}", highlight=False)
        return verdict == "caught"
    for found in played.deep:
        console.print(f"every byte compared with Kafka's: {found}", highlight=False, markup=False)
    return verdict != "red"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "drill.lock", timeout=0):
            for home in folder.glob("cluster-*"):
                forget(home)
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
