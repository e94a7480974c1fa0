import os
import signal

import pytest

from ingestion.produce.pacing import SLICE_S, Pacer, stop_on_signal
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
