"""Yahoo's bars, asked for one unit at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Final, Protocol
from urllib.parse import urlsplit

import msgspec

from ingestion.calendar import Calendar
from ingestion.clock import Clock
from ingestion.contracts.records import BarMessage, CorporateActionMessage, Symbol
from ingestion.settings import ProjectSettings, YahooSettings
from ingestion.sources.fetcher import Unit
from ingestion.sources.provider import Guard, MalformedError, NoDataError
from ingestion.sources.source import Refused
from ingestion.sources.yahoo import ranges
from ingestion.sources.yahoo.answer import Answer
from ingestion.sources.yahoo.messages import NAME, Context, Made, messages, spell

_BARS: Final = "bars"


class Charts(Protocol):
    """Who asks Yahoo: ``client.Client``, which takes pandas to import."""

    def chart(self, symbol: str, interval: str, start: date, end: date) -> Answer:
        """Ask for bars and actions from ``start`` to ``end``, both inclusive.

        Raises:
            ProviderError: there is no answer to the question.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class YahooFetcher:
    """Bars with splits and dividends; a range is asked for in as many requests as Yahoo wants."""

    name = NAME

    def __init__(self, charts: Charts, calendar: Calendar, clock: Clock, run_id: str) -> None:
        self._charts = charts
        self._calendar = calendar
        self._clock = clock
        self._run_id = run_id
        self._made: Counter[str] = Counter()

    def serves(self, unit: Unit) -> bool:
        return unit.kind == _BARS and unit.interval in ranges.INTERVALS and _is_symbol(unit.symbol)

    def fetch(self, unit: Unit) -> list[Made]:
        if not self.serves(unit):
            raise NoDataError(f"Yahoo serves bars of {', '.join(ranges.INTERVALS)}, not {unit}")
        made: list[Made] = []
        now = self._clock.now()
        for start, end in ranges.requests(unit, now.astimezone(self._calendar.zone).date()):
            if any(session.open_at <= now for session in self._calendar.sessions(start, end)):
                made += self._part(unit, start, end)
        if not made:
            raise NoDataError(
                f"{unit.symbol}: no session has begun from {unit.start} to {unit.end}"
            )
        self._count(made)
        return made

    def facts(self) -> Mapping[str, object]:
        return {
            "bars": self._made["bar"],
            "corporate_actions": self._made["action"],
            "refused_by_yahoo_reader": self._made["refused"],
        }

    def close(self) -> None:
        """Close what the adapter keeps open."""
        self._charts.close()

    def _part(self, unit: Unit, start: date, end: date) -> list[Made]:
        spelled = spell(unit.symbol)
        found = self._charts.chart(spelled, str(unit.interval), start, end)
        part = replace(unit, start=start, end=end)
        made = messages(found, Context(part, self._calendar, self._run_id))
        if not any(isinstance(one, BarMessage) for one in made):
            raise _without_bars(unit, found, [one for one in made if isinstance(one, Refused)])
        return made

    def _count(self, made: list[Made]) -> None:
        for one in made:
            self._made["bar"] += isinstance(one, BarMessage)
            self._made["action"] += isinstance(one, CorporateActionMessage)
            self._made["refused"] += isinstance(one, Refused)


def connect(guard: Guard, calendar: Calendar, clock: Clock, run_id: str) -> YahooFetcher:
    """Return the adapter of the configured server.

    Raises:
        SettingsError: a setting is malformed.
    """
    from ingestion.sources.yahoo.client import Client  # pandas: two seconds

    settings = YahooSettings.load()
    # What one server says of cookies and symbols is not carried to another.
    server = urlsplit(settings.base_url or "https://yahoo.com")
    name = f"{server.hostname}-{server.port}" if server.port else str(server.hostname)
    folder = ProjectSettings.load().state("yahoo", name)
    client = Client(guard, clock, folder, settings.base_url, settings.timeout_s)
    return YahooFetcher(client, calendar, clock, run_id)


def _without_bars(unit: Unit, found: Answer, refused: Sequence[Refused]) -> MalformedError:
    """Return what an answer is none of whose rows is a bar: its unit is not served by it."""
    why = ", ".join(sorted({f"{one.reason}: {one.detail}" for one in refused})[:3])
    error = MalformedError(
        f"{unit.symbol}: no bar among {len(refused)} records ({why})", found.body
    )
    error.context = refused[0].context
    return error


def _is_symbol(text: str) -> bool:
    try:
        msgspec.convert(text, Symbol)
    except msgspec.ValidationError:
        return False
    return True
