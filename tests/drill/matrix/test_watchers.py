import pytest

from drill.matrix.errors import UnjudgedError, ViolatedError
from drill.matrix.watchers import require_samples

ALLOWED = {"I3": 30.0, "I4": 60.0}


def seen(verdict: str = "ok", violated: str = "", **blind_s: float) -> dict[str, object]:
    return {"verdict": verdict} | {
        name: {"samples": 20, "violations": int(name == violated), "longest_blind_s": longest}
        for name, longest in ({"I3": 1.0, "I4": 1.0} | blind_s).items()
    }


def test_a_watch_that_looked_all_the_time_is_believed() -> None:
    require_samples("watcher-1", seen(I4=59.9), ALLOWED)


def test_a_watch_that_was_blind_for_too_long_is_not() -> None:
    with pytest.raises(UnjudgedError, match=r"I3 was not sampled for 59\.9 s; 30 allowed"):
        require_samples("watcher-1", seen(I3=59.9), ALLOWED)


def test_a_watch_that_does_not_know_is_no_violation() -> None:
    with pytest.raises(UnjudgedError, match="watcher-1: unknown"):
        require_samples("watcher-1", seen("unknown"), ALLOWED)


def test_a_violation_is_told_by_its_invariant_however_little_was_seen() -> None:
    with pytest.raises(ViolatedError) as caught:
        require_samples("watcher-1", seen("violated", "I4", I4=600), ALLOWED)
    assert caught.value.checks == {"I4"}
