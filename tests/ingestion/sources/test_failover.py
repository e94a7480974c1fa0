from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from ingestion.contracts.records import Message, QuoteMessage
from ingestion.contracts.topics import BATCH, QUOTES
from ingestion.errors import LimitsError, SourceAwayError, SourceError
from ingestion.limits.account import Account
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import LimitsFile
from ingestion.limits.guard import Patience, ProviderGuard
from ingestion.limits.limit import Budget, Limit
from ingestion.sources.failover import Failover
from ingestion.sources.fetcher import Unit
from ingestion.sources.provider import (
    BudgetSpentError,
    CircuitOpenError,
    Denied,
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    StoppedError,
)
from ingestion.sources.ranked import DENIED_S, RankedFetcher
from ingestion.sources.source import Refused
from tests.ingestion.limits.conftest import WHO, FakeClock

AAPL = Unit("quote", "AAPL")
MSFT = Unit("quote", "MSFT")
BARS = Unit("bars", "AAPL", date(2026, 3, 2), date(2026, 3, 6), "1d")
MSFT_BARS = Unit("bars", "MSFT", date(2026, 3, 2), date(2026, 3, 6), "1d")


def quote(source: str, unit: Unit, number: int) -> QuoteMessage:
    return QuoteMessage(
        event_id="00000000-0000-0000-0000-000000000000",
        source=source,
        simulated=True,
        symbol=unit.symbol,
        event_time="2026-03-02T15:00:00Z",
        fetched_at="2026-03-02T15:00:00Z",
        run_id="r",
        data={"number": number},
    )


class FakeFetcher:
    """Gives two messages for each unit, or fails by a script; keeps what it was asked."""

    def __init__(self, name: str, *script: Exception | None, kinds: str = "quote bars") -> None:
        self.name = name
        self.script = list(script)
        self.asked: list[Unit] = []
        self._kinds = kinds.split()

    def serves(self, unit: Unit) -> bool:
        return unit.kind in self._kinds

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        self.asked.append(unit)
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        return [quote(self.name, unit, number) for number in range(2)]

    def facts(self) -> dict[str, object]:
        return {"requests": len(self.asked)}


def source(*fetchers: FakeFetcher, units: list[Unit], clock: FakeClock | None = None) -> Failover:
    return Failover(RankedFetcher("quotes", fetchers, clock or FakeClock()), iter(units))


def sources_of(made: list[Message | Refused]) -> list[str]:
    return [one.source for one in made if isinstance(one, QuoteMessage)]


