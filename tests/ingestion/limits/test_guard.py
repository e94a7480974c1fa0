from collections.abc import Callable

import pytest

from ingestion.limits.guard import SLICE_S, Patience
from ingestion.limits.limit import Limit
from ingestion.sources.provider import (
    BudgetSpentError,
    CircuitOpenError,
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
    StoppedError,
)
from tests.ingestion.limits.conftest import Rig

MANY = Limit(1_000, "second")
PATIENCE = Patience(max_wait_s=65.0, attempts=4, retry_s=120.0, backoff_s=1.0, max_backoff_s=30.0)
DOWN = ProviderDownError("no answer")


class Provider:
    """Answers by a script, then always 'ok'; notes when it was asked."""

    def __init__(self, rig: Rig, *script: Exception) -> None:
        self._world = rig
        self._script = list(script)
        self.asked: list[float] = []

    def __call__(self) -> str:
        self.asked.append(self._world.clock.time)
        if self._script:
            raise self._script.pop(0)
        return "ok"


def test_it_sends_once_and_returns_the_answer(rig: Rig) -> None:
    provider = Provider(rig)
    guard = rig.guard(MANY, patience=PATIENCE)

    assert guard.call(provider) == "ok"
    assert provider.asked == [0.0]
    assert rig.clock.slept == []


def test_it_waits_for_the_budget_and_never_longer_in_one_piece_than_a_slice(rig: Rig) -> None:
    provider = Provider(rig)
    guard = rig.guard(Limit(2, "second"), patience=PATIENCE)

    for _ in range(4):
        guard.call(provider)

    assert provider.asked[1] == 0.0
    assert provider.asked[2] == pytest.approx(1.051)
    assert provider.asked[3] == pytest.approx(1.051)
    assert max(rig.clock.slept) <= SLICE_S
    assert guard.facts()["waited_s"] == pytest.approx(1.1, abs=0.06)


def test_a_budget_without_room_for_longer_than_it_may_wait_is_told_with_the_wait(
    rig: Rig,
) -> None:
    provider = Provider(rig)
    guard = rig.guard(Limit(1, "day"), patience=PATIENCE)
    guard.call(provider)

    with pytest.raises(BudgetSpentError, match="1/day") as told:
        guard.call(provider)

    assert told.value.wait_s == pytest.approx(86_486.45)
    assert len(provider.asked) == 1
    assert rig.clock.slept == []


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_what_may_pass_is_tried_again(rig: Rig, failures: int) -> None:
    provider = Provider(rig, *[DOWN] * failures)
    guard = rig.guard(MANY, patience=PATIENCE)

    assert guard.call(provider) == "ok"
    assert len(provider.asked) == failures + 1
    assert guard.facts()["retried"] == failures


def test_attempts_are_bounded_and_the_last_error_is_told(rig: Rig) -> None:
    last = ProviderDownError("the fourth")
    provider = Provider(rig, DOWN, DOWN, DOWN, last)
    guard = rig.guard(MANY, patience=PATIENCE)

    with pytest.raises(ProviderDownError) as told:
        guard.call(provider)

    assert told.value is last
    assert len(provider.asked) == 4


def test_the_time_for_attempts_is_bounded(rig: Rig) -> None:
    patience = Patience(attempts=1_000, retry_s=20.0, backoff_s=1.0, max_backoff_s=4.0)
    provider = Provider(rig, *[DOWN] * 1_000)
    guard = rig.guard(MANY, patience=patience, failures=10_000)

    with pytest.raises(ProviderDownError):
        guard.call(provider)

    assert 3 < len(provider.asked) < 1_000
    assert provider.asked[-1] < 20.0


@pytest.mark.parametrize("error", [NoDataError("x"), DeniedError("x"), MalformedError("x")])
def test_what_will_not_change_is_not_asked_again(rig: Rig, error: ProviderError) -> None:
    provider = Provider(rig, error)
    guard = rig.guard(MANY, patience=PATIENCE)

    with pytest.raises(type(error)):
        guard.call(provider)

    assert len(provider.asked) == 1


def test_pauses_are_drawn_evenly_below_a_bound_that_doubles(rig: Rig) -> None:
    guard = rig.guard(Limit(1_000_000, "second"), patience=PATIENCE, failures=10_000)
    pauses: list[list[float]] = [[], [], []]
    for _ in range(150):
        provider = Provider(rig, DOWN, DOWN, DOWN)
        guard.call(provider)
        for number, (first, second) in enumerate(
            zip(provider.asked, provider.asked[1:], strict=False)
        ):
            pauses[number].append(second - first)

    for number, found in enumerate(pauses):
        bound = 2.0**number
        assert max(found) <= bound + 1e-6
        # Of 150 even draws, none in the lowest or the highest tenth happens once in 3 million.
        assert min(found) < 0.1 * bound
        assert max(found) > 0.9 * bound


