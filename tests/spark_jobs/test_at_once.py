"""Jobs that run at once, and which do."""

import threading

import pytest
from structlog.testing import capture_logs

from ingestion.errors import LakeError
from spark_jobs import __main__ as command
from spark_jobs import at_once
from spark_jobs.__main__ import Job
from spark_jobs.report import JobSummary, Told

COMPACT, BARS, DAILY, WINDOWS = Job.COMPACT, Job.BARS, Job.DAILY, Job.WINDOWS


def test_each_is_under_way_while_the_others_are_and_they_tell_in_their_order() -> None:
    meeting = threading.Barrier(3, timeout=10)

    def job(name: str) -> Told:
        meeting.wait()
        return JobSummary(name)

    jobs = [lambda name=name: job(name) for name in "abc"]
    assert [told.job for told in at_once.run(jobs)] == ["a", "b", "c"]


def test_what_succeeded_is_told_before_the_first_failure_is_raised() -> None:
    def fails(text: str) -> Told:
        raise LakeError(text)

    told = []
    with pytest.raises(LakeError, match="first"), capture_logs() as logged:
        for one in at_once.run(
            [lambda: fails("first"), lambda: JobSummary("good"), lambda: fails("second")]
        ):
            told.append(one.job)
    assert told == ["good"]
    assert [entry["error"] for entry in logged] == ["second"]


def test_metrics_that_follow_each_other_run_at_once_and_nothing_else_does() -> None:
    given = [COMPACT, BARS, DAILY, COMPACT, WINDOWS, WINDOWS, BARS, Job.MAINTAIN, DAILY]
    assert list(command._rounds(given)) == [
        *([COMPACT], [BARS, DAILY], [COMPACT], [WINDOWS], [WINDOWS, BARS]),
        *([Job.MAINTAIN], [DAILY]),
    ]
    assert list(command._rounds([])) == []
