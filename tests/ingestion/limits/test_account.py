"""What a provider would count, over recorded moments, by brute force."""

import sqlite3
import stat
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Timer
from zoneinfo import ZoneInfo

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.errors import LimitsError
from ingestion.limits import hold
from ingestion.limits.account import Account, Identity, Ticket, Wait
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import NAME, LimitsFile
from ingestion.limits.limit import SECOND, SPAN, Budget, Limit, moment_of, next_midnight
from ingestion.limits.rows import LEASE
from ingestion.sources.provider import RateLimitedError, Scope
from tests.ingestion.limits.conftest import NOW, WHO, Rig

NEW_YORK = "America/New_York"


@dataclass(frozen=True)
class Step:
    """Time passes, then a request is wanted that takes so long; it arrives somewhere within."""

    passes: int
    takes: int
    arrives: float


def taken(found: Ticket | Wait) -> Ticket:
    assert isinstance(found, Ticket), found
    return found


def refused(found: Ticket | Wait) -> Wait:
    assert isinstance(found, Wait), found
    return found


def spend(account: Account, now: int, count: int = 1) -> None:
    for _ in range(count):
        account.told(taken(account.take(now)), None, now)


def replay(limits: tuple[Limit, ...], steps: list[Step], restart_every: int) -> list[int]:
    """Ask as eagerly as the steps say, over restarts; return when requests arrived, in order."""
    arrivals: list[int] = []
    open_requests: list[tuple[int, Ticket]] = []
    now = NOW
    with tempfile.TemporaryDirectory() as folder:
        file = LimitsFile(Path(folder))
        account = Account(file, WHO, Budget(limits), BreakerPolicy())
        for number, step in enumerate(steps):
            now += step.passes
            for ended, ticket in sorted(open_requests, key=lambda one: one[0]):
                if ended <= now:
                    account.told(ticket, None, ended)
            open_requests = [one for one in open_requests if one[0] > now]
            if number % restart_every == restart_every - 1:
                file.close()
                file = LimitsFile(Path(folder))
                account = Account(file, WHO, Budget(limits), BreakerPolicy())
            found = account.take(now)
            if isinstance(found, Ticket):
                arrivals.append(now + round(step.takes * step.arrives))
                open_requests.append((now + step.takes, found))
        file.close()
    return sorted(arrivals)


def most_in_any(arrivals: list[int], span: int) -> int:
    """Return the largest number of arrivals in any span closed on both sides."""
    return max(
        (sum(first <= other <= first + span for other in arrivals) for first in arrivals),
        default=0,
    )


