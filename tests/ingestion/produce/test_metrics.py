import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.local import scratch
from ingestion.contracts.topics import QUOTES, TOPICS
from ingestion.endpoint import MetricsPortError
from ingestion.produce import metrics
from ingestion.produce.summary import Summary

PREFIX = "tapehouse_produce_"


def scrape(port: int) -> dict[tuple[str, str | None], float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            (
                sample.name.removeprefix("tapehouse_produce_"),
                sample.labels.get("topic"),
            ): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("tapehouse_produce_")
        }


def test_a_run_s_counts_are_served_while_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = scratch.choose_ports(1)
    monkeypatch.setenv("PRODUCE_METRICS_PORT", str(port))
    summary = Summary()
    with metrics.served("finnhub", lambda: summary):
        found = scrape(port)
        assert {topic for name, topic in found if name == "sent_records_total"} == set(TOPICS)
        assert not any(value for (name, _), value in found.items() if name != "info")
        summary.sent[QUOTES] = 9
        summary.delivered[QUOTES] = 4
        summary.fail(QUOTES, "too large")
        summary.unknown[QUOTES] = 2
        summary.refused, summary.resent = 3, 5
        found = scrape(port)
    expected = {"sent": 9, "delivered": 4, "unconfirmed": 3}
    for name, count in expected.items():
        assert found[f"{name}_records_total", QUOTES] == count
    assert found["refused_records_total", None] == 3
    assert found["resent_records_total", None] == 5
    with pytest.raises(OSError, match="refused"):
        scrape(port)


def test_a_port_that_another_producer_has_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = scratch.choose_ports(1)
    monkeypatch.setenv("PRODUCE_METRICS_PORT", str(port))
    with (
        metrics.served("a", Summary),
        pytest.raises(MetricsPortError, match=rf"PRODUCE_METRICS_PORT.*127.0.0.1:{port}"),
        metrics.served("b", Summary),
    ):
        pass


def test_without_a_port_nothing_listens() -> None:
    with metrics.served("a", Summary):
        pass
