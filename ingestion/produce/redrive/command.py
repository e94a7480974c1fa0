"""The command ``python -m ingestion redrive``."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Annotated, Any, Final

import typer

from ingestion import cli
from ingestion.clock import SystemClock, rfc3339
from ingestion.errors import SettingsError, SourceError
from ingestion.produce import kafka
from ingestion.produce.execute import Delivery, Plan, execute
from ingestion.produce.options import (
    TIMES,
    DeliveryTimeout,
    LedgerFolder,
    Rate,
    Report,
    RunId,
    SpoolFolder,
    configured_spool,
    named_run,
    utc,
)
from ingestion.produce.pacing import Stop
from ingestion.produce.redrive import in_bronze, in_kafka
from ingestion.produce.redrive.letters import Letter, State, Wanted
from ingestion.produce.redrive.redrive import MAX_LINES, Redrive
from ingestion.produce.redrive.shelf import Shelf
from ingestion.settings import KafkaSettings, StoreSettings

app = typer.Typer(
    help="Dead letters: list and show them, and send what passes now, once.", no_args_is_help=True
)

# All that could be done was done, and some letters are still refused.
STILL_REFUSED: Final = 3
_SHOWN_DETAIL: Final = 100


class Place(StrEnum):
    """Where letters are read."""

    KAFKA = "kafka"
    BRONZE = "bronze"


Named = Annotated[
    list[str] | None,
    typer.Argument(help="Letters: place (0/17) or start of the id, as `list` shows them."),
]
From = Annotated[
    Place, typer.Option("--from", help="Bronze also has what Kafka's retention removed.")
]
Reasons = Annotated[list[str] | None, typer.Option("--reason", help="Refused for this; repeat.")]
Sources = Annotated[list[str] | None, typer.Option("--source", help="Given by this; repeat.")]
Topics = Annotated[list[str] | None, typer.Option("--topic", help="Meant for this; repeat.")]
Runs = Annotated[list[str] | None, typer.Option("--of-run", help="Refused in this run; repeat.")]
Since = Annotated[datetime | None, typer.Option(formats=TIMES, help="Refused from then on, UTC.")]
Until = Annotated[datetime | None, typer.Option(formats=TIMES, help="Refused before then, UTC.")]
Text = Annotated[str, typer.Option("--text", help="The detail contains this, whatever its case.")]


@app.command("list")
def list_(
    letter: Named = None,
    place: From = Place.KAFKA,
    reason: Reasons = None,
    source: Sources = None,
    topic: Topics = None,
    of_run: Runs = None,
    since: Since = None,
    until: Until = None,
    text: Text = "",
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List dead letters in the order in which they were written."""
    wanted = _wanted(letter, reason, source, topic, of_run, since, until, text)
    shown = 0
    for found, its_state in _letters(place, wanted):
        if state is None or its_state is state:
            typer.echo(_json(found, its_state) if as_json else _line(found, its_state))
            shown += 1
            if shown == limit:
                break
    if not as_json:
        typer.echo(f"{shown:,} letters", err=True)


@app.command()
def show(
    letter: Annotated[str, typer.Argument(help="Place or start of the id.")],
    place: From = Place.KAFKA,
    raw: Annotated[bool, typer.Option("--raw", help="The body alone, byte for byte.")] = False,
) -> None:
    """Show one letter: where it lies, its headers, and its body."""
    found, state = _the_one(letter, place)
    if raw:
        sys.stdout.buffer.write(found.body)
        sys.stdout.buffer.flush()
        return
    typer.echo(f"id         {found.id}\nplace      {place} {found.place}\nstate      {state}")
    for name, value in found.fields.items():
        typer.echo(f"{cli.one_line(name):<10} {cli.one_line(value)}")
    typer.echo(f"body       {len(found.body):,} bytes, what cannot be printed is escaped:")
    typer.echo(_printable(found.body))


