"""The providers of a run: adapters behind their guards, made when asked for, closed together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from ingestion import calendar as calendars
from ingestion.calendar import Calendar
from ingestion.clock import Clock, SystemClock
from ingestion.limits.guard import ProviderGuard
from ingestion.limits.guards import Guards, opened
from ingestion.produce.pacing import Stop
from ingestion.settings import (
    AlphaVantageSettings,
    FinnhubSettings,
    ProjectSettings,
    ProviderSettings,
    YahooSettings,
)
from ingestion.sources.alphavantage.fetcher import AlphaVantage
from ingestion.sources.fetch import Http, Key
from ingestion.sources.fetcher import Fetcher
from ingestion.sources.finnhub.quotes import FinnhubQuotes
from ingestion.sources.finnhub.socket import connector
from ingestion.sources.finnhub.stream import FinnhubTrades, Patience
from ingestion.sources.observed import Envelopes
from ingestion.sources.progress import Progress
from ingestion.sources.yahoo import fetcher as yahoo_bars
from ingestion.sources.yahoo import stream as yahoo_stream

YAHOO: Final = "yahoo"
FINNHUB: Final = "finnhub"
ALPHAVANTAGE: Final = "alphavantage"
# Whose budget it is, where no other server is configured.
_YAHOO_URL: Final = "https://query2.finance.yahoo.com"


@dataclass(frozen=True)
class Run:
    """What all that a run is made of shares."""

    run_id: str
    clock: Clock
    calendar: Calendar
    stop: Stop = field(default_factory=Stop)

    def stopping(self) -> bool:
        """Tell whether the run was asked to end."""
        return self.stop.requested


class Providers:
    """Makes the adapters of a run; each provider has one guard, whatever is asked of it.

    Where a key is needed and missing, making an adapter raises SettingsError, which names the
    variable.
    """

    def __init__(self, run: Run, guards: Guards, stack: ExitStack) -> None:
        self.run = run
        self._guards = guards
        self._stack = stack
        self._made: dict[str, ProviderGuard] = {}

    def facts(self) -> dict[str, Mapping[str, object]]:
        """Return what was asked of each provider, and what is left of its budget."""
        return {name: guard.facts() for name, guard in self._made.items()}

    def progress(self, name: str, interval: str) -> Progress:
        """Return the progress of a provider's bars: a server of one's own has one of its own."""
        section = YahooSettings if name == YAHOO else AlphaVantageSettings
        settings = section.load()
        is_theirs = settings.base_url == section.model_fields["base_url"].default
        host = "" if is_theirs else f"-{urlsplit(settings.base_url or '').netloc.replace(':', '-')}"
        folder = ProjectSettings.load().state("progress")
        return Progress(folder, f"{name}-{interval}{host}")

    def bars(self, name: str) -> Fetcher:
        """Return the adapter for a provider's bars: yahoo's or alphavantage's."""
        return self._yahoo() if name == YAHOO else self._alpha_vantage()

    def quotes(self, name: str) -> Fetcher:
        """Return the adapter for a provider's quotes: finnhub's or alphavantage's."""
        return self._finnhub() if name == FINNHUB else self._alpha_vantage()

    def trades(self, symbols: Sequence[str]) -> FinnhubTrades:
        """Return Finnhub's stream of trades."""
        settings, run = FinnhubSettings.load(), self.run
        key = settings.key()
        guard = self._guard(FINNHUB, settings.base_url, SecretStr(key))
        connect = connector(settings.stream_url, key, run.clock)
        context = (run.calendar, run.clock, Envelopes(FINNHUB, run.run_id), run.stopping)
        patience = Patience(mute_after_s=settings.mute_after_s)
        return FinnhubTrades(connect, guard, symbols, *context, patience)

    def updates(self, symbols: Sequence[str]) -> yahoo_stream.YahooStream:
        """Return Yahoo's stream of quotes."""
        settings, run = YahooSettings.load(), self.run
        guard = self._guard(YAHOO, settings.base_url or _YAHOO_URL)
        context = (run.calendar, run.clock, run.run_id, run.stopping)
        return yahoo_stream.connect(guard, symbols, *context, settings.stream_url)

    def _yahoo(self) -> Fetcher:
        guard = self._guard(YAHOO, YahooSettings.load().base_url or _YAHOO_URL)
        run = self.run
        made = yahoo_bars.connect(guard, run.calendar, run.clock, run.run_id)
        return self._stack.enter_context(closing(made))

    def _finnhub(self) -> Fetcher:
        http = self._http(FINNHUB, FinnhubSettings.load(), lambda k: Key(k, "X-Finnhub-Token"))
        return FinnhubQuotes(http, Envelopes(FINNHUB, self.run.run_id))

    def _alpha_vantage(self) -> Fetcher:
        settings, run = AlphaVantageSettings.load(), self.run
        http = self._http(ALPHAVANTAGE, settings, lambda k: Key(k, parameter="apikey"))
        envelopes = Envelopes(ALPHAVANTAGE, run.run_id)
        return AlphaVantage(http, envelopes, run.calendar, run.clock, settings.premium)

    def _http(self, name: str, settings: ProviderSettings, place: Callable[[str], Key]) -> Http:
        key = settings.key()
        guard = self._guard(name, settings.base_url, SecretStr(key))
        http = Http(name, settings.base_url, place(key), guard, self.run.clock)
        return self._stack.enter_context(closing(http))

    def _guard(self, name: str, base_url: str, key: SecretStr | None = None) -> ProviderGuard:
        if name not in self._made:
            self._made[name] = self._guards.guard(name, base_url, key)
        return self._made[name]


@contextmanager
def providing(run_id: str) -> Iterator[Providers]:
    """Open the budgets for a run, and close its adapters at the end.

    Raises:
        LimitsError: the file of budgets cannot be used.
    """
    clock = SystemClock()
    run = Run(run_id, clock, calendars.get(ProjectSettings.load().calendar))
    with opened(clock, run.stopping) as guards, ExitStack() as stack:
        yield Providers(run, guards, stack)


def has_key(name: str) -> bool:
    """Tell whether a provider has the key that it needs, or needs none."""
    sections: dict[str, type[ProviderSettings]] = {
        FINNHUB: FinnhubSettings,
        ALPHAVANTAGE: AlphaVantageSettings,
    }
    return name not in sections or sections[name].load().has_key
