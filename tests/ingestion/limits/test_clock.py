"""A wall clock that is set back, and processes that die: by brute force over recorded arrivals."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion.limits.account import Account, Ticket
from ingestion.limits.circuit import BreakerPolicy
from ingestion.limits.file import LimitsFile
from ingestion.limits.limit import SECOND, SPAN, Budget, Limit
from tests.ingestion.limits.conftest import NOW, WHO
from tests.ingestion.limits.test_account import most_in_any

LIMITS = (Limit(1, "second"), Limit(2, "minute"), Limit(8, "day"))


@dataclass(frozen=True)
class Step:
    """True time passes, the wall clock is set back, then a request is wanted that takes so long.

    Of a process that dies meanwhile nobody hears the end; the request arrives all the same.
    """

    passes: int
    back: int
    takes: int
    dies: bool


# Few different times, so that what arrives late often meets what was sent later.
STEPS = st.lists(
    st.builds(
        Step,
        passes=st.one_of(
            st.sampled_from([0, 2 * SECOND, 20 * SECOND, 40 * SECOND, 62 * SECOND]),
            st.integers(0, 8 * 3_600 * SECOND),
        ),
        back=st.one_of(
            *[st.just(0)] * 8, st.integers(0, 70 * SECOND), st.integers(0, 86_400 * SECOND)
        ),
        takes=st.sampled_from([0, 0, 20 * SECOND, 40 * SECOND]),
        dies=st.booleans(),
    ),
    min_size=20,
    max_size=50,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_no_window_of_true_time_has_more_when_the_clock_is_set_back_and_processes_die(
    steps: list[Step],
) -> None:
    arrivals: list[int] = []
    under_way: list[tuple[int, Ticket]] = []
    now, wall = NOW, NOW
    with tempfile.TemporaryDirectory() as folder:
        file = LimitsFile(Path(folder))
        account = Account(file, WHO, Budget(LIMITS), BreakerPolicy())
        for step in steps:
            for ended, ticket in sorted(under_way, key=lambda one: one[0]):
                if ended <= now + step.passes:
                    account.told(ticket, None, wall + ended - now)
            now, wall = now + step.passes, wall + step.passes - step.back
            under_way = [one for one in under_way if one[0] > now]
            found = account.take(wall)
            if isinstance(found, Ticket):
                arrivals.append(now + step.takes)
                if not step.dies:
                    under_way.append((now + step.takes, found))
        file.close()

    for limit in LIMITS:
        assert most_in_any(sorted(arrivals), SPAN[limit.scope]) <= limit.count