STEPS = st.lists(
    st.builds(
        Step,
        passes=st.one_of(
            st.just(0), st.integers(0, SECOND // 3), st.integers(0, 20 * SECOND)
        ),
        takes=st.one_of(st.integers(0, SECOND // 2), st.integers(0, 30 * SECOND)),
        arrives=st.sampled_from([0.0, 1.0, 0.5]),
    ),
    min_size=5,
    max_size=50,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, per_second=st.integers(1, 3), restart_every=st.integers(3, 20))
def test_no_sliding_window_of_the_server_ever_has_more(
    steps: list[Step], per_second: int, restart_every: int
) -> None:
    limits = (Limit(per_second, "second"), Limit(5, "minute"))

    arrivals = replay(limits, steps, restart_every)

    for limit in limits:
        assert most_in_any(arrivals, SPAN[limit.scope]) <= limit.count


@settings(max_examples=40, deadline=None)
@given(
    waits=st.lists(st.integers(0, 9 * 3_600 * SECOND), min_size=20, max_size=40),
    skew=st.integers(-59 * SECOND, 59 * SECOND),
    takes=st.integers(0, 30 * SECOND),
)
def test_no_day_of_the_providers_zone_ever_has_more_by_its_own_clock(
    waits: list[int], skew: int, takes: int
) -> None:
    steps = [Step(wait, takes, 1.0) for wait in waits]

    arrivals = replay((Limit(2, "day", NEW_YORK),), steps, restart_every=7)

    zone = ZoneInfo(NEW_YORK)
    days = Counter(moment_of(moment + skew).astimezone(zone).date() for moment in arrivals)
    assert max(days.values()) <= 2
    assert len(arrivals) >= 2


@pytest.mark.parametrize("seconds", [-59, 0, 59])
def test_what_is_spent_around_a_zones_midnight_counts_in_both_days(rig: Rig, seconds: int) -> None:
    at_midnight = next_midnight(NOW, NEW_YORK)
    account = rig.account(Limit(1, "day", NEW_YORK))
    spend(account, at_midnight + seconds * SECOND)

    refused(account.take(at_midnight + 3_600 * SECOND))
    refused(account.take(next_midnight(at_midnight, NEW_YORK) + 59 * SECOND))
    taken(account.take(next_midnight(at_midnight, NEW_YORK) + 60 * SECOND))


@pytest.mark.parametrize(
    "limit", [Limit(3, "second"), Limit(3, "minute"), Limit(3, "day"), Limit(3, "day", NEW_YORK)]
)
def test_the_wait_is_exact(rig: Rig, limit: Limit) -> None:
    account = rig.account(limit)
    spend(account, NOW, 2)
    spend(account, NOW + SECOND // 10, 1)

    wait = refused(account.take(NOW + SECOND // 5))

    assert wait.why == "budget"
    assert wait.detail == str(limit)
    refused(account.take(NOW + SECOND // 5 + wait.microseconds - 1))
    taken(account.take(NOW + SECOND // 5 + wait.microseconds))


def test_a_sliding_minute_costs_a_thousandth_and_a_little_more(rig: Rig) -> None:
    account = rig.account(Limit(1, "minute"))
    spend(account, NOW)

    assert refused(account.take(NOW)).microseconds == 60 * SECOND + 110_000


def test_a_request_under_way_counts_until_a_span_after_its_answer(rig: Rig) -> None:
    account = rig.account(Limit(1, "second"))
    ticket = taken(account.take(NOW))
    refused(account.take(NOW + 10 * SECOND))

    account.told(ticket, None, NOW + 10 * SECOND)

    refused(account.take(NOW + 11 * SECOND))
    taken(account.take(NOW + 11 * SECOND + 60_000))


def test_a_killed_process_holds_its_place_for_the_longest_request(rig: Rig) -> None:
    taken(rig.account(Limit(1, "second")).take(NOW))

    with closing(LimitsFile(rig.folder)) as other:
        account = Account(other, WHO, Budget((Limit(1, "second"),)), BreakerPolicy())
        refused(account.take(NOW + LEASE + SECOND))
        taken(account.take(NOW + LEASE + 2 * SECOND))


def test_another_process_sees_budget_hold_and_circuit(rig: Rig) -> None:
    limits = (Limit(5, "minute"),)
    spend(rig.account(*limits), NOW, 2)

    with closing(LimitsFile(rig.folder)) as other:
        account = Account(other, WHO, Budget(limits), BreakerPolicy())
        assert account.left(NOW) == {"5/minute": 3}
        refusal = RateLimitedError("429", retry_after_s=7.5)
        account.told(taken(account.take(NOW)), refusal, NOW)

    wait = refused(rig.account(*limits).take(NOW))
    assert (wait.why, wait.microseconds) == ("hold", 7_500_000)
    assert isinstance(rig.account(*limits).take(NOW + 7_500_000), Ticket)


def test_threads_share_a_budget(rig: Rig) -> None:
    account = rig.account(Limit(5, "day"))

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: account.take(NOW), range(40)))

    assert sum(isinstance(one, Ticket) for one in found) == 5


def test_keys_hosts_and_providers_have_budgets_of_their_own(rig: Rig) -> None:
    spend(rig.account(Limit(1, "day")), NOW)
    others = [
        Identity("finnhub", "localhost:1", "ffffffff"),
        Identity("finnhub", "localhost:2", "0a0b0c0d"),
        Identity("yahoo", "localhost:1", "0a0b0c0d"),
    ]

    for identity in others:
        account = Account(rig.file, identity, Budget((Limit(1, "day"),)), BreakerPolicy())
        spend(account, NOW)


def test_of_a_key_only_a_short_hash_is_kept_and_of_a_url_only_the_host(rig: Rig) -> None:
    identity = Identity.of(
        "finnhub", "https://me:hunter2@API.example:8443/v1?token=x", "s3cr3t-key"
    )
    account = Account(rig.file, identity, Budget((Limit(1, "day"),)), BreakerPolicy())
    spend(account, NOW)

    assert (identity.host, len(identity.key_hash)) == ("api.example:8443", 8)
    assert Identity.of("yahoo", "https://x", None).key_hash == ""
    written = b"".join(path.read_bytes() for path in rig.folder.iterdir())
    assert identity.key_hash.encode() in written
    for secret in (b"s3cr3t", b"hunter2", b"token"):
        assert secret not in written


def test_nobody_else_may_read_the_file(rig: Rig) -> None:
    spend(rig.account(Limit(1, "day")), NOW)

    assert stat.S_IMODE(rig.folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in rig.folder.iterdir()}
    assert modes == {0o600}


def test_a_damaged_file_is_told_and_nothing_is_asked(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no database" * 100)

    with pytest.raises(LimitsError, match="file of budgets fails"):
        LimitsFile(tmp_path)


def test_a_full_disk_is_told_as_such_and_holds_nobody_up(rig: Rig) -> None:
    account = rig.account(Limit(1_000_000, "second"))
    rig.file._db.execute("pragma max_page_count = 1")

    with pytest.raises(LimitsError, match="disk is full"):
        spend(account, NOW, 1_000)

    rig.file._db.execute("pragma max_page_count = 1000000")
    spend(account, NOW)


def test_what_cannot_be_committed_holds_nobody_up(rig: Rig) -> None:
    rig.file._db.execute("pragma foreign_keys = on")
    with rig.file.transaction() as db:
        db.execute("create table a (number integer primary key)")
        db.execute("create table b (number references a deferrable initially deferred)")

    with pytest.raises(LimitsError, match="constraint"), rig.file.transaction() as db:
        db.execute("insert into b values (1)")

    with closing(LimitsFile(rig.folder)) as other, other.transaction() as db:
        assert db.execute("select count(*) from b").fetchone() == (0,)


def test_nobody_looks_while_another_decides(rig: Rig) -> None:
    with closing(LimitsFile(rig.folder)) as other, rig.file.transaction():
        other._db.execute("pragma busy_timeout = 10")

        with pytest.raises(LimitsError, match="locked"), other.transaction():
            pass


def test_who_comes_while_another_makes_the_file_waits_for_it(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / f"{NAME}.lock", thread_local=False)
    maker = sqlite3.connect(tmp_path / NAME, isolation_level=None, check_same_thread=False)

    def finish() -> None:
        maker.execute("commit")
        lock.release()

    with closing(maker):
        lock.acquire()
        maker.execute("begin immediate")
        Timer(0.3, finish).start()
        LimitsFile(tmp_path).close()


def test_a_newer_file_is_refused(rig: Rig) -> None:
    with rig.file.transaction() as db:
        db.execute("pragma user_version = 2")

    with pytest.raises(LimitsError, match="expected version 1, found 2"):
        LimitsFile(rig.folder)


def test_a_clock_set_back_does_not_lock_the_budget_for_longer_than_a_span(rig: Rig) -> None:
    account = rig.account(Limit(1, "second"))
    ahead = NOW + 365 * 86_400 * SECOND
    refusal = RateLimitedError("429", retry_after_s=3_600)
    account.told(taken(account.take(ahead)), refusal, ahead)

    wait = refused(account.take(NOW))
    assert 0 < wait.microseconds <= hold.MAX
    later = NOW + hold.MAX
    found = account.take(later)
    assert isinstance(found, Ticket) or found.microseconds <= 2 * SECOND


def test_who_waited_for_the_file_does_not_take_back_what_others_noted_meanwhile(rig: Rig) -> None:
    account = rig.account(Limit(1, "second"))
    ticket = taken(account.take(NOW))
    account.told(ticket, None, NOW + 30 * SECOND)

    refused(account.take(NOW + SECOND))  # looked at its clock, then waited until now

    refused(account.take(NOW + 31 * SECOND))
    taken(account.take(NOW + 31 * SECOND + 51_000))


def test_what_counts_no_more_is_forgotten(rig: Rig) -> None:
    account = rig.account(Limit(50, "minute"))
    spend(account, NOW, 50)
    spend(account, NOW + 27 * 3_600 * SECOND)

    with rig.file.transaction() as db:
        assert db.execute("select count(*) from requests").fetchone() == (1,)


@pytest.mark.parametrize(
    ("scope", "refusals", "seconds"),
    [
        ("second", 1, 1), ("second", 3, 4), ("minute", 1, 60), ("minute", 2, 120),
        (None, 1, 30), (None, 2, 60), ("minute", 99, 900),
    ],
)  # fmt: skip
def test_a_refusal_without_a_time_holds_by_its_scope_and_doubles(
    scope: Scope | None, refusals: int, seconds: int
) -> None:
    error = RateLimitedError("429", scope=scope)

    assert hold.held_until(error, NOW, refusals, "UTC") == NOW + seconds * SECOND


def test_a_daily_refusal_holds_until_after_midnight_in_the_providers_zone() -> None:
    until = hold.held_until(RateLimitedError("25 a day", scope="day"), NOW, 1, NEW_YORK)

    local = moment_of(until).astimezone(ZoneInfo(NEW_YORK))
    today = moment_of(NOW).astimezone(ZoneInfo(NEW_YORK)).date()
    assert local.date() == today + timedelta(days=1)
    assert (local.hour, local.minute) == (0, 1)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (2.5, 2_500_000), (1e12, hold.MAX), (0.0, 60 * SECOND), (-5.0, 60 * SECOND),
        (float("nan"), 60 * SECOND), (float("inf"), 60 * SECOND),
    ],
)  # fmt: skip
def test_a_time_that_is_told_is_kept_unless_it_is_none(told: float, expected: int) -> None:
    error = RateLimitedError("429", retry_after_s=told, scope="minute")

    assert hold.held_until(error, NOW, 1, "UTC") == NOW + expected


def test_refusals_of_one_wave_double_once_and_an_answer_starts_anew(rig: Rig) -> None:
    account = rig.account(Limit(100, "minute"))
    refusal = RateLimitedError("429")
    wave = [taken(account.take(NOW)) for _ in range(10)]
    for ticket in wave:
        account.told(ticket, refusal, NOW)
    assert account.held(NOW) == 30 * SECOND

    second = NOW + 30 * SECOND
    account.told(taken(account.take(second)), refusal, second)
    assert account.held(second) == 60 * SECOND

    third = second + 60 * SECOND
    spend(account, third)
    account.told(taken(account.take(third)), refusal, third)
    assert account.held(third) == 30 * SECOND


def test_a_short_refusal_does_not_end_a_long_one(rig: Rig) -> None:
    account = rig.account(Limit(100, "minute"))
    first, second = taken(account.take(NOW)), taken(account.take(NOW))
    account.told(first, RateLimitedError("429", retry_after_s=600.0), NOW)

    account.told(second, RateLimitedError("429", scope="second"), NOW)

    assert account.held(NOW) == 600 * SECOND


def test_a_smaller_count_of_the_provider_lowers_ours(rig: Rig) -> None:
    account = rig.account(Limit(60, "minute"), Limit(100, "day"))
    spend(account, NOW, 3)

    assert account.observe(10, None, "minute", NOW, NOW) == 47
    assert account.observe(10, None, "minute", NOW, NOW) == 0
    assert account.left(NOW)["60/minute"] == 10
    spend(account, NOW, 10)
    assert refused(account.take(NOW)).detail == "60/minute"


def test_a_larger_count_of_the_provider_is_not_believed(rig: Rig) -> None:
    account = rig.account(Limit(5, "minute"))
    spend(account, NOW, 4)

    assert account.observe(59, None, "minute", NOW, NOW) == 0
    assert account.left(NOW) == {"5/minute": 1}


def test_what_others_spent_is_free_again_when_the_provider_says_so(rig: Rig) -> None:
    account = rig.account(Limit(60, "minute"))
    account.observe(0, 12.0, "minute", NOW, NOW)

    assert refused(account.take(NOW)).microseconds == 12 * SECOND
    taken(account.take(NOW + 12 * SECOND))


@pytest.mark.parametrize("reset_s", [float("nan"), float("inf"), 1e300, -1e300, 1.7e9])
def test_a_reset_that_is_no_time_to_wait_costs_a_span_at_most(rig: Rig, reset_s: float) -> None:
    account = rig.account(Limit(2, "minute"))
    account.observe(0, reset_s, "minute", NOW, NOW)

    taken(account.take(NOW + 61 * SECOND))


def test_a_count_that_is_older_than_what_left_our_window_lowers_nothing(rig: Rig) -> None:
    account = rig.account(Limit(4, "second"))
    spend(account, NOW, 3)
    since = NOW + SECOND
    ticket = taken(account.take(since))

    answered = since + SECOND // 2  # the first three count no more here, but did over there
    lowered = account.observe(0, None, "second", ticket.started_at, answered)

    assert lowered == 0
