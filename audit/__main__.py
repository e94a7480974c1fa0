"""``python -m audit``: reconcile every stage and write the verdict; ``watch``: sample I3 and I4.

Exits 0 (ok), 1 (violated), 2 (unknown) or 3 (behind); watching knows no behind.
"""

import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from audit import selftest
from audit import watch as watching
from audit.errors import AuditError
from audit.model import Partition, Verdict, broken_off
from audit.report import render, violations, write
from audit.run import STAGES, Audit, Options, unseen
from audit.settings import Settings

EXIT = {"ok": 0, "violated": 1, "unknown": 2, "behind": 3}

_DEBUG = "Show tracebacks."
_END = re.compile(r"(?P<topic>[^/]+)/(?P<generation>[0-9a-f]{32})/(?P<partition>\d+)=(?P<end>\d+)")
# The coloured traceback of an unexpected error prints local variables, secrets among them.
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Stage(StrEnum):
    """What can be judged alone."""

    ledger = "ledger"
    kafka = "kafka"
    bronze = "bronze"
    lake = "lake"
    warehouse = "warehouse"
    silver = "silver"
    gold = "gold"


@app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    stage: Annotated[
        list[Stage] | None, typer.Option(help="Judge only this stage; may be repeated.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read verified objects again.")] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Compare every record's bytes with Kafka's.")
    ] = False,
    ledger: Annotated[
        Path | None,
        typer.Option(help="Folder of the producers' ledgers; var/ledger where it exists."),
    ] = None,
    ledger_is_complete: Annotated[
        bool,
        typer.Option("--ledger-is-complete", help="No record may be there that it does not name."),
    ] = False,
    secrets: Annotated[
        bool,
        typer.Option("--secrets", help="Search logs and bronze for the settings' secrets."),
    ] = False,
    self_test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Plant six violations in what is read; be red on each of them."
        ),
    ] = False,
    allow_behind: Annotated[
        bool, typer.Option("--allow-behind", help="Exit 0 where records are only on their way.")
    ] = False,
    until: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC/GENERATION/PARTITION=OFFSET",
            help="No record below this offset may be on its way any more; may be repeated.",
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the verdict to this file too.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help=_DEBUG)] = False,
) -> None:
    """Count every stage from its own storage, from Kafka to published gold.

    As far as the lake where WAREHOUSE_ENGINE is snowflake: the verdict says so.

    Exits 0 when they agree, 1 when something is lost, doubled or altered, 2 when a stage could not
    be read, and 3 when nothing is lost but a stage has not come to the newest records yet. The
    verdict goes to var/audit/verdict.json, which screens and alerts read; that of some stages to
    var/audit/stages.json, and there too only where it is a violation. A violation stands there
    until an audit has judged every stage.
    """
    if context.invoked_subcommand:
        return
    settings = Settings.load()
    if self_test:
        folder = _ledger(settings, ledger, is_asked=ledger_is_complete)
        _self_test(settings, Options(ledger=folder, is_complete=ledger_is_complete), report, debug)
    stages = [str(item) for item in stage or STAGES]
    whole = settings.state("audit", "verdict.json")
    # What some stages hold takes back nothing that was found in others.
    path = whole if set(stages) == set(STAGES) else settings.state("audit", "stages.json")
    is_asked = ledger is not None or "ledger" in (stage or ()) or ledger_is_complete
    folder = _ledger(settings, ledger, is_asked)
    ends = dict(_end(text) for text in until or ())
    options = Options(stages, full, deep, folder, ledger_is_complete, is_asked, secrets, ends)
    hidden = unseen(settings)
    with _errors_are_unknown(
        debug, lambda error: _show(broken_off(error), path, whole, report, hidden)
    ):
        _check(settings)
        verdict = Audit(settings, options, _say).run()
        _show(verdict, path, whole, report, hidden)
    typer.echo(render(verdict))
    is_excused = allow_behind and verdict.verdict == "behind"
    raise typer.Exit(0 if is_excused else EXIT[verdict.verdict])


def _self_test(settings: Settings, options: Options, report: Path | None, debug: bool) -> NoReturn:
    """Exit with 0 where all six turned red, 1 where one stayed green, 2 where one had no place."""
    path = settings.state("audit", "self-test.json")
    path.unlink(missing_ok=True)
    with _errors_are_unknown(debug):
        _check(settings)
        told = selftest.run(settings, options, _say)
    _publish(told.document(), told.text(), {path}, report)
    raise typer.Exit(told.exit_code)


