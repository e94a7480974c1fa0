"""One run of the producer as a command: opens what it needs, reports, and fails where it must."""

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.console import Console

from ingestion import cli, collector
from ingestion.clock import Clock
from ingestion.contracts import topics
from ingestion.errors import BrokerAwayError, TapehouseError
from ingestion.produce import kafka, metrics
from ingestion.produce.backlog import Backlog, Memory
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Pacer, Stop, stop_on_signal
from ingestion.produce.progress import shown
from ingestion.produce.providers_table import table
from ingestion.produce.run import run
from ingestion.produce.sending import Told, untold
from ingestion.produce.spool import Spool
from ingestion.produce.summary import Summary
from ingestion.settings import KafkaSettings, ProduceSettings

CONNECT_TIMEOUT_S = 10.0
_FILE_WIDTH = 160


@dataclass(frozen=True)
class Delivery:
    """How records are sent, whatever they are; None is without a rate, report, ledger or spool.

    ``takes_back`` sends again what the spool had set aside.
    """

    rate: float | None
    report: Path | None
    timeout_s: float
    ledger: Path | None
    spool: Path | None
    takes_back: bool = False


@dataclass(frozen=True)
class Plan:
    """What to send, as which run, and how.

    A source that cannot wait is read while Kafka is away, as far as a spool keeps what it gives. A
    live one ends by itself when ``stop`` is requested: all that it has given is sent. One that
    ``ends_itself`` is asked on while it is silent. ``told`` hears of each record whether Kafka
    confirmed it. ``providers`` tells, by provider, what was asked of it and what it gave; ``done``
    how many of all symbols the source is done with.
    """

    name: str
    run_id: str
    records: Iterable[Outgoing | None]
    facts: Callable[[], Mapping[str, object]]
    delivery: Delivery
    can_wait: bool = False
    is_live: bool = False
    ends_itself: bool = False
    stop: Stop = field(default_factory=Stop)
    told: Told = untold
    providers: Callable[[], Mapping[str, Mapping[str, object]]] = dict
    done: Callable[[], tuple[int, int]] | None = None


def execute(plan: Plan, clock: Clock) -> None:
    """Send what is planned and tell what became of it.

    Raises:
        BrokerError: Kafka does not answer, and there is nothing that a spool could keep.
        DeliveryError: something is not confirmed by Kafka.
        LedgerError: the ledger cannot be written.
        MetricsPortError: the metrics' port cannot be listened on.
    """
    delivery, summary = plan.delivery, Summary()
    has_spool = delivery.spool is not None
    config = kafka.configuration(KafkaSettings.load(), delivery.timeout_s, has_spool)
    try:
        with (
            collector.calm(),
            stop_on_signal(plan.stop) as stop,
            shown(clock, Console(stderr=True), plan.done) as progress,
            _ledger(plan, clock) as ledger,
            _backlog(plan, clock) as backlog,
        ):
            deliverer = kafka.Deliverer(
                config, clock, _librdkafka_log(), lambda: stop.requested, ledger, backlog, plan.told
            )
            summary = deliverer.summary
            try:
                _check(deliverer, plan)
                pacer = Pacer(clock, delivery.rate)
                how = (delivery.timeout_s, plan.is_live, plan.ends_itself)
                with metrics.served(plan.name, lambda: deliverer.summary):
                    run(plan.records, deliverer, clock, pacer, stop, progress, *how)
            finally:
                _report(plan, summary)
    except TapehouseError:
        if summary.seconds:  # it had begun: others' records may all be there
            _print(plan, summary, "failed")
        raise
    _print(plan, summary, _ended(summary))
    deliverer.raise_undelivered()


def _ledger(plan: Plan, clock: Clock) -> AbstractContextManager[Ledger | NoLedger]:
    folder = plan.delivery.ledger
    return nullcontext(NoLedger()) if folder is None else Ledger(folder, plan.run_id, clock)


def _backlog(plan: Plan, clock: Clock) -> AbstractContextManager[Backlog]:
    folder = plan.delivery.spool
    if folder is None:
        return nullcontext(Memory())
    return Spool(folder, ProduceSettings.load().spool_max_bytes, clock, plan.delivery.takes_back)


def _check(deliverer: kafka.Deliverer, plan: Plan) -> None:
    try:
        deliverer.check(topics.TOPICS, CONNECT_TIMEOUT_S)
    except BrokerAwayError as error:
        if plan.can_wait or plan.delivery.spool is None:
            raise
        note = f"warning: {error} Records are kept in {plan.delivery.spool} until it is back"
        typer.echo(cli.one_line(note), err=True)


def _report(plan: Plan, summary: Summary) -> None:
    if plan.delivery.report is not None:
        facts = {"source": plan.name, "run_id": plan.run_id, **plan.facts()}
        providers = {name: dict(row) for name, row in plan.providers().items()}
        named = {"providers": providers} if providers else {}
        cli.write_report(plan.delivery.report, summary.as_dict(facts | named))


def _ended(summary: Summary) -> str:
    if summary.undelivered or summary.spooled:
        return "failed"
    return "stopped early" if summary.interrupted else "done"


def _print(plan: Plan, summary: Summary, ended: str) -> None:
    for name, value in plan.facts().items():
        typer.echo(f"{name:<24} {_text(value)}")
    if rows := plan.providers():
        _console().print(table(rows))
    for topic in sorted(summary.sent):
        typer.echo(f"{topic:<24} {summary.delivered[topic]:>10,} of {summary.sent[topic]:,}")
    typer.echo(
        f"{ended}: sent {summary.sent.total():,}, delivered {summary.delivered.total():,}, "
        f"refused {summary.refused:,}, sent again {summary.resent:,} in "
        f"{summary.seconds:.1f} s (run {plan.run_id})"
    )


def _console() -> Console:
    """Return where tables go: as wide as the terminal, and in a file as wide as they are."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _librdkafka_log() -> logging.Logger:
    """Return a logger that keeps librdkafka's own lines off standard error.

    What they say reaches us through callbacks and delivery reports, once, with its consequence.
    """
    log = logging.getLogger("tapehouse.librdkafka")
    log.addHandler(logging.NullHandler())
    log.propagate = False
    return log
