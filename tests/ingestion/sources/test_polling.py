"""When which symbol is polled, and what becomes of a poll that fails."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from ingestion.calendar import Calendar
from ingestion.clock import rfc3339
from ingestion.contracts.records import Message, QuoteMessage
from ingestion.errors import SettingsError
from ingestion.sources.fetcher import Unit
from ingestion.sources.observed import Envelopes
from ingestion.sources.polling import Pace, PolledQuotes
from ingestion.sources.provider import (
    BudgetSpentError,
    Denied,
    DeniedError,
    MalformedError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    StoppedError,
)
from ingestion.sources.ranked import RankedFetcher
from ingestion.sources.source import Refused
from tests.ingestion.sources.providers import IN_SESSION, FakeClock

FRIDAY_EVENING = datetime(2025, 7, 11, 23, 0, tzinfo=UTC)
MONDAY_OPEN = datetime(2025, 7, 14, 13, 30, tzinfo=UTC)


class Quotes:
    """Notes when which symbol was asked for; fails where it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.asked: list[tuple[float, str]] = []
        self.errors: dict[str, ProviderError | StoppedError] = {}
        self.on_asked: Callable[[], None] = lambda: None

    @property
    def name(self) -> str:
        return "finnhub"

    def serves(self, unit: Unit) -> bool:
        return True

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        self.asked.append((self.clock.elapsed_s, unit.symbol))
        self.on_asked()
        if error := self.errors.get(unit.symbol):
            raise error
        now = self.clock.now()
        data = {"c": 1, "t": 1}
        made = Envelopes("finnhub", "run").observation(
            "quote.v1", unit.symbol, rfc3339(now), now, data
        )
        return [made]

    def facts(self) -> Mapping[str, object]:
        return {}


class Run:
    """Polls for a time, as the clock has it."""

    def __init__(
        self,
        calendar: Calendar,
        symbols: Sequence[str],
        seconds: float,
        now: datetime = IN_SESSION,
        pace: Pace | None = None,
    ) -> None:
        self.clock = FakeClock(now)
        self.fetcher = Quotes(self.clock)
        self.source = PolledQuotes(
            self.fetcher,
            symbols,
            calendar,
            self.clock,
            lambda: self.clock.elapsed_s >= seconds,
            pace,
        )

    def made(self) -> list[Message | Refused]:
        return [item for item in self.source.messages() if item is not None]


def test_each_symbol_is_polled_at_its_interval_and_all_evenly(nyse: Calendar) -> None:
    run = Run(nyse, ["A", "B", "C"], 59.9, pace=Pace(interval_s=6))
    made = run.made()

    gaps = [later - earlier for (earlier, _), (later, _) in pairwise(run.fetcher.asked)]
    assert gaps == pytest.approx([2.0] * 29)
    assert Counter(m.symbol for m in made if isinstance(m, QuoteMessage)) == dict.fromkeys(
        "ABC", 10
    )


