"""Prometheus and the exporter as services of a real stack."""

import json
import urllib.request
from typing import Any

import pytest

from infra.setup import prometheus
from infra.setup.console import Console
from ingestion.settings import PrometheusSettings
from tests.conftest import RunningStack
from tests.infra.prometheus.test_rules import RULE
from tests.support import wait_for

pytestmark = pytest.mark.integration


def ask(path: str) -> Any:
    url = f"http://127.0.0.1:{PrometheusSettings.load().port}/api/v1/{path}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


def test_it_scrapes_the_exporter_knows_every_rule_and_ends(
    stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    prometheus.ensure("prometheus", Console(total=1), tmp_path_factory.mktemp("setup") / "log")
    started = stack.run("infra.local", "prometheus")
    assert started.returncode == 0, started.stderr
    assert "scrapes exporter; not landers (no LAND_METRICS_PORT)" in started.stdout
    try:
        query = "query?query=tapehouse_scrape_source_up"
        found = wait_for(lambda: ask(query)["result"], timeout_s=120)
        up = {one["metric"]["source"]: one["value"][1] for one in found}
        assert (up["kafka"], up["bronze"], up["calendar"]) == ("1", "1", "1")
        # Nothing has been loaded, built or audited, and that is told.
        assert (up["warehouse"], up["gold"], up["audit"]) == ("0", "0", "0")
        rules = [rule["name"] for group in ask("rules")["groups"] for rule in group["rules"]]
        assert sorted(rules) == sorted(RULE)
    finally:
        ended = stack.run("infra.local", "prometheus", "stop")
    assert ended.returncode == 0, ended.stderr
    with pytest.raises(OSError, match="refused"):
        ask(query)
