"""What the hour declares must be able to prove what it is for."""

import pytest

from drill.hour.play import hour
from ingestion.settings import FinnhubSettings

RESTART_S = 5.0  # until a producer that was started anew is connected, on a busy machine


@pytest.mark.parametrize("length_s", [None, 180.0, 60.0, 40.0])
def test_the_watchdog_has_time_while_the_socket_is_mute(length_s: float | None) -> None:
    played = hour(length_s)
    [mute] = played.faults("mute")
    default = FinnhubSettings.model_fields["mute_after_s"].default
    watchdog_s = float(played.watchdog.get("FINNHUB_MUTE_AFTER_S", default))

    assert (watchdog_s == 60.0) is (played.scale == 1.0), "the full hour has our own"
    assert watchdog_s + RESTART_S < mute["for_s"]
    assert played.speed * played.length_s == pytest.approx(3_600.0)


def test_whoever_sees_the_mute_socket_lives_to_tell() -> None:
    played = hour()
    [mute] = played.faults("mute")
    begins, ends = mute["at_s"], mute["at_s"] + mute["for_s"]
    ended = [(one["at_s"], one["by"]) for one in played.restarts if one["of"] == "trades"]

    # A handshake may have to wait for the circuit of the polls.
    assert not [at for at, _ in ended if begins - 25 <= at <= ends]
    assert next(by for at, by in ended if at > ends) == "TERM", "killed it leaves no report"
    assert "KILL" in {by for _, by in ended}


def test_each_first_provider_dies_and_each_producer_is_ended_in_the_middle() -> None:
    played = hour()

    assert {fault["provider"] for fault in played.faults("dead")} == {"yahoo", "finnhub"}
    assert {one["of"] for one in played.restarts} == {"bars", "quotes", "trades"}
    assert all(0 < one["at_s"] < played.length_s for one in played.restarts)
