"""Rounds of pulls: what a round's progress may take for sent."""

from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.contracts.records import Message
from ingestion.produce.confirmed import Confirmed
from ingestion.produce.outgoing import Outgoing, of_message, of_refused
from ingestion.produce.providers import Run
from ingestion.produce.pulls import Rounds, Wanted
from ingestion.sources.fetcher import Unit
from ingestion.sources.progress import Progress
from ingestion.sources.pull import Windowed
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused
from tests.ingestion.sources.test_pull import bar, message

DAYS = [(date(2025, 1, 2), date(2025, 1, day)) for day in (8, 9, 10)]
RECORDS = 3


class Clock(SystemClock):
    """Moves by itself only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Fetcher:
    """Each answer has three records, of another content each time: letters, and the last bar."""

    name = "fetcher"

    def __init__(self) -> None:
        self.asked = 0

    def serves(self, unit: Unit) -> bool:
        return True

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        self.asked += 1
        bodies = [f"{self.asked} {number}".encode() for number in range(RECORDS - 1)]
        letters = [Refused(body, "stock-market-batch", "contract", "") for body in bodies]
        return [*letters, message("IBM", unit.end, "bar.v1", bar(unit.end, self.asked))]

    def facts(self) -> Mapping[str, object]:
        return {}


def test_a_round_s_progress_waits_for_its_own_records(tmp_path: Path) -> None:
    """What Kafka confirmed of an earlier round says nothing of this one."""
    confirmed, clock, fetcher = Confirmed(), Clock(), Fetcher()
    nyse = calendar.get()
    run = Run("run", clock, nyse)
    days = iter(DAYS)

    with Progress(tmp_path, "fetcher-1d") as progress:
        bars = Windowed(fetcher, nyse, progress)
        wanted = Wanted(["IBM"], "1d", lambda: next(days), every_s=10.0)
        ranked = RankedFetcher("fetcher", [bars], clock)
        made = Rounds(ranked, bars, progress, wanted, run, confirmed).messages()

        def end() -> date | None:
            covered = progress.covered("IBM")
            return covered and covered.end

        first = [*sent(made, confirmed)]
        assert end() is None
        answered(first, confirmed)
        second = [*sent(made, confirmed)]  # what was confirmed is settled before it begins
        assert end() == DAYS[0][1]
        assert len(first) == len(second) == RECORDS
        next(made)
        assert end() == DAYS[0][1], "of the second round nothing is confirmed"
        answered(second, confirmed)
        next(record for record in made if record is not None)
        assert end() == DAYS[1][1]


def sent(made: Iterator[Message | Refused | None], confirmed: Confirmed) -> Iterator[Outgoing]:
    """Pass a round's records, and whatever is behind the last one, up to the next silence."""
    count = 0
    for one in made:
        if one is not None:
            record = outgoing(one)
            yield from filter(None, confirmed.passing([record]))
            count += 1
        elif count == RECORDS:
            return


def outgoing(one: Message | Refused) -> Outgoing:
    if isinstance(one, Refused):
        return of_refused(one, "fetcher", "run", SystemClock())
    return of_message(one)


def answered(records: list[Outgoing], confirmed: Confirmed) -> None:
    for record in records:
        confirmed.told(record, is_confirmed=True)
