"""The options of faults, as a person gives them, against the mock broker."""

import json
from pathlib import Path

import pytest

from ingestion import cli
from ingestion.sources.faults import truth
from tests.ingestion.produce.conftest import MockKafka


@pytest.fixture(autouse=True)
def _without_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "no-settings"))


def produce(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.run("produce", arguments, "test")
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_faults_are_sent_and_their_truth_lies_beside_the_report(
    kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.servers)
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    report, path = tmp_path / "report.json", tmp_path / "truth.jsonl"

    code = produce(
        "recorded", "--symbol", "AAPL", "--start", "2005-01-03", "--end", "2005-12-30",
        "--faults", "null_ohlc=0.1,missed_split=1", "--faults", "duplicate=0.1",
        "--truth", str(path), "--report", str(report),
    )  # fmt: skip

    found = json.loads(report.read_text())
    faults = truth.read(path)
    assert code == 0
    counts = [sum(fault.fault == kind for fault in faults) for kind in ("null_ohlc", "duplicate")]
    assert [found["fault_null_ohlc"], found["fault_duplicate"]] == counts
    assert found["fault_missed_split"] == 1
    assert found["delivered"] == found["bars"] + found["corporate_actions"] - 1 + counts[1]


@pytest.mark.parametrize(
    "options", [["--faults", "late=0.1"], ["--truth", "t"], ["--faults", "lat=1", "--truth", "t"]]
)
def test_half_of_it_or_an_unknown_fault_is_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert produce("simulator", *options) == 1
    assert "--faults" in capsys.readouterr().err
