"""The stream's Prometheus endpoint: what Spark told of its newest batch, by HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingestion import endpoint
from ingestion.settings import LakeSettings

_PREFIX: Final = "tapehouse_stream"


class Followed(Collector):
    """Keeps the query's newest progress; a scrape reads it and asks Spark for nothing."""

    def __init__(self) -> None:
        self._progress: Mapping[str, Any] | None = None
        self._records = 0

    def take(self, progress: Mapping[str, Any] | None) -> None:
        """Take note of ``StreamingQuery.lastProgress``, which is asked for again and again."""
        known = self._progress
        if progress is None or (known and known["timestamp"] == progress["timestamp"]):
            return
        self._records += progress["numInputRows"]
        self._progress = progress

    def collect(self) -> Iterator[Metric]:
        progress = self._progress
        if progress is None:  # the first batch has not ended
            return
        yield CounterMetricFamily(
            f"{_PREFIX}_records_total", "Records read since the process started", self._records
        )
        yield _gauge("batch_number", "The newest batch, by the checkpoint", progress["batchId"])
        moment = datetime.fromisoformat(progress["timestamp"]).timestamp()
        text = "When Spark last looked for records; it stands where the stream does"
        yield _gauge("progress_timestamp_seconds", text, moment)
        took = progress["durationMs"].get("triggerExecution", 0) / 1000
        yield _gauge("batch_duration_seconds", "How long that took", took)
        behind = progress["sources"][0]["metrics"].get("maxOffsetsBehindLatest")
        if behind is not None:  # Spark tells it once it has read something
            text = "Records that the partition with the most is behind"
            yield _gauge("behind_records", text, float(behind))
        rows = sum(one["numRowsTotal"] for one in progress["stateOperators"])
        yield _gauge("state_rows", "Rows of the state: minutes that still form", rows)


@contextmanager
def served(followed: Followed, settings: LakeSettings) -> Iterator[None]:
    """Serve the stream's metrics meanwhile, where the settings name a port.

    Raises:
        MetricsPortError: the port cannot be listened on.
    """
    if settings.stream_metrics_port is None:
        yield
        return
    where = settings.stream_metrics_address, settings.stream_metrics_port
    names = "LAKE_STREAM_METRICS_PORT, LAKE_STREAM_METRICS_ADDRESS"
    stop = endpoint.serve(*where, followed, names)
    try:
        yield
    finally:
        stop()


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value)