@pytest.mark.parametrize(("n", "interval_s"), [(1, 5.5), (5, 5.5), (10, 10.0), (90, 90.0)])
def test_more_symbols_than_the_budget_has_room_for_stretch_the_interval(
    nyse: Calendar, n: int, interval_s: float
) -> None:
    symbols = [f"S{i}" for i in range(n)]
    run = Run(nyse, symbols, 600)
    run.made()

    per_minute = Counter(int(at // 60) for at, _ in run.fetcher.asked)
    assert max(per_minute.values()) <= 61
    assert len(run.fetcher.asked) == pytest.approx(600 / interval_s * n, rel=0.02)
    assert run.source.facts()["poll_interval_s"] == interval_s


def test_it_is_silent_while_nothing_is_due(nyse: Calendar) -> None:
    run = Run(nyse, ["A"], 6)
    given = list(run.source.messages())

    assert given.count(None) >= 25, "a stop would be noticed late"


def test_outside_of_sessions_it_polls_rarely_and_wakes_at_the_open(nyse: Calendar) -> None:
    opens_in = (MONDAY_OPEN - FRIDAY_EVENING).total_seconds()
    run = Run(nyse, ["A"], opens_in + 60, FRIDAY_EVENING, Pace(closed_interval_s=3_600))
    run.made()

    before = [at for at, _ in run.fetcher.asked if at < opens_in]
    after = [at for at, _ in run.fetcher.asked if at >= opens_in]
    assert len(before) == pytest.approx(opens_in / 3_600, abs=1)
    assert after[0] == pytest.approx(opens_in, abs=0.5)
    assert len(after) == pytest.approx(60 / 5.5, abs=1)
    assert run.source.facts()["failed_polls"] == {}


def test_a_half_day_ends_at_its_close(nyse: Calendar) -> None:
    """2025-07-03 closed at 13:00 in New York; ten minutes later the pace is that of the night."""
    closed = datetime(2025, 7, 3, 17, 11, tzinfo=UTC)
    run = Run(nyse, ["A"], 600, closed)
    run.made()
    assert len(run.fetcher.asked) == 1


@pytest.mark.parametrize(
    "error",
    [
        ProviderDownError("down"),
        RateLimitedError("slow", retry_after_s=3.0),
        MalformedError("what?", b"\xff"),
    ],
)
def test_a_failed_poll_does_not_end_the_others(nyse: Calendar, error: ProviderError) -> None:
    run = Run(nyse, ["A", "B"], 55)
    run.fetcher.errors["A"] = error
    made = run.made()

    assert sum(isinstance(m, QuoteMessage) and m.symbol == "B" for m in made) == 10
    assert run.source.facts()["failed_polls"] == {type(error).__name__: 10}


def test_an_answer_that_is_no_quote_is_kept(nyse: Calendar) -> None:
    run = Run(nyse, ["A"], 1)
    run.fetcher.errors["A"] = MalformedError("expected a quote", b"\xff\x00")

    [refused] = run.made()

    assert isinstance(refused, Refused)
    assert (refused.body, refused.topic, refused.reason) == (
        b"\xff\x00",
        "stock-quotes",
        "malformed_answer",
    )


def test_where_nothing_was_received_nothing_is_kept(nyse: Calendar) -> None:
    run = Run(nyse, ["A"], 1)
    run.fetcher.errors["A"] = MalformedError("expected a quote, found nothing")

    assert run.made() == []
    assert run.source.facts()["refused_answers"] == 1


def test_a_denied_symbol_is_left_out_for_a_while(nyse: Calendar) -> None:
    run = Run(nyse, ["A", "B"], 1_000)
    run.fetcher.errors["A"] = DeniedError("not in your plan", what="symbol")
    run.made()

    assert [at for at, symbol in run.fetcher.asked if symbol == "A"] == pytest.approx(
        [0, 900], abs=6
    )
    assert len(run.fetcher.asked) == pytest.approx(1_000 / 5.5, rel=0.02), "B has its own pace"
    assert run.source.facts()["denied_symbols"] == ["A"]


def test_all_denied_after_there_were_quotes_is_waited_out(nyse: Calendar) -> None:
    """A key may be refused for a while, by a provider that has an accident."""
    run = Run(nyse, ["A"], 1_000)
    asked = run.fetcher.asked
    run.fetcher.on_asked = lambda: run.fetcher.errors.update(
        {"A": DeniedError("for now")} if len(asked) == 2 else {}
    )
    run.made()

    assert [at for at, _ in asked] == pytest.approx([0, 5.5, 905.5], abs=0.5)


def test_what_several_providers_gave_is_kept_under_their_names(nyse: Calendar) -> None:
    run = Run(nyse, ["A"], 1)
    run.fetcher.errors["A"] = MalformedError("expected a quote", b"x")
    both = RankedFetcher("quotes", [run.fetcher, run.fetcher], run.clock)
    source = PolledQuotes(both, ["A"], nyse, run.clock, lambda: run.clock.elapsed_s >= 1)

    made = [item for item in source.messages() if item is not None]
    assert [(m.body, m.source) for m in made if isinstance(m, Refused)] == [(b"x", "finnhub")] * 2
    assert len(made) == 2


def test_what_one_of_several_gave_before_another_was_down_is_kept_too(nyse: Calendar) -> None:
    run = Run(nyse, ["A"], 1)
    run.fetcher.errors["A"] = MalformedError("expected a quote", b"x")
    down = Quotes(run.clock)
    down.errors["A"] = ProviderDownError("down")
    both = RankedFetcher("quotes", [run.fetcher, down], run.clock)
    source = PolledQuotes(both, ["A"], nyse, run.clock, lambda: run.clock.elapsed_s >= 60)

    first = next(item for item in source.messages() if item is not None)

    assert isinstance(first, Refused) and first.body == b"x"
    assert len(down.asked) == 1, "it was kept back until another poll"


@pytest.mark.parametrize(("what", "n_asked"), [("key", 1), ("plan", 2), ("symbol", 2)])
def test_what_is_denied_for_all_ends_the_source(nyse: Calendar, what: Denied, n_asked: int) -> None:
    run = Run(nyse, ["A", "B"], 55)
    run.fetcher.errors |= dict.fromkeys("AB", DeniedError("no", what=what))

    with pytest.raises(DeniedError):
        run.made()
    assert len(run.fetcher.asked) == n_asked


def test_a_spent_budget_is_left_alone_for_as_long_as_it_says(nyse: Calendar) -> None:
    run = Run(nyse, ["A", "B"], 1_000)
    run.fetcher.errors |= dict.fromkeys("AB", BudgetSpentError("none left", wait_s=400))
    run.made()

    assert [at for at, _ in run.fetcher.asked] == pytest.approx([0, 400, 800], abs=0.5)


def test_a_stop_inside_a_request_ends_it(nyse: Calendar) -> None:
    run = Run(nyse, ["A"], 5)
    run.fetcher.errors["A"] = StoppedError("asked to")
    assert run.made() == []


def test_nothing_to_poll_is_told(nyse: Calendar) -> None:
    with pytest.raises(SettingsError):
        Run(nyse, [], 1)
