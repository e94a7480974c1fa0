import os
import signal
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from ingestion.produce.pacing import SLICE_S, Pacer, Stop, paced, stop_on_signal
from tests.ingestion.produce.conftest import FakeClock


def sent_at(pacer: Pacer, clock: FakeClock, count: int) -> list[float]:
    moments = []
    for _ in range(count):
        while pacer.wait():
            pass
        moments.append(clock.monotonic())
    return moments


@pytest.mark.parametrize("rate", [0.5, 10, 5000])
def test_records_are_spread_evenly(rate: float) -> None:
    clock = FakeClock()

    moments = sent_at(Pacer(clock, rate), clock, 50)

    assert [m - moments[0] for m in moments] == pytest.approx([n / rate for n in range(50)])
    assert max(clock.slept) <= SLICE_S, "a stop would be noticed too late"


def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()

    sent_at(Pacer(clock, None), clock, 50)

    assert clock.slept == []


def test_a_pause_is_not_made_up_for_in_a_burst() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, 10)
    sent_at(pacer, clock, 1)
    clock.time += 60

    moments = sent_at(pacer, clock, 20)

    assert moments[-1] - moments[0] > 1.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_wish_and_the_handlers_come_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)

    with stop_on_signal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
        assert signal.getsignal(number) is before, "the second signal has its usual effect"

    assert signal.getsignal(number) is before


EPOCH = datetime(2026, 1, 2, tzinfo=UTC)


def arrived_at(
    clock: FakeClock, seconds: list[float], speed: float, max_wait_s: float = inf
) -> list[float]:
    timed = ((EPOCH + timedelta(seconds=second), second) for second in seconds)
    start, moments = clock.monotonic(), []
    for item in paced(timed, speed, clock, Stop(), max_wait_s):
        if item is not None:
            moments.append(clock.monotonic() - start)
    return moments


@pytest.mark.parametrize(
    ("speed", "max_wait_s", "expected"),
    [(1, inf, [0, 1, 4]), (2, inf, [0, 0.5, 2]), (1, 1.5, [0, 1, 2.5])],
)
def test_records_keep_their_rhythm(speed: float, max_wait_s: float, expected: list[float]) -> None:
    clock = FakeClock()

    assert arrived_at(clock, [10, 11, 14], speed, max_wait_s) == pytest.approx(expected, abs=0.01)
    assert max(clock.slept) <= SLICE_S, "a stop would be noticed too late"


def test_what_is_nearly_due_goes_at_once_and_the_rhythm_stays() -> None:
    clock = FakeClock()

    moments = arrived_at(clock, [n / 1_000 for n in range(2_001)], 1)

    assert moments[-1] == pytest.approx(2, abs=0.02)
    assert len(clock.slept) <= 200


def test_what_is_out_of_order_waits_for_nothing_and_moves_nothing() -> None:
    assert arrived_at(FakeClock(), [10, 5, 11], 1) == pytest.approx([0, 0, 1])


def test_a_replay_that_fell_behind_does_not_catch_up_in_a_burst() -> None:
    clock, moments = FakeClock(), []
    timed = [(EPOCH + timedelta(seconds=second), second) for second in range(4)]

    for item in paced(timed, 1, clock, Stop()):
        if item is not None:
            moments.append(clock.monotonic())
            clock.time += 10 if item == 1 else 0

    assert moments[2] - moments[1] == pytest.approx(10 + 1 - SLICE_S)
    assert moments[3] - moments[2] == pytest.approx(1)


def test_a_stop_ends_a_replay_in_the_middle_of_a_wait() -> None:
    clock, stop = FakeClock(), Stop()
    clock.on_sleep = lambda: setattr(stop, "requested", clock.time > 1_001)
    timed = [(EPOCH, "a"), (EPOCH + timedelta(days=1), "b")]

    assert [item for item in paced(timed, 1, clock, stop) if item] == ["a"]
    assert clock.time < 1_001 + 2 * SLICE_S
