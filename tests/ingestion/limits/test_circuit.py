import pytest

from ingestion.limits.account import Account
from ingestion.limits.circuit import TRIAL, BreakerPolicy, Circuit
from ingestion.limits.limit import SECOND, Budget, Limit
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    ProviderError,
    RateLimitedError,
)
from tests.ingestion.limits.conftest import NOW, WHO, Rig
from tests.ingestion.limits.test_account import refused, taken

POLICY = BreakerPolicy(failures=3, open_s=10.0)
DOWN = ProviderDownError("no answer")
OPEN = Circuit("open", 3, NOW)
HALF = Circuit("half-open", 3, NOW + TRIAL)


@pytest.mark.parametrize(
    ("before", "error", "after"),
    [
        (Circuit(), None, Circuit()),
        (Circuit(), DOWN, Circuit("closed", 1)),
        (Circuit("closed", 1), MalformedError("html"), Circuit("closed", 2)),
        (Circuit("closed", 2), DOWN, Circuit("open", 3, NOW + 10 * SECOND)),
        (Circuit("closed", 2), None, Circuit()),
        (Circuit("closed", 2), NoDataError("unknown"), Circuit()),
        (Circuit("closed", 2), DeniedError("key"), Circuit()),
        (Circuit("closed", 2), RateLimitedError("429"), Circuit()),
        (HALF, None, Circuit()),
        (HALF, RateLimitedError("429"), Circuit()),
        (HALF, DOWN, Circuit("open", 4, NOW + 10 * SECOND)),
        (OPEN, None, OPEN),
        (OPEN, DOWN, OPEN),
    ],
)
def test_what_an_outcome_does(before: Circuit, error: ProviderError | None, after: Circuit) -> None:
    assert before.told(error, NOW, POLICY) == after


def fail(account: Account, now: int) -> None:
    account.told(taken(account.take(now)), DOWN, now)


def test_it_opens_lets_one_try_and_closes(rig: Rig) -> None:
    account = rig.account(Limit(100, "second"), failures=3)
    for _ in range(3):
        fail(account, NOW)

    wait = refused(account.take(NOW))
    assert (wait.why, wait.microseconds) == ("circuit", 60 * SECOND)

    later = NOW + 60 * SECOND
    trial = taken(account.take(later))
    assert refused(account.take(later)).why == "circuit"
    account.told(trial, None, later)
    taken(account.take(later))
    taken(account.take(later))


def test_a_failed_trial_opens_it_again(rig: Rig) -> None:
    account = rig.account(Limit(100, "second"), failures=3)
    for _ in range(3):
        fail(account, NOW)
    later = NOW + 60 * SECOND

    fail(account, later)

    assert refused(account.take(later)).microseconds == 60 * SECOND


def test_a_trial_that_never_comes_back_does_not_lock_it(rig: Rig) -> None:
    account = rig.account(Limit(100, "second"), failures=1)
    fail(account, NOW)
    later = NOW + 60 * SECOND
    taken(account.take(later))

    assert refused(account.take(later + 1)).why == "circuit"
    taken(account.take(later + TRIAL))


@pytest.mark.parametrize("is_tried", [False, True])
def test_a_clock_set_back_does_not_keep_it_open(rig: Rig, is_tried: bool) -> None:
    account = rig.account(Limit(100, "second"), failures=1)
    ahead = NOW + 365 * 86_400 * SECOND
    fail(account, ahead)
    if is_tried:
        taken(account.take(ahead + 60 * SECOND))

    wait = refused(account.take(NOW))

    assert (wait.why, wait.microseconds) == ("circuit", 120 * SECOND)
    taken(account.take(NOW + 120 * SECOND))


def test_who_looked_at_the_clock_early_does_not_open_it_early(rig: Rig) -> None:
    account = rig.account(Limit(100, "second"), failures=1)
    fail(account, NOW + 20 * SECOND)

    refused(account.take(NOW))  # looked at its clock, then waited for the file

    refused(account.take(NOW + 79 * SECOND))
    taken(account.take(NOW + 80 * SECOND))


def test_a_trial_without_any_word_leaves_it_open_no_longer_than_a_failed_one(rig: Rig) -> None:
    budget = Budget((Limit(100, "second"),))
    account = Account(rig.file, WHO, budget, BreakerPolicy(failures=1, open_s=4.0))
    fail(account, NOW)
    later = NOW + 4 * SECOND

    account.give_back(taken(account.take(later)), later + SECOND)

    wait = refused(account.take(later + SECOND))
    assert (wait.why, wait.microseconds) == ("circuit", 4 * SECOND)
    taken(account.take(later + 5 * SECOND))


def test_a_request_without_any_word_does_not_change_a_circuit_that_is_not_tried(rig: Rig) -> None:
    account = rig.account(Limit(100, "second"), failures=1)
    early, other = taken(account.take(NOW)), taken(account.take(NOW))

    account.give_back(early, NOW)
    late = taken(account.take(NOW))
    account.told(other, DOWN, NOW)
    account.give_back(late, NOW + SECOND)

    assert refused(account.take(NOW + SECOND)).microseconds == 59 * SECOND


def test_no_trial_is_spent_while_the_budget_has_no_room(rig: Rig) -> None:
    account = rig.account(Limit(1, "day"), failures=1)
    fail(account, NOW)

    assert refused(account.take(NOW + 61 * SECOND)).why == "budget"
    taken(account.take(NOW + 90_000 * SECOND))


def test_an_open_circuit_is_told_before_a_budget_that_takes_longer(rig: Rig) -> None:
    account = rig.account(Limit(1, "day"), failures=1)
    fail(account, NOW)

    assert refused(account.take(NOW)).why == "circuit"
