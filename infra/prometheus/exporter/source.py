"""What the exporter asks: one storage each, by one small interface."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

PREFIX: Final = "tapehouse"
# How long an answer of a storage may take within a scrape; Prometheus gives a scrape 10 s.
ANSWER_S: Final = 3.0

Row = tuple[Sequence[str], float]


class BusyError(Exception):
    """The storage is being written and lets nobody read: what was read last still stands."""


class Source(Protocol):
    """One storage; ``name`` is its label in the exporter's own metrics."""

    name: str

    def read(self) -> Iterable[Metric]:
        """Return its metrics as they are now.

        Raises:
            BusyError: a writer is at work.
            Exception: it cannot be read; the exporter tells which source, and goes on.
        """
        ...


def gauge(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """Return a gauge ``tapehouse_<name>`` with a sample for each row of label values."""
    metric = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for values, number in rows:
        metric.add_metric(list(values), number)
    return metric


def counter(name: str, text: str, labels: Sequence[str], rows: Iterable[Row]) -> Metric:
    """Return a counter ``tapehouse_<name>``, which ends in ``_total``, likewise."""
    metric = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=labels)
    for values, number in rows:
        metric.add_metric(list(values), number)
    return metric


def one(name: str, text: str, number: float) -> Metric:
    """Return a gauge without labels."""
    return gauge(name, text, (), [((), number)])


def seconds(moment: datetime) -> float:
    """Return a moment as Prometheus has it; one without a zone, as warehouses give it, is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.timestamp()
