import os

from drill.matrix.trend import Trend


def trend(rss_per_sample: float, fds_per_sample: float, samples: int = 300) -> Trend:
    made = Trend(os.getpid())
    made.rows += [
        (n / 30, 200 + n * rss_per_sample, 40 + n * fds_per_sample) for n in range(samples)
    ]
    return made


def test_a_process_that_keeps_its_size_has_no_problem() -> None:
    steady = trend(0, 0)

    assert steady.problem() is None
    assert steady.notes()["rss_mb_per_min"] == 0
    assert steady.notes()["fds_median"] == 40


def test_growing_memory_is_told() -> None:
    assert "MB more" in (trend(1, 0).problem() or "")


def test_leaking_descriptors_are_told() -> None:
    assert "descriptors more" in (trend(0, 0.5).problem() or "")


def test_a_short_look_is_no_trend() -> None:
    brief = trend(5, 5, samples=30)

    assert brief.problem() is None
    assert brief.unjudged() == "expected 60 samples at least, found 12"
    assert trend(0, 0).unjudged() is None
