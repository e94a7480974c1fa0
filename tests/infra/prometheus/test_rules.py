"""The alert rules, as promtool reads and plays them."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.prometheus.configuration import FILE, RULES
from ingestion.settings import ROOT

CASES = Path(__file__).parent / "rules"
FILES = sorted(RULES.glob("*.yml"))
AGE = "tapehouse_newest_event_trading_age_seconds"
RULE = {
    rule["alert"]: rule
    for file in FILES
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
}
# A fault planted in a rule's text, by file: the file's own cases have to see each.
PLANTS = [
    ("movement.yml", "> 60", "> 61"),
    ("movement.yml", "offset 5m", "offset 1d"),
    ("movement.yml", "[15m])) > 0", "[15m])) > 1"),
    ("movement.yml", "tapehouse_market_open == 1", "tapehouse_market_open >= 0"),
    ("freshness.yml", "> 900 < 117900", "> 901 < 117900"),
    ("freshness.yml", "< 117900", ""),
    ("freshness.yml", "< 118800", ""),
    ("freshness.yml", "< 163800", ""),
    ("freshness.yml", "}) > 900\n", "}) > 900 < 117900\n"),
    ("freshness.yml", "}) > 1800\n", "}) > 1800 < 118800\n"),
    ("freshness.yml", "}) > 46800\n", "}) > 46800 < 163800\n"),
    ("freshness.yml", "min by (feed) (", "max by (feed) ("),
    ("freshness.yml", "> 1800", "> 1799"),
    ("freshness.yml", "> 46800", "> 46799"),
    ("freshness.yml", "tapehouse_market_open == 1", "tapehouse_market_open >= 0"),
    ("freshness.yml", 'simulated="false", ', ""),
    ("freshness.yml", ', source!="recorded"', ""),
    ("freshness.yml", "min by (feed, source)", "max by (feed, source)"),
    ("warehouse.yml", " offset 15m", ""),
    ("warehouse.yml", "or on (topic, generation, partition) 0 * tapehouse_bronze_end_offset", ""),
    ("warehouse.yml", '"quarantined"', '"accepted"'),
    ("warehouse.yml", ">= 20", ">= 0"),
    ("warehouse.yml", "abs(tapehouse_audit_gap_records)", "tapehouse_audit_gap_records"),
    ("warehouse.yml", "violated|unknown", "violated|unknown|behind"),
    ("warehouse.yml", "violated|unknown", "violated"),
    ("warehouse.yml", "violated|unknown", "unknown"),
    ("warehouse.yml", "for: 26h", "for: 24h"),
    ("warehouse.yml", "- on (topic, generation, partition)", "- on (topic, partition)"),
    ("warehouse.yml", "or vector(0)", ""),
    ("platform.yml", "for: 15m", "for: 5m"),
    ("platform.yml", "< 0.1", "<= 0.1"),
]


def run(promtool: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)


def test_promtool_takes_every_rule_and_the_configuration(promtool: str) -> None:
    for done in (
        run(promtool, "check", "rules", "--lint-fatal", *map(str, FILES)),
        run(promtool, "check", "config", str(FILE)),
    ):
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_rule_fires_in_its_case_and_in_no_other(promtool: str, file: Path) -> None:
    done = run(promtool, "test", "rules", str(CASES / file.name))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "sound", "broken"), PLANTS)
def test_a_broken_rule_is_seen_by_its_cases(
    promtool: str, tmp_path: Path, file: str, sound: str, broken: str
) -> None:
    text = (RULES / file).read_text()
    assert sound in text
    (tmp_path / file).write_text(text.replace(sound, broken))
    cases = yaml.safe_load((CASES / file).read_text())
    cases["rule_files"] = [file]
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))
    assert run(promtool, "test", "rules", str(tmp_path / "cases.yml")).returncode == 1


def fired() -> set[str]:
    cases = [yaml.safe_load(file.read_text()) for file in CASES.glob("*.yml")]
    tests = [test for file in cases for test in file["tests"]]
    played = [case for test in tests for case in test.get("alert_rule_test", ())]
    told = {case["alertname"] for case in played if case.get("exp_alerts")}
    samples = [
        sample["labels"]
        for test in tests
        for case in test.get("promql_expr_test", ())
        for sample in case["exp_samples"]
    ]
    return told | {name for text in samples for name in re.findall(r'alertname="(\w+)"', text)}


def test_no_rule_is_without_a_case_in_which_it_fires() -> None:
    assert fired() == set(RULE)


def test_every_alert_has_its_place_in_the_runbook() -> None:
    text = (ROOT / "docs" / "runbooks" / "alerts.md").read_text()
    assert re.findall(r"^### (Tapehouse\w+)$", text, re.M) == list(RULE)
    for name, rule in RULE.items():
        assert rule["annotations"]["runbook"] == f"docs/runbooks/alerts.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_what_depends_on_quiet_feeds_asks_whether_the_market_is_open() -> None:
    asked = {name: rule["expr"] for name, rule in RULE.items() if AGE in rule["expr"]}
    assert len(asked) == 5
    for name, expr in asked.items():
        assert "and on () tapehouse_market_open == 1" in expr, name