@pytest.mark.parametrize(
    "error",
    [
        ProviderDownError("no answer"),
        DeniedError("no such plan"),
        CircuitOpenError("left alone"),
        BudgetSpentError("spent", 99.0),
        RateLimitedError("429", retry_after_s=600.0),
        MalformedError("html", b""),
        NoDataError("unknown symbol"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_first_cannot_serve_the_next_one_does_whole(error: ProviderError) -> None:
    first, second = FakeFetcher("yahoo", error), FakeFetcher("alphavantage")
    failover = source(first, second, units=[AAPL])

    made = list(failover.messages())

    assert sources_of(made) == ["alphavantage"] * 2
    assert len(made) == 2
    assert first.asked == second.asked == [AAPL]
    assert failover.facts()["served_alphavantage"] == 1


def test_while_the_first_works_no_other_is_asked() -> None:
    first, second = FakeFetcher("yahoo"), FakeFetcher("alphavantage")

    made = list(source(first, second, units=[AAPL, MSFT]).messages())

    assert sources_of(made) == ["yahoo"] * 4
    assert second.asked == []


def test_it_returns_to_the_first_and_counts_each_change() -> None:
    down = ProviderDownError("no answer")
    first, second = FakeFetcher("yahoo", None, down, down, None), FakeFetcher("alphavantage")
    failover = source(first, second, units=[AAPL, MSFT, AAPL, MSFT])

    made = list(failover.messages())

    assert sources_of(made)[::2] == ["yahoo", "alphavantage", "alphavantage", "yahoo"]
    assert failover.facts() == {
        "units": 4,
        "changes": 2,
        "missed_yahoo": 2,
        "served_alphavantage": 2,
        "served_yahoo": 2,
        "unserved": 0,
        "yahoo_requests": 4,
        "alphavantage_requests": 2,
    }


def test_a_first_unit_served_by_the_second_is_a_change() -> None:
    first, second = FakeFetcher("yahoo", ProviderDownError("x")), FakeFetcher("alphavantage")
    failover = source(first, second, units=[AAPL])
    list(failover.messages())

    assert failover.facts()["changes"] == 1


def test_a_symbol_that_the_first_does_not_have_is_counted_apart_and_is_no_change() -> None:
    first, second = FakeFetcher("yahoo", NoDataError("unknown")), FakeFetcher("alphavantage")
    failover = source(first, second, units=[AAPL, MSFT])

    assert sources_of(list(failover.messages())) == ["alphavantage"] * 2 + ["yahoo"] * 2
    assert failover.facts()["no_data_yahoo"] == 1
    assert "missed_yahoo" not in failover.facts()
    assert failover.facts()["changes"] == 0


def test_a_unit_that_nobody_serves_does_not_keep_the_others_and_fails_the_run() -> None:
    first = FakeFetcher("yahoo", ProviderDownError("no answer"))
    second = FakeFetcher("alphavantage", BudgetSpentError("spent", 9.0))
    made: list[Message | Refused] = []

    with pytest.raises(
        SourceError, match=r"1 of 2 units .* AAPL quote: yahoo: no answer, alpha.*spent"
    ):
        for one in source(first, second, units=[AAPL, MSFT]).messages():
            made.append(one)

    assert sources_of(made) == ["yahoo"] * 2


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([ProviderDownError("503")], SourceAwayError),
        ([RateLimitedError("429")], SourceAwayError),
        ([NoDataError("unknown"), ProviderDownError("503")], SourceAwayError),
        ([DeniedError("plan"), NoDataError("unknown")], SourceError),
    ],
)
def test_a_run_is_worth_trying_again_where_some_unit_may_be_served_then(
    errors: list[ProviderError], expected: type[SourceError]
) -> None:
    units = [AAPL, MSFT][: len(errors)]

    with pytest.raises(SourceError) as told:
        list(source(FakeFetcher("yahoo", *errors), units=units).messages())

    assert type(told.value) is expected


def test_a_unit_that_is_served_when_asked_again_does_not_fail_the_run() -> None:
    fetcher = FakeFetcher("yahoo", ProviderDownError("no answer"))
    failover = source(fetcher, units=[AAPL, AAPL])

    assert sources_of(list(failover.messages())) == ["yahoo"] * 2
    assert failover.facts()["unserved"] == 0


def test_what_a_provider_gave_instead_of_an_answer_is_kept_under_its_name() -> None:
    first = FakeFetcher("yahoo", MalformedError("expected JSON", b"<html>\xff"))
    quotes = list(source(first, FakeFetcher("finnhub"), units=[AAPL]).messages())

    assert quotes[0] == Refused(b"<html>\xff", QUOTES, "malformed_answer", "expected JSON", "yahoo")
    assert sources_of(quotes) == ["finnhub"] * 2

    first.script = [MalformedError("expected JSON", b"?")]
    bars = list(source(first, FakeFetcher("alphavantage"), units=[BARS]).messages())
    assert isinstance(bars[0], Refused)
    assert bars[0].topic == BATCH


def test_a_refused_record_names_the_provider_that_gave_it() -> None:
    class Half(FakeFetcher):
        def fetch(self, unit: Unit) -> list[Message | Refused]:
            return [Refused(b"{", QUOTES, "contract", "expected c"), quote(self.name, unit, 0)]

    made = list(source(Half("finnhub"), units=[AAPL]).messages())

    assert made[0] == Refused(b"{", QUOTES, "contract", "expected c", "finnhub")
    assert sources_of(made) == ["finnhub"]


def test_who_does_not_have_such_units_is_not_asked() -> None:
    quotes, bars = FakeFetcher("finnhub", kinds="quote"), FakeFetcher("yahoo", kinds="bars")

    assert sources_of(list(source(quotes, bars, units=[BARS]).messages())) == ["yahoo"] * 2
    assert quotes.asked == []


@pytest.mark.parametrize(
    ("what", "asked"),
    [("key", [BARS]), ("plan", [BARS, AAPL]), ("symbol", [BARS, MSFT_BARS, AAPL])],
)
def test_what_is_denied_is_not_asked_again_and_all_else_is(what: Denied, asked: list[Unit]) -> None:
    first = FakeFetcher("alphavantage", DeniedError("no", what=what))
    ranked = RankedFetcher("x", (first, FakeFetcher("yahoo")), FakeClock())

    for unit in (BARS, BARS, MSFT_BARS, AAPL):
        ranked.fetch(unit)

    assert first.asked == asked


def test_a_denied_kind_is_asked_again_after_a_while() -> None:
    clock = FakeClock()
    denied = DeniedError("premium", what="plan")
    first, second = FakeFetcher("alphavantage", denied), FakeFetcher("yahoo")
    units: list[Unit] = []

    def ask(unit: Unit) -> str:
        units.append(unit)
        return sources_of([next(messages), next(messages)])[0]

    messages = Failover(RankedFetcher("x", (first, second), clock), endless(units)).messages()
    assert ask(BARS) == "yahoo"
    assert ask(BARS) == "yahoo"
    assert first.asked == [BARS]
    assert ask(AAPL) == "alphavantage"
    clock.time += DENIED_S
    assert ask(BARS) == "alphavantage"


def endless(units: list[Unit]) -> Iterator[Unit]:
    while True:
        yield units.pop(0)


def test_a_stop_ends_it_without_asking_another_provider() -> None:
    second = FakeFetcher("alphavantage")
    first = FakeFetcher("yahoo", None, StoppedError("stopped"))

    made = list(source(first, second, units=[AAPL, MSFT, AAPL]).messages())

    assert sources_of(made) == ["yahoo"] * 2
    assert second.asked == []


def test_our_own_failures_are_not_a_providers() -> None:
    second = FakeFetcher("alphavantage")
    failover = source(FakeFetcher("yahoo", LimitsError("disk")), second, units=[AAPL])

    with pytest.raises(LimitsError):
        list(failover.messages())
    assert second.asked == []


def test_a_unit_is_told_when_all_of_it_was_taken_and_only_if_it_was_served() -> None:
    seen: list[tuple[Unit, int]] = []

    def note(unit: Unit, taken: int) -> None:
        seen.append((unit, taken))

    fetcher = RankedFetcher("x", [FakeFetcher("yahoo", None, NoDataError("x"))], FakeClock())
    messages = Failover(fetcher, iter([AAPL, BARS, MSFT]), note).messages()

    for _ in range(2):
        next(messages)
    assert seen == []
    next(messages)
    assert seen == [(AAPL, 2)]
    next(messages)
    with pytest.raises(SourceError, match=r"1 of 3 units .* AAPL bars 1d 2026-03-02\.\.2026-03-06"):
        next(messages)
    assert seen == [(AAPL, 2), (MSFT, 4)]


def test_what_was_given_instead_of_answers_is_kept_also_where_nobody_serves_the_unit() -> None:
    first = FakeFetcher("yahoo", MalformedError("expected JSON", b"1"))
    second = FakeFetcher("finnhub", MalformedError("expected JSON", b"2"))
    made: list[Message | Refused] = []

    with pytest.raises(SourceError):
        for one in source(first, second, units=[AAPL]).messages():
            made.append(one)

    assert [(one.body, one.source) for one in made if isinstance(one, Refused)] == [
        (b"1", "yahoo"),
        (b"2", "finnhub"),
    ]


def test_what_was_given_for_a_unit_that_nobody_serves_goes_out_before_the_next_unit() -> None:
    first = FakeFetcher("yahoo", MalformedError("expected JSON", b"1"))
    second = FakeFetcher("finnhub", ProviderDownError("no answer"))
    seen: list[int] = []
    ranked = RankedFetcher("x", [first, second], FakeClock())
    messages = Failover(ranked, [AAPL, MSFT], lambda _, taken: seen.append(taken)).messages()

    assert isinstance(next(messages), Refused)
    assert first.asked == [AAPL]
    with pytest.raises(SourceError):
        list(messages)
    assert seen == [3], "a unit's last record has its number among all that were given"


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([NoDataError("x"), NoDataError("x")], NoDataError),
        ([DeniedError("x"), DeniedError("x")], DeniedError),
        ([MalformedError("x", b"?"), MalformedError("x")], MalformedError),
        ([BudgetSpentError("x", 50.0), BudgetSpentError("x", 7.0)], BudgetSpentError),
        ([NoDataError("x"), BudgetSpentError("x", 7.0)], ProviderDownError),
        ([DeniedError("x"), ProviderDownError("x")], ProviderDownError),
        ([RateLimitedError("x"), CircuitOpenError("x")], ProviderDownError),
    ],
)
def test_where_nobody_serves_it_the_error_says_what_may_be_done(
    errors: list[ProviderError], expected: type[ProviderError]
) -> None:
    fetchers = [FakeFetcher(f"p{number}", error) for number, error in enumerate(errors)]

    with pytest.raises(ProviderError, match=r"^AAPL quote: p0: x, p1: x$") as told:
        RankedFetcher("x", fetchers, FakeClock()).fetch(AAPL)

    assert type(told.value) is expected
    assert told.value.body == b""
    if isinstance(told.value, BudgetSpentError):
        assert told.value.wait_s == 7.0


