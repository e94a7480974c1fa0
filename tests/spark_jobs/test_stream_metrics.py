from typing import Any

from spark_jobs.stream_metrics import Followed


def progress(second: int, rows: int, **metrics: str) -> dict[str, Any]:
    """What Spark's StreamingQueryProgress holds, as far as it is read."""
    return {
        "timestamp": f"2026-11-27T15:00:{second:02}.000Z",
        "batchId": second,
        "numInputRows": rows,
        "durationMs": {"triggerExecution": 1500},
        "sources": [{"metrics": metrics}],
        "stateOperators": [{"numRowsTotal": 7}],
    }


def told(followed: Followed) -> dict[str, float]:
    return {
        sample.name.removeprefix("tapehouse_stream_"): sample.value
        for metric in followed.collect()
        for sample in metric.samples
    }


def test_before_the_first_batch_there_is_nothing() -> None:
    followed = Followed()
    followed.take(None)
    assert told(followed) == {}


def test_each_batch_s_records_are_counted_once_however_often_they_are_told() -> None:
    followed = Followed()
    for _ in range(3):
        followed.take(progress(1, 10, maxOffsetsBehindLatest="25"))
    followed.take(progress(2, 5, maxOffsetsBehindLatest="3"))
    assert told(followed) == {
        "records_total": 15,
        "batch_number": 2,
        "progress_timestamp_seconds": 1795791602.0,
        "batch_duration_seconds": 1.5,
        "behind_records": 3,
        "state_rows": 7,
    }


def test_what_spark_does_not_tell_has_no_sample() -> None:
    followed = Followed()
    followed.take(progress(1, 0))
    assert "behind_records" not in told(followed)