@app.command()
def watch(
    seconds: Annotated[float | None, typer.Option(help="End after so long.", min=0)] = None,
    until_file: Annotated[
        Path | None, typer.Option(help="End as soon as this file is there.")
    ] = None,
    every: Annotated[float, typer.Option(help="Seconds between two samples.", min=0.05)] = 1.0,
    group: Annotated[
        str | None, typer.Option(help="Whose commits; KAFKA_LANDERS_GROUP by default.")
    ] = None,
    least_samples: Annotated[
        int, typer.Option(help="How many samples each invariant has to have.", min=1)
    ] = 1,
    longest_blind: Annotated[
        float | None,
        typer.Option(help="How many seconds an invariant may be without a sample.", min=0),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write what was seen here too.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help=_DEBUG)] = False,
) -> None:
    """Sample every second that no object changes or vanishes (I3) and no commit is ahead (I4).

    Without --seconds and --until-file it samples until Ctrl+C. Exits 0 when all samples are in
    order, 1 when one is not, and 2 when an invariant was sampled less than --least-samples and
    --longest-blind ask for, the group has no commit, a topic was never shown, or the end was not
    seen. A storage that does not answer makes a sample unknown. What was seen goes to
    var/audit/watch.json.
    """
    settings = Settings.load()
    path = settings.state("audit", "watch.json")
    path.unlink(missing_ok=True)
    with _errors_are_unknown(debug):
        _check(settings)
        watched = group or settings.get("KAFKA_LANDERS_GROUP", "landers")
        options = watching.Options(
            watched, every, seconds, until_file, least_samples, longest_blind
        )
        seen = watching.run(settings, options, _say)
    _publish(seen.document(), seen.text(), {path}, report)
    raise typer.Exit(EXIT[seen.verdict])


def _ledger(settings: Settings, folder: Path | None, is_asked: bool) -> Path | None:
    """Return the ledgers' folder: the one named, or the usual one where there is or must be one."""
    usual = settings.state("ledger")
    return folder or (usual if is_asked or usual.is_dir() else None)


def _end(text: str) -> tuple[Partition, int]:
    """Read where a partition's records end that have been sent through."""
    found = _END.fullmatch(text)
    if found is None:
        raise typer.BadParameter(
            f"expected TOPIC/GENERATION/PARTITION=OFFSET, found {text!r}", param_hint="--until"
        )
    return Partition(found["topic"], found["generation"], int(found["partition"])), int(
        found["end"]
    )


def _check(settings: Settings) -> None:
    for warning in settings.check():
        _say(f"warning: {warning}")


@contextmanager
def _errors_are_unknown(
    debug: bool, on_error: Callable[[str], None] = lambda _: None
) -> Iterator[None]:
    """Exit with 2: Python would with 1, which says that something was found."""
    try:
        yield
    except Exception as error:
        kind = "" if isinstance(error, AuditError) else f"{type(error).__name__}: "
        _say(f"error: {kind}{error}")
        if debug:
            traceback.print_exc()
        try:
            on_error(f"{kind}{error}")
        except OSError as second:
            _say(f"error: the verdict cannot be written: {second}")
        raise typer.Exit(EXIT["unknown"]) from error


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _show(
    verdict: Verdict, path: Path, whole: Path, report: Path | None, unseen: frozenset[str]
) -> None:
    """Write a verdict where it is due; a violation in ``whole`` stands until all is judged.

    One of an ``unseen`` stage also stands against an audit of all the others, and beside what that
    one finds.
    """
    document, is_violated = verdict.document(), verdict.verdict == "violated"
    is_whole = path == whole and verdict.verdict != "unknown"
    standing = [
        check
        for check in violations(whole)
        if not is_whole or check["name"].partition(".")[0] in unseen
    ]
    is_due = path == whole or is_violated
    if is_due and (not standing or (is_whole and is_violated)):
        write(document | {"checks": [*document["checks"], *standing]}, whole)
    for file in ({path} | ({report} if report else set())) - {whole}:
        write(document, file)


def _publish(document: dict[str, Any], text: str, usual: set[Path], report: Path | None) -> None:
    for path in usual | ({report} if report else set()):
        write(document, path)
    typer.echo(text)


if __name__ == "__main__":
    app()