def test_a_refusal_is_waited_out_and_asked_again(rig: Rig) -> None:
    provider = Provider(rig, RateLimitedError("429", retry_after_s=12.0))
    guard = rig.guard(MANY, patience=PATIENCE)

    assert guard.call(provider) == "ok"
    assert provider.asked == [0.0, pytest.approx(12.0)]
    assert guard.facts()["rate_limited"] == 1


def test_a_refusal_that_lasts_is_told_at_once_and_holds_everybody(rig: Rig) -> None:
    provider = Provider(rig, RateLimitedError("429", retry_after_s=600.0))
    guard = rig.guard(MANY, patience=PATIENCE)

    with pytest.raises(RateLimitedError):
        guard.call(provider)
    assert rig.clock.slept == []

    with pytest.raises(BudgetSpentError) as told:
        rig.guard(MANY, patience=PATIENCE).call(provider)
    assert told.value.wait_s == pytest.approx(600.0)
    assert len(provider.asked) == 1


@pytest.mark.parametrize(
    "patience", [Patience(max_wait_s=5.0), Patience(retry_s=20.0)], ids=["wait", "time"]
)
def test_a_refusal_is_not_waited_out_beyond_either_bound(rig: Rig, patience: Patience) -> None:
    provider = Provider(rig, RateLimitedError("429", retry_after_s=30.0))

    with pytest.raises(RateLimitedError):
        rig.guard(MANY, patience=patience).call(provider)

    assert provider.asked == [0.0]
    assert rig.clock.slept == []


def test_a_failing_provider_is_left_alone_and_tried_again_later(rig: Rig) -> None:
    provider = Provider(rig, *[DOWN] * 3)
    guard = rig.guard(MANY, patience=PATIENCE, failures=3)

    with pytest.raises(CircuitOpenError):
        guard.call(provider)
    assert len(provider.asked) == 3
    with pytest.raises(CircuitOpenError, match="3 failures"):
        guard.call(provider)
    assert len(provider.asked) == 3

    rig.clock.time += 61.0
    assert guard.call(provider) == "ok"
    assert guard.call(provider) == "ok"
    assert guard.facts()["not_sent"] == 2


def stop_after(rig: Rig, sleeps: int) -> Callable[[], None]:
    def check() -> None:
        rig.is_stopped = len(rig.clock.slept) >= sleeps

    return check


@pytest.mark.parametrize(
    "error",
    [None, DOWN, RateLimitedError("429", retry_after_s=60.0)],
    ids=["budget", "back-off", "hold"],
)
def test_a_stop_ends_every_wait_within_a_slice(rig: Rig, error: ProviderError | None) -> None:
    script = [] if error is None else [error] * 10
    provider = Provider(rig, *script)
    patience = Patience(attempts=10, backoff_s=1_000.0, max_backoff_s=50.0)
    guard = rig.guard(Limit(1, "minute") if error is None else MANY, patience=patience)
    rig.clock.on_sleep = stop_after(rig, 3)
    if error is None:
        guard.call(provider)

    with pytest.raises(StoppedError):
        guard.call(provider)

    assert len(rig.clock.slept) == 3
    assert len(provider.asked) == 1


def test_nothing_is_sent_after_a_stop(rig: Rig) -> None:
    provider = Provider(rig)
    rig.is_stopped = True

    with pytest.raises(StoppedError):
        rig.guard(MANY, patience=PATIENCE).call(provider)

    assert provider.asked == []


@pytest.mark.parametrize("crash", [ZeroDivisionError(), KeyboardInterrupt()])
def test_a_crash_inside_a_request_is_passed_on_and_the_request_counts(
    rig: Rig, crash: BaseException
) -> None:
    guard = rig.guard(Limit(5, "day"), patience=PATIENCE)

    def request() -> str:
        raise crash

    with pytest.raises(type(crash)):
        guard.call(request)

    assert guard.facts()["left"] == {"5/day": 4}
    with rig.file.transaction() as db:
        assert db.execute("select sum(is_open) from requests").fetchone() == (0,)


def test_what_an_answer_says_of_the_limit_lowers_ours(rig: Rig) -> None:
    guard = rig.guard(Limit(60, "minute"), patience=PATIENCE)

    def request() -> str:
        guard.observe(remaining=2, scope="minute")
        return "ok"

    guard.call(request)

    assert guard.facts()["left"] == {"60/minute": 2}
    assert guard.facts()["spent_by_others"] == 57


def test_an_error_text_is_one_line_and_names_the_provider(rig: Rig) -> None:
    guard = rig.guard(Limit(1, "day"), patience=PATIENCE)
    guard.call(Provider(rig))

    with pytest.raises(BudgetSpentError, match=r"^finnhub: no request for \d+ s more \(1/day\)$"):
        guard.call(Provider(rig))
