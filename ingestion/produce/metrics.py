"""A producer's Prometheus endpoint: the counts of its run, by HTTP, while it runs.

A scrape reads the run's own counters from a thread of its own, and never waits for sending.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ingestion import endpoint
from ingestion.contracts.topics import TOPICS
from ingestion.produce.summary import Summary
from ingestion.settings import ProduceSettings

_PREFIX: Final = "tapehouse_produce"


class ProducerCollector(Collector):
    """Turns a run's summary, as it is at each scrape, into metrics."""

    def __init__(self, source: str, told: Callable[[], Summary]) -> None:
        self._source = source
        self._told = told

    def collect(self) -> Iterator[Metric]:
        summary = self._told()
        # A copy is made in one step, whatever the run counts meanwhile.
        sent, delivered = Counter(summary.sent), Counter(summary.delivered)
        lost = Counter(summary.failed) + Counter(summary.unknown)
        name = f"{_PREFIX}_info"
        info = GaugeMetricFamily(name, "Always 1; the run's source", labels=["source"])
        info.add_metric([self._source], 1)
        yield info
        yield _by_topic("sent_records", "Records handed to Kafka's client", sent)
        yield _by_topic("delivered_records", "Records that Kafka has confirmed", delivered)
        yield _by_topic(
            "unconfirmed_records", "Records that Kafka refused, or whose fate was given up", lost
        )
        yield CounterMetricFamily(
            f"{_PREFIX}_refused_records_total",
            "Records that became dead letters",
            summary.refused,
        )
        yield CounterMetricFamily(
            f"{_PREFIX}_resent_records_total",
            "How often a record was handed over again",
            summary.resent,
        )


@contextmanager
def served(source: str, told: Callable[[], Summary]) -> Iterator[None]:
    """Serve a run's metrics meanwhile, where the settings name a port.

    Raises:
        MetricsPortError: the port cannot be listened on.
    """
    settings = ProduceSettings.load()
    if settings.metrics_port is None:
        yield
        return
    where = settings.metrics_address, settings.metrics_port
    names = "PRODUCE_METRICS_PORT, PRODUCE_METRICS_ADDRESS"
    stop = endpoint.serve(*where, ProducerCollector(source, told), names)
    try:
        yield
    finally:
        stop()


def _by_topic(name: str, text: str, counts: Counter[str]) -> Metric:
    metric = CounterMetricFamily(f"{_PREFIX}_{name}_total", text, labels=["topic"])
    for topic in TOPICS:  # also those with none yet: a counter that begins late hides its rise
        metric.add_metric([topic], counts[topic])
    return metric
