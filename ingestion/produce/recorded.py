"""``produce recorded``: what was recorded once, sent again, in its own rhythm where wanted."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from math import inf
from operator import itemgetter
from typing import Annotated, Final, NamedTuple

import typer

from ingestion import calendar
from ingestion.clock import Clock, SystemClock
from ingestion.errors import SettingsError
from ingestion.produce import kafka, outgoing
from ingestion.produce.bronze import Archive, Range
from ingestion.produce.execute import Delivery, Plan, execute
from ingestion.produce.faults import Faults, FaultSeed, TruthFile, faulty
from ingestion.produce.options import (
    TIMES,
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
    named_run,
    selection_of,
    utc,
)
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Stop, paced
from ingestion.produce.replay import NAME, Replay
from ingestion.settings import ProjectSettings, StoreSettings
from ingestion.sources import stocks_csv
from ingestion.sources.recorded import Recorded
from ingestion.sources.source import Refused, Source

Topic = Annotated[
    str | None,
    typer.Option("--bronze", help="Instead of bars: what this topic has in bronze, byte for byte."),
]
Generation = Annotated[str, typer.Option(help="Bronze: start of the topic's id in hex.")]
Partitions = Annotated[
    list[int] | None, typer.Option("--partition", min=0, help="Bronze: only this one; repeat.")
]
Offset = Annotated[
    int | None, typer.Option(min=0, help="Bronze: inclusive bound, in each partition.")
]
Time = Annotated[
    datetime | None,
    typer.Option(formats=TIMES, help="Bronze: bound of Kafka's timestamps, UTC; until exclusive."),
]
Speed = Annotated[
    float | None,
    typer.Option(
        min=0.000001,
        help="Their own rhythm, so many times as fast: of bars by fetched_at, of bronze by Kafka's "
        "timestamps. 1 is the original pace; without, as fast as possible.",
    ),
]
MaxWait = Annotated[
    float | None, typer.Option(min=0, help="With --speed: no wait is longer, in seconds.")
]

_BRONZE_ONLY: Final = (
    "--generation, --partition, --first-offset, --last-offset, --since, --until: expected --bronze "
    "beside them; bars are chosen by --start, --end and --last-sessions"
)
_BARS_ONLY: Final = (
    "--bronze: expected none of --start, --end, --last-sessions, --file, --faults, --truth, which "
    "are for bars; its records are chosen by --since, --until, --first-offset and --last-offset"
)
# A line that is no bar has no time: it goes first.
_FIRST: Final = datetime.min.replace(tzinfo=UTC)


class Timed(NamedTuple):
    """Records with their moments, what to call them, and what to say of them."""

    name: str
    records: Iterator[tuple[datetime, Outgoing]]
    facts: Callable[[], Mapping[str, object]]


def recorded(
    symbol: Symbols = None,
    start: Day = None,
    end: Day = None,
    last_sessions: LastSessions = None,
    file: File = None,
    bronze: Topic = None,
    generation: Generation = "",
    partition: Partitions = None,
    first_offset: Offset = None,
    last_offset: Offset = None,
    since: Time = None,
    until: Time = None,
    speed: Speed = None,
    max_wait: MaxWait = None,
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
    """Send real daily bars of 2000 to 2013 and the actions that they prove; or replay bronze."""
    run_id, clock, stop = named_run(run_id, "recorded"), SystemClock(), Stop()
    if bronze is None:
        _refuse(_BRONZE_ONLY, generation, partition, first_offset, last_offset, since, until)
        selection = selection_of(symbol, start, end, last_sessions)
        sessions = calendar.get(ProjectSettings.load().calendar)
        made = Recorded(file or stocks_csv.packaged_file(), sessions, run_id, selection)
        source = faulty(made, faults, fault_seed, truth, sessions)
        timed = _bars(source, run_id, clock, in_time_order=speed is not None)
    else:
        _refuse(_BARS_ONLY, start, end, last_sessions, file, faults, truth)
        partitions, times = frozenset(partition or ()), (utc(since), utc(until))
        wanted = Range(bronze, generation, partitions, first_offset, last_offset, *times)
        timed = _landed(wanted, symbol)
    records = _in_rhythm(timed.records, speed, max_wait, clock, stop)
    delivery = Delivery(rate, report, delivery_timeout, ledger, spool or configured_spool())
    execute(Plan(timed.name, run_id, records, timed.facts, delivery, stop=stop), clock)


def _bars(source: Source, run_id: str, clock: Clock, in_time_order: bool) -> Timed:
    """Return bars and actions; the file has one symbol after the other, time has not."""
    timed = _timed(source, run_id, clock)
    ordered = _ordered(timed) if in_time_order else timed
    return Timed(source.name, ordered, source.facts)


def _timed(source: Source, run_id: str, clock: Clock) -> Iterator[tuple[datetime, Outgoing]]:
    for made in source.messages():
        if isinstance(made, Refused):
            yield _FIRST, outgoing.of_refused(made, source.name, run_id, clock)
        else:
            yield datetime.fromisoformat(made.fetched_at), outgoing.of_message(made)


def _ordered(
    timed: Iterator[tuple[datetime, Outgoing]],
) -> Iterator[tuple[datetime, Outgoing]]:
    """Yield by moment, all in memory; what has the same one stays in its order."""
    yield from sorted(timed, key=itemgetter(0))


def _landed(wanted: Range, symbols: list[str] | None) -> Timed:
    replay = Replay(Archive(StoreSettings.load()), wanted, frozenset(symbols or ()))
    return Timed(NAME, replay.timed(), replay.facts)


def _in_rhythm(
    timed: Iterator[tuple[datetime, Outgoing]],
    speed: float | None,
    max_wait_s: float | None,
    clock: Clock,
    stop: Stop,
) -> Iterator[Outgoing | None]:
    if speed is not None:
        return paced(timed, speed, clock, stop, inf if max_wait_s is None else max_wait_s)
    _refuse("--max-wait: expected --speed beside it", max_wait_s)
    return (record for _, record in timed)


def _refuse(text: str, *values: object) -> None:
    """Raise SettingsError where one of the options was given."""
    if any(value not in (None, "", []) for value in values):
        raise SettingsError(text)