@app.command()
def send(
    letter: Named = None,
    place: From = Place.KAFKA,
    reason: Reasons = None,
    source: Sources = None,
    topic: Topics = None,
    of_run: Runs = None,
    since: Since = None,
    until: Until = None,
    text: Text = "",
    everything: Annotated[bool, typer.Option("--all", help="Every letter: no filter.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent; send nothing.")
    ] = False,
    rate: Rate = None,
    report: Report = None,
    run_id: RunId = None,
    delivery_timeout: DeliveryTimeout = kafka.DELIVERY_TIMEOUT_S,
    ledger: LedgerFolder = None,
    spool: SpoolFolder = None,
) -> None:
    """Judge letters again and send what passes now, each once.

    Exit code 0 when each of them is sent or was before, 3 when some are still refused, 1 when
    something could not be read or was not confirmed.
    """
    wanted = _wanted(letter, reason, source, topic, of_run, since, until, text)
    if wanted.is_all != everything:
        raise SettingsError("redrive send: expected letters or a filter, or --all and none of them")
    run_id, clock, stop = named_run(run_id, "redrive"), SystemClock(), Stop()
    missing = set(wanted.letters)
    redrive = Redrive(
        _noting(_letters(place, wanted), missing), run_id, clock, stop, delivery_timeout
    )
    if dry_run:
        _rehearse(redrive)
    else:
        delivery = Delivery(rate, report, delivery_timeout, ledger, spool or configured_spool())
        execute(
            Plan(
                "redrive", run_id, redrive.records(), redrive.facts, delivery,
                is_live=True, ends_itself=True, stop=stop, told=redrive.told,
            ),
            clock,
        )  # fmt: skip
    if missing and not stop.requested:
        raise SourceError(
            f"{place} has no such letter that is wanted: {', '.join(sorted(missing))}"
        )
    _tell_refused(redrive)


def _rehearse(redrive: Redrive) -> None:
    for letter, verdict in redrive.passing():
        redrive.counts["would_send"] += 1
        if redrive.counts["would_send"] <= MAX_LINES:
            for record in verdict.records:
                what = record.event_id or "what is still refused of it"
                typer.echo(f"would send {letter.id[:12]} {letter.place} to {record.topic}: {what}")
    facts = redrive.facts()
    typer.echo(
        f"dry run: of {facts['letters']} letters {redrive.counts['would_send']} would be sent, "
        f"{facts['already_redriven']} were before, {facts['still_refused']} are still refused"
    )


def _tell_refused(redrive: Redrive) -> None:
    for line in redrive.lines:
        typer.echo(f"still refused: {cli.one_line(line)}")
    more = redrive.still_refused.total() - len(redrive.lines)
    if more:
        typer.echo(f"still refused: {more:,} more")
    if redrive.lines:
        raise typer.Exit(STILL_REFUSED)


def _letters(place: Place, wanted: Wanted) -> Iterator[tuple[Letter, State]]:
    in_topic = partial(in_kafka.read, KafkaSettings.load())
    shelf = Shelf(in_topic, (in_topic,))
    if place is Place.BRONZE:
        landed = partial(in_bronze.read, StoreSettings.load())
        # The newest notes are not landed yet, the oldest are in Kafka no more.
        shelf = Shelf(landed, (landed, in_topic))
    return (found for found in shelf if wanted.covers(found[0]))


def _noting(
    letters: Iterator[tuple[Letter, State]], missing: set[str]
) -> Iterator[tuple[Letter, State]]:
    """Pass letters on, and take the names of each out of ``missing``."""
    for letter, state in letters:
        missing -= {name for name in missing if letter.is_named(name)}
        yield letter, state


def _the_one(letter: str, place: Place) -> tuple[Letter, State]:
    found = {one.id: (one, state) for one, state in _letters(place, Wanted((letter,)))}
    if len(found) != 1:
        raise SourceError(
            f"expected one letter with the place or id {letter!r} in {place}, found {len(found)}: "
            "`redrive list` shows what there is"
        )
    return next(iter(found.values()))


def _wanted(
    letters: list[str] | None,
    reasons: list[str] | None,
    sources: list[str] | None,
    topics: list[str] | None,
    runs: list[str] | None,
    since: datetime | None,
    until: datetime | None,
    text: str,
) -> Wanted:
    if "" in (letters or ()):
        raise SettingsError("expected a letter's place or the start of its id, found an empty name")
    return Wanted(
        letters=tuple(letters or ()),
        reasons=frozenset(reasons or ()),
        sources=frozenset(sources or ()),
        topics=frozenset(topics or ()),
        run_ids=frozenset(runs or ()),
        since=utc(since),
        until=utc(until),
        text=text,
    )


def _line(letter: Letter, state: State) -> str:
    fields = letter.fields
    detail = fields.get("detail", "")
    shown = detail if len(detail) <= _SHOWN_DETAIL else f"{detail[:_SHOWN_DETAIL]}…"
    named = (fields.get(name, "") or "-" for name in ("source", "reason", "topic"))
    head = f"{letter.id[:12]} {letter.place} {rfc3339(letter.failed_at)} {state}"
    return cli.one_line(f"{head} {' '.join(named)} {len(letter.body)} B: {shown}")


def _json(letter: Letter, state: State) -> str:
    told: dict[str, Any] = {
        "id": letter.id,
        "place": letter.place,
        "state": state.value,
        "bytes": len(letter.body),
        "headers": letter.fields,
    }
    return json.dumps(told)


def _printable(body: bytes) -> str:
    text = body.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
