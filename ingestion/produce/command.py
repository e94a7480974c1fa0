"""The command ``python -m ingestion produce``."""

from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import typer

from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.errors import SettingsError
from ingestion.produce import foreign, kafka
from ingestion.produce.alphavantage import alphavantage
from ingestion.produce.bars import bars
from ingestion.produce.execute import Delivery, Plan, execute
from ingestion.produce.faults import Faults, FaultSeed, TruthFile, faulty
from ingestion.produce.finnhub import finnhub
from ingestion.produce.generated import Generated, generated_bars
from ingestion.produce.options import (
    Day,
    DeliveryTimeout,
    File,
    LastSessions,
    LedgerFolder,
    Rate,
    Report,
    RunId,
    SpoolFolder,
    Symbols,
    configured_spool,
    day_of,
    named_run,
    selection_of,
)
from ingestion.produce.outgoing import outgoing
from ingestion.produce.pacing import Stop
from ingestion.produce.quotes import quotes
from ingestion.produce.recorded import recorded
from ingestion.produce.spool_file import contents
from ingestion.produce.ticks import ticking
from ingestion.produce.yahoo import yahoo
from ingestion.settings import ProjectSettings
from ingestion.sources import stocks_csv
from ingestion.sources.daily_bar import daily_bars
from ingestion.sources.simulator import Simulator, SimulatorSettings
from ingestion.sources.source import Source

app = typer.Typer(help="Send messages of a source to Kafka.", no_args_is_help=True)
spool_app = typer.Typer(help="What waits on disk for Kafka.", no_args_is_help=True)
app.add_typer(spool_app, name="spool")

for _command in (yahoo, finnhub, alphavantage, bars, quotes, recorded):
    app.command()(_command)


@app.command()
def simulator(
    symbol: Symbols = None,
    start: Day = None,
    end: Day = None,
    last_sessions: LastSessions = None,
    seed: Annotated[int, typer.Option(help="Another seed, other trades.")] = 7,
    volume_fraction: Annotated[
        str, typer.Option(help="Share of the real volume to trade, above 0 and up to 1.")
    ] = "0.04",
    quote_interval: Annotated[
        int, typer.Option(min=0, help="Seconds between two quotes of a symbol; 0 for none.")
    ] = 60,
    generated: Generated = None,
    file: File = None,
    faults: Faults = None,
    fault_seed: FaultSeed = 7,
    truth: TruthFile = None,
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
    spool: SpoolFolder = None,
) -> None:
    """Send simulated trades that honour recorded or generated bars, and quotes polled from them.

    Without bounds: the last two recorded sessions.
    """
    run_id = named_run(run_id, "simulator")
    sessions = calendar.get(ProjectSettings.load().calendar)
    if generated:
        bounds = day_of(start), day_of(end), last_sessions
        bars = generated_bars(generated, symbol or (), bounds, seed, sessions)
    else:
        if start is None and end is None and last_sessions is None:
            last_sessions = 2
        path = file or stocks_csv.packaged_file()
        selection = selection_of(symbol, start, end, last_sessions).resolve(stocks_csv.read(path))
        bars = daily_bars(stocks_csv.read(path), sessions, selection)
    settings = SimulatorSettings(
        seed, _fraction(volume_fraction), _interval(quote_interval), is_generated=bool(generated)
    )
    source: Source = Simulator(bars, settings, run_id)
    source = faulty(source, faults, fault_seed, truth, sessions)
    delivery = Delivery(rate, report, delivery_timeout, ledger, spool or configured_spool())
    execute(_plan(source, run_id, delivery), SystemClock())


@app.command()
def raw(
    file: Annotated[Path, typer.Option(help="JSON lines, one message a line.")],
    source: Annotated[str, typer.Option(help="Who gave it: named in the dead letters.")],
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
    spool: SpoolFolder = None,
) -> None:
    """Send JSON lines that others wrote; those that break the contract become dead letters.

    What comes through a pipe cannot be read again: it always has a spool.
    """
    clock = SystemClock()
    run_id = named_run(run_id, "raw")
    stop = Stop()
    records = foreign.read(file, source, run_id, clock, stop)
    is_live = _is_live(file)
    spool = spool or configured_spool() or (_default_spool() if is_live else None)
    delivery = Delivery(rate, report, delivery_timeout, ledger, spool)
    made = ticking(records) if is_live else records
    execute(Plan(source, run_id, made, dict, delivery, is_live=is_live, stop=stop), clock)


@spool_app.command()
def status(spool: SpoolFolder = None) -> None:
    """Show what a spool holds."""
    folder = spool or configured_spool() or _default_spool()
    found = contents(folder)
    since = f", the oldest since {found.oldest_at}" if found.oldest_at else ""
    typer.echo(f"{folder}: {found.records:,} records, {found.size_bytes:,} bytes{since}")
    for aside in found.aside:
        typer.echo(
            f"  set aside: {aside.records:,} records, {aside.size_bytes:,} bytes, the first at "
            f"{aside.oldest_at}: {aside.reason}"
        )


@spool_app.command()
def drain(
    spool: SpoolFolder = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
    set_aside: Annotated[
        bool,
        typer.Option("--set-aside", help="Also try again what Kafka would not take, behind all."),
    ] = False,
) -> None:
    """Send what a spool holds, and fail unless Kafka confirms all of it."""
    folder = spool or configured_spool() or _default_spool()
    contents(folder)
    run_id = named_run(run_id, "drain")
    delivery = Delivery(None, report, delivery_timeout, ledger, folder, set_aside)
    execute(Plan("spool", run_id, (), dict, delivery, can_wait=True), SystemClock())


def _default_spool() -> Path:
    return ProjectSettings.load().state("spool")


def _is_live(file: Path) -> bool:
    """Tell a pipe or a terminal from a file, which can be read again."""
    return file.exists() and not file.is_file() and not file.is_dir()


def _plan(source: Source, run_id: str, delivery: Delivery) -> Plan:
    records = outgoing(source.messages(), source.name, run_id, SystemClock())
    return Plan(source.name, run_id, records, source.facts, delivery)


def _fraction(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(0)
    if not 0 < value <= 1:
        raise SettingsError(f"--volume-fraction: expected above 0 and at most 1, found {text}")
    return value


def _interval(seconds: int) -> timedelta | None:
    return timedelta(seconds=seconds) if seconds else None
