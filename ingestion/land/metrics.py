"""A lander's Prometheus endpoint: what it last told about itself, by HTTP.

Nothing is computed here: a scrape reads the document that the status file got, from a thread of its
own, and never waits for landing, nor landing for it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingestion import endpoint
from ingestion.land.status import Document

_PREFIX: Final = "tapehouse_land"
_PLACE: Final = ("topic", "partition")

# Name, key of the document's row, help. A row whose value is null has no sample.
_GAUGES: Final = (
    ("log_end_offset", "log_end", "End of the partition's log, as last seen while reading"),
    ("landed_offset", "landed", "First offset that bronze lacks"),
    ("lag_offsets", "lag", "End of the log less the landed offset"),
    ("buffered_records", "buffered_records", "Records read and not in bronze yet"),
    ("buffered_bytes", "buffered_bytes", "Bytes of their bronze lines"),
    (
        "oldest_unlanded_age_seconds",
        "oldest_unlanded_s",
        "Time since the Kafka timestamp of the oldest record that bronze lacks",
    ),
    (
        "oldest_buffered_age_seconds",
        "oldest_buffered_s",
        "Time since the oldest record held was read",
    ),
)
_COUNTERS: Final = (
    ("received_records", "Records read from Kafka"),
    ("received_bytes", "Bytes of their bronze lines"),
    ("landed_records", "Records in the objects that this process wrote"),
    ("landed_bytes", "Bytes of their bronze lines, before compression"),
    ("landed_objects", "Objects that this process wrote"),
)


class LanderCollector(Collector):
    """Turns the document that ``told`` returns into metrics."""

    def __init__(self, told: Callable[[], Document | None]) -> None:
        self._told = told

    def collect(self) -> Iterator[Metric]:
        document = self._told()
        if document is None:  # nothing told yet
            return
        yield from _of_lander(document)
        for name, key, text in _GAUGES:
            yield _by_place(GaugeMetricFamily, name, key, text, document["partitions"])
        yield _failing(document)
        yield _phases(document)
        for name, text in _COUNTERS:
            yield _by_place(CounterMetricFamily, f"{name}_total", name, text, document["counts"])


def serve(address: str, port: int, told: Callable[[], Document | None]) -> Callable[[], None]:
    """Serve metrics until the process ends or the returned function is called.

    Raises:
        MetricsPortError: the port cannot be listened on.
    """
    settings = (
        "LAND_METRICS_PORT, LAND_METRICS_ADDRESS (the port of the first process, one more for each "
        "of the others)"
    )
    return endpoint.serve(address, port, LanderCollector(told), settings)


def _of_lander(document: Document) -> Iterator[Metric]:
    name = f"{_PREFIX}_info"
    info = GaugeMetricFamily(name, "Always 1; the lander by name", labels=["lander"])
    info.add_metric([document["name"]], 1)
    yield info
    told = datetime.fromisoformat(document["updated_at"]).timestamp()
    name = f"{_PREFIX}_told_timestamp_seconds"
    yield GaugeMetricFamily(name, "When all of this was told; it stands where a lander hangs", told)
    name = f"{_PREFIX}_partitions"
    yield GaugeMetricFamily(name, "Partitions that the group gives it", len(document["partitions"]))
    name = f"{_PREFIX}_failing"
    yield GaugeMetricFamily(
        name,
        "1 where a partition is failing, or the group gives none for an error",
        document["failing_since"] is not None,
    )
    name = f"{_PREFIX}_paused"
    yield GaugeMetricFamily(
        name, "1 while reading is paused: the byte budget is spent", document["paused"]
    )
    name = f"{_PREFIX}_alarms_total"
    alarms = CounterMetricFamily(name, "Alarms by code", labels=["code"])
    for code, count in document["alarms"].items():
        alarms.add_metric([code], count)
    yield alarms


def _by_place(
    family: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    key: str,
    text: str,
    rows: list[Document],
) -> Metric:
    metric = family(f"{_PREFIX}_{name}", text, labels=_PLACE)
    for row in rows:
        if row[key] is not None:
            metric.add_metric([row["topic"], str(row["partition"])], row[key])
    return metric


def _failing(document: Document) -> Metric:
    name = f"{_PREFIX}_partition_failing"
    metric = GaugeMetricFamily(name, "1 where nothing can be landed", labels=_PLACE)
    for row in document["partitions"]:
        metric.add_metric([row["topic"], str(row["partition"])], row["failing_since"] is not None)
    return metric


def _phases(document: Document) -> Metric:
    name = f"{_PREFIX}_partition_phase"
    metric = GaugeMetricFamily(
        name, "1 for what is being done about a partition", labels=[*_PLACE, "phase"]
    )
    for row in document["partitions"]:
        metric.add_metric([row["topic"], str(row["partition"]), row["phase"]], 1)
    return metric
