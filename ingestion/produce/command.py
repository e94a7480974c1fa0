"""The command ``python -m ingestion produce``."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer
from rich.console import Console

from ingestion import calendar, cli
from ingestion.clock import Clock, SystemClock
from ingestion.contracts import topics
from ingestion.errors import SettingsError
from ingestion.produce import foreign, kafka
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outgoing import Outgoing, outgoing
from ingestion.produce.pacing import Pacer, stop_on_signal
from ingestion.produce.progress import shown
from ingestion.produce.run import run
from ingestion.produce.summary import Summary
from ingestion.settings import KafkaSettings, ProjectSettings
from ingestion.sources import stocks_csv
from ingestion.sources.daily_bar import daily_bars
from ingestion.sources.recorded import Recorded
from ingestion.sources.selection import Selection
from ingestion.sources.simulator import Simulator, SimulatorSettings
from ingestion.sources.source import Source

app = typer.Typer(help="Send messages of a source to Kafka.", no_args_is_help=True)

ALL_TOPICS = (topics.BATCH, topics.QUOTES, topics.REALTIME, topics.DEAD_LETTERS)
CONNECT_TIMEOUT_S = 10.0
MAX_RUN_ID = 64

Symbols = Annotated[
    list[str] | None, typer.Option("--symbol", help="Only this symbol; may be repeated.")
]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Inclusive bound.")]
LastSessions = Annotated[int | None, typer.Option(min=1, help="Only so many latest sessions.")]
File = Annotated[
    Path | None, typer.Option(help="Another file of bars with the same columns (.csv, .csv.gz).")
]
Rate = Annotated[
    float | None, typer.Option(min=0.001, help="Records a second; as fast as possible without.")
]
Report = Annotated[Path | None, typer.Option(help="Also write the summary to this file as JSON.")]
RunId = Annotated[
    str | None, typer.Option(help="Name of this run in every message; made up without.")
]
DeliveryTimeout = Annotated[
    float, typer.Option(min=1, help="Seconds until an unconfirmed record counts as failed.")
]
LedgerFolder = Annotated[
    Path | None,
    typer.Option(
        "--ledger", help="Folder of the write-ahead ledger: a file a run, for the auditor."
    ),
]


@dataclass(frozen=True)
class Delivery:
    """How records are sent, whatever they are."""

    rate: float | None
    report: Path | None
    timeout_s: float
    ledger: Path | None


@dataclass(frozen=True)
class Plan:
    """What to send, as which run, and how."""

    name: str
    run_id: str
    records: Iterable[Outgoing]
    facts: Callable[[], Mapping[str, object]]
    delivery: Delivery


@app.command()
def recorded(
    symbol: Symbols = None,
    start: Day = None,
    end: Day = None,
    last_sessions: LastSessions = None,
    file: File = None,
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
) -> None:
    """Send real daily bars of 2000 to 2013 and the corporate actions that they prove."""
    run_id = _run_id(run_id, "recorded")
    source = Recorded(
        file or stocks_csv.packaged_file(),
        calendar.get(ProjectSettings.load().calendar),
        run_id,
        _selection(symbol, start, end, last_sessions),
    )
    _execute(_plan(source, run_id, Delivery(rate, report, delivery_timeout, ledger)), SystemClock())


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
    file: File = None,
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
) -> None:
    """Send simulated trades that honour the recorded bars, and quotes polled from them.

    Without bounds: the last two recorded sessions.
    """
    run_id = _run_id(run_id, "simulator")
    if start is None and end is None and last_sessions is None:
        last_sessions = 2
    path = file or stocks_csv.packaged_file()
    selection = _selection(symbol, start, end, last_sessions).resolve(stocks_csv.read(path))
    sessions = calendar.get(ProjectSettings.load().calendar)
    source = Simulator(
        daily_bars(stocks_csv.read(path), sessions, selection),
        SimulatorSettings(seed, _fraction(volume_fraction), _interval(quote_interval)),
        run_id,
    )
    _execute(_plan(source, run_id, Delivery(rate, report, delivery_timeout, ledger)), SystemClock())


@app.command()
def raw(
    file: Annotated[Path, typer.Option(help="JSON lines, one message a line.")],
    source: Annotated[str, typer.Option(help="Who gave it: named in the dead letters.")],
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
) -> None:
    """Send JSON lines that others wrote; those that break the contract become dead letters."""
    clock = SystemClock()
    run_id = _run_id(run_id, "raw")
    records = foreign.read(file, source, run_id, clock)
    delivery = Delivery(rate, report, delivery_timeout, ledger)
    _execute(Plan(source, run_id, records, dict, delivery), clock)


def _plan(source: Source, run_id: str, delivery: Delivery) -> Plan:
    records = outgoing(source.messages(), source.name, run_id, SystemClock())
    return Plan(source.name, run_id, records, source.facts, delivery)


def _execute(plan: Plan, clock: Clock) -> None:
    config = kafka.configuration(KafkaSettings.load(), plan.delivery.timeout_s)
    console = Console(stderr=True)
    with (
        stop_on_signal() as stop,
        shown(clock, console) as progress,
        _ledger(plan, clock) as ledger,
    ):
        deliverer = kafka.Deliverer(
            config, clock, _librdkafka_log(), lambda: stop.requested, ledger
        )
        try:
            deliverer.check(ALL_TOPICS, CONNECT_TIMEOUT_S)
            run(plan.records, deliverer, clock, Pacer(clock, plan.delivery.rate), stop, progress)
        finally:
            _report(plan, deliverer.summary)
    _print(plan, deliverer.summary)
    deliverer.raise_undelivered()


def _ledger(plan: Plan, clock: Clock) -> AbstractContextManager[Ledger | NoLedger]:
    folder = plan.delivery.ledger
    return nullcontext(NoLedger()) if folder is None else Ledger(folder, plan.run_id, clock)


def _report(plan: Plan, summary: Summary) -> None:
    if plan.delivery.report is not None:
        facts = {"source": plan.name, "run_id": plan.run_id, **plan.facts()}
        cli.write_report(plan.delivery.report, summary.as_dict(facts))


def _print(plan: Plan, summary: Summary) -> None:
    for name, value in plan.facts().items():
        typer.echo(f"{name:<24} {_text(value)}")
    for topic in sorted(summary.sent):
        typer.echo(f"{topic:<24} {summary.delivered[topic]:>10,} of {summary.sent[topic]:,}")
    ended = "stopped early" if summary.interrupted else "done"
    typer.echo(
        f"{ended}: sent {summary.sent.total():,}, delivered {summary.delivered.total():,}, "
        f"refused {summary.refused:,} in {summary.seconds:.1f} s (run {plan.run_id})"
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _selection(
    symbols: list[str] | None, start: datetime | None, end: datetime | None, last: int | None
) -> Selection:
    return Selection(frozenset(symbols or ()), _day(start), _day(end), last)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


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


def _run_id(given: str | None, source: str) -> str:
    run_id = given or f"{source}-{SystemClock().now():%Y%m%dT%H%M%SZ}-{uuid4().hex[:8]}"
    if len(run_id) > MAX_RUN_ID:
        raise SettingsError(f"--run-id: expected at most {MAX_RUN_ID} characters, found {run_id}")
    return run_id


def _librdkafka_log() -> logging.Logger:
    """Return a logger that keeps librdkafka's own lines off standard error.

    What they say reaches us through callbacks and delivery reports, once, with its consequence.
    """
    log = logging.getLogger("tapehouse.librdkafka")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return log
