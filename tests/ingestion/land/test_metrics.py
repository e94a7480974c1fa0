"""Metrics are what the status file says, by HTTP."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.local import ports, scratch
from ingestion.endpoint import MetricsPortError
from ingestion.land import metrics
from ingestion.land.chain import Failure
from ingestion.land.protocol import Lost, PutOutcome
from tests.ingestion.land.test_status import Told
from tests.ingestion.land.world import P0, P1, chunk

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
ADDRESS = "127.0.0.1"
GAUGES = {
    "log_end_offset": "log_end",
    "landed_offset": "landed",
    "lag_offsets": "lag",
    "buffered_records": "buffered_records",
    "buffered_bytes": "buffered_bytes",
    "oldest_unlanded_age_seconds": "oldest_unlanded_s",
    "oldest_buffered_age_seconds": "oldest_buffered_s",
}
COUNTERS = (
    "received_records",
    "received_bytes",
    "landed_records",
    "landed_bytes",
    "landed_objects",
)


def scrape(port: int) -> Samples:
    """Return every sample that the endpoint gives, parsed as Prometheus does."""
    with urllib.request.urlopen(f"http://{ADDRESS}:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }


def sample(samples: Samples, name: str, **labels: Any) -> float | None:
    key = f"tapehouse_land_{name}", frozenset((k, str(v)) for k, v in labels.items())
    return samples.get(key)


def assert_equal(samples: Samples, document: dict[str, Any]) -> None:
    """Check every figure of the document against its metric; a null has none."""
    for row in document["partitions"]:
        place = {"topic": row["topic"], "partition": row["partition"]}
        for name, key in GAUGES.items():
            assert sample(samples, name, **place) == row[key], name
        is_failing = sample(samples, "partition_failing", **place)
        assert is_failing == (row["failing_since"] is not None)
        assert sample(samples, "partition_phase", **place, phase=row["phase"]) == 1
    for row in document["counts"]:
        place = {"topic": row["topic"], "partition": row["partition"]}
        for name in COUNTERS:
            assert sample(samples, f"{name}_total", **place) == row[name], name
    for code, count in document["alarms"].items():
        assert sample(samples, "alarms_total", code=code) == count
    assert sample(samples, "paused") == document["paused"]
    assert sample(samples, "partitions") == len(document["partitions"])
    assert sample(samples, "failing") == (document["failing_since"] is not None)
    assert sample(samples, "info", lander=document["name"]) == 1


def free_port(run: int = 1) -> int:
    """Return the first of so many ports in a row on which nobody listens."""
    while True:
        [port] = scratch.choose_ports(1)
        if all(ports.is_free(port + number) for number in range(run)):
            return port


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


@pytest.fixture
def port(told: Told) -> Iterator[int]:
    chosen = free_port()
    stop = metrics.serve(ADDRESS, chosen, lambda: told.file.told)
    yield chosen
    stop()


def test_before_anything_was_told_there_is_the_process_alone(port: int) -> None:
    samples = scrape(port)
    assert samples["process_resident_memory_bytes", frozenset()] > 0
    assert not any(name.startswith("tapehouse_land") for name, _ in samples)


def test_a_scrape_is_the_document_of_the_status_file(told: Told, port: int) -> None:
    told.wait(2.0)
    told.lander.answer(PutOutcome.REFUSED)
    told.file.alarms["refused"] += 2
    told.file.counts.received(P0, chunk(0, 1, 2))
    told.file.counts.landed(P1, [chunk(0), chunk(1, 2)])
    document = told.write({P0: 5})
    assert document["partitions"][0]["failing_since"] is not None, "the test proves too little"
    assert document["partitions"][0]["lag"] == 5
    assert document["partitions"][1]["lag"] is None
    assert [count["landed_records"] for count in document["counts"]] == [0, 3]
    assert_equal(scrape(port), document)


def test_a_lander_that_the_group_does_not_take_is_seen_in_its_metrics(
    told: Told, port: int
) -> None:
    told.file.member = lambda: Failure(0.0, "Group authorization failed")
    told.lander.tell(Lost((P0, P1)))
    document = told.write()
    samples = scrape(port)
    assert_equal(samples, document)
    assert (sample(samples, "failing"), sample(samples, "partitions")) == (1, 0)


def test_a_taken_port_is_an_error_that_names_the_setting(port: int) -> None:
    with pytest.raises(MetricsPortError, match=rf"LAND_METRICS_PORT.*{ADDRESS}:{port}"):
        metrics.serve(ADDRESS, port, lambda: None)