def test_who_was_not_asked_is_named_beside_who_failed() -> None:
    first = FakeFetcher("yahoo", ProviderDownError("no answer"))
    denied = FakeFetcher("polygon", DeniedError("plan"))
    ranked = RankedFetcher("x", [denied, first, FakeFetcher("finnhub", kinds="quote")], FakeClock())

    with pytest.raises(ProviderDownError):
        ranked.fetch(BARS)
    first.script = [ProviderDownError("no answer")]
    with pytest.raises(ProviderDownError) as told:
        ranked.fetch(BARS)

    assert str(told.value).endswith(
        "yahoo: no answer, polygon has denied it just now, finnhub does not have such units"
    )


def test_while_all_have_denied_it_nobody_is_asked() -> None:
    fetcher = FakeFetcher("yahoo", DeniedError("key"))
    ranked = RankedFetcher("x", [fetcher], FakeClock())

    for _ in range(2):
        with pytest.raises(DeniedError):
            ranked.fetch(AAPL)

    assert fetcher.asked == [AAPL]
    assert not RankedFetcher("x", [FakeFetcher("y", kinds="bars")], FakeClock()).serves(AAPL)
    assert ranked.serves(AAPL)


def test_the_first_is_left_alone_while_its_circuit_is_open_and_asked_again_then(
    tmp_path: Path,
) -> None:
    clock, asked = FakeClock(), 0
    is_down = True
    file = LimitsFile(tmp_path)
    account = Account(file, WHO, Budget((Limit(9, "second"),)), BreakerPolicy(failures=3))
    guard = ProviderGuard("yahoo", account, Patience(attempts=2), clock, lambda: False)

    class Guarded(FakeFetcher):
        def fetch(self, unit: Unit) -> list[Message | Refused]:
            return guard.call(lambda: self._send(unit))

        def _send(self, unit: Unit) -> list[Message | Refused]:
            nonlocal asked
            asked += 1
            if is_down:
                raise ProviderDownError("no answer")
            return super().fetch(unit)

    units = [AAPL] * 6
    ranked = RankedFetcher("x", [Guarded("yahoo"), FakeFetcher("finnhub")], clock)
    failover = Failover(ranked, endless(units))
    messages = failover.messages()

    for _ in range(4):
        assert sources_of([next(messages), next(messages)]) == ["finnhub"] * 2
    assert asked == 3
    is_down = False
    clock.time += 61.0
    assert sources_of([next(messages), next(messages)]) == ["yahoo"] * 2
    assert failover.facts()["changes"] == 2
    file.close()
