"""What Prometheus scrapes, against what serves metrics."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.prometheus import configuration
from ingestion.settings import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "infra" / "compose.yaml").read_text())["services"]


def test_the_file_is_what_it_is_generated_from() -> None:
    assert configuration.FILE.read_text() == configuration.render(configuration.CONTAINERS)


def test_containers_are_scraped_where_they_serve() -> None:
    served = {
        "lander": ("LAND_METRICS_PORT", "LAND_METRICS_ADDRESS"),
        "exporter": ("PROMETHEUS_EXPORTER_PORT", "PROMETHEUS_EXPORTER_ADDRESS"),
    }
    found = {host for hosts in configuration.CONTAINERS.values() for host in hosts}
    environments = {name: COMPOSE[name]["environment"] for name in served}
    assert found == {f"{name}:{environments[name][port]}" for name, (port, _) in served.items()}
    for name, (_, address) in served.items():
        assert environments[name][address] == "0.0.0.0"


def test_here_is_scraped_what_the_settings_give_a_port(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / ".env"))
    assert configuration.local() == {"exporter": ["127.0.0.1:19464"]}
    for name, value in (
        ("LAND_METRICS_PORT", "9464"),
        ("LAND_PROCESSES", "2"),
        ("PRODUCE_METRICS_PORT", "9470"),
        ("LAKE_STREAM_METRICS_PORT", "9480"),
        ("PROMETHEUS_EXPORTER_PORT", "9490"),
    ):
        monkeypatch.setenv(name, value)
    assert configuration.local() == {
        "exporter": ["127.0.0.1:9490"],
        "landers": ["127.0.0.1:9464", "127.0.0.1:9465"],
        "producers": ["127.0.0.1:9470"],
        "stream": ["127.0.0.1:9480"],
    }


def test_rules_are_read_from_where_they_lie(tmp_path: Path) -> None:
    text = configuration.render({"exporter": ["x:1"]}, rules=f"{configuration.RULES}/*.yml")
    assert yaml.safe_load(text)["rule_files"] == [f"{configuration.RULES}/*.yml"]
    assert (configuration.FOLDER / "rules").is_dir()
