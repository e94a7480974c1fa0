"""The producer against a real Kafka with users and ACLs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition

from ingestion.settings import ROOT, KafkaSettings
from tests.conftest import RunningStack
from tests.ingestion.produce.conftest import TOPICS

pytestmark = pytest.mark.integration

Watermarks = Callable[[], dict[str, int]]


@pytest.fixture(scope="module")
def watermarks(stack: RunningStack) -> Watermarks:
    """How many records each topic has had, as its auditor sees it."""
    config = KafkaSettings.load().client("auditor") | {"group.id": "unused"}

    def read() -> dict[str, int]:
        consumer = Consumer(config)
        try:
            found = consumer.list_topics(timeout=10).topics
            return {
                topic: sum(
                    consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                    for p in found[topic].partitions
                )
                for topic in TOPICS
            }
        finally:
            consumer.close()

    return read


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {t: after[t] - before[t] for t in after if after[t] != before[t]}


def test_what_is_reported_is_what_kafka_has(
    stack: RunningStack, watermarks: Watermarks, tmp_path: Path
) -> None:
    before = watermarks()
    report = tmp_path / "report.json"

    found = stack.run("ingestion", "produce", "recorded", "--report", str(report))

    assert found.returncode == 0, found.stderr
    assert grown(before, watermarks()) == {"stock-market-batch": 12_154 + 95}
    summary = json.loads(report.read_text())
    assert summary["delivered"] == summary["sent"] == 12_249
    assert (summary["bars"], summary["corporate_actions"]) == (12_154, 95)


def test_trades_and_quotes_go_to_their_topics(
    stack: RunningStack, watermarks: Watermarks, tmp_path: Path
) -> None:
    before = watermarks()
    report = tmp_path / "report.json"

    found = stack.run(
        "ingestion", "produce", "simulator", "--last-sessions", "1", "--report", str(report)
    )

    assert found.returncode == 0, found.stderr
    summary = json.loads(report.read_text())
    assert grown(before, watermarks()) == {
        "stock-market-realtime": summary["trades"],
        "stock-quotes": summary["quotes"],
    }


def test_foreign_lines_that_break_the_contract_are_dead_letters(
    stack: RunningStack, watermarks: Watermarks, tmp_path: Path
) -> None:
    before = watermarks()
    lines = tmp_path / "x.jsonl"
    lines.write_bytes(b'{"schema":"bar.v1"}\n\xff\n\n')

    found = stack.run("ingestion", "produce", "raw", "--file", str(lines), "--source", "partner")

    assert found.returncode == 0, found.stderr
    assert grown(before, watermarks()) == {"stock-market-dlq": 3}


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("KAFKA_PRODUCER_PASSWORD", "wrong", "KAFKA_PRODUCER_PASSWORD"),
        ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1", "127.0.0.1:1 does not answer"),
    ],
)
def test_a_wrong_password_or_a_dead_broker_is_one_line_and_a_failure(
    stack: RunningStack, watermarks: Watermarks, variable: str, value: str, named: str
) -> None:
    before = watermarks()

    found = subprocess.run(
        [sys.executable, "-m", "ingestion", "produce", "recorded", "--last-sessions", "1"],
        cwd=ROOT, env=os.environ | stack.environment | {variable: value},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert found.returncode == 1
    assert named in found.stderr
    assert found.stderr.count("\n") == 1
    assert watermarks() == before


def test_sigterm_ends_a_run_with_everything_confirmed(
    stack: RunningStack, watermarks: Watermarks, tmp_path: Path
) -> None:
    before = watermarks()
    report = tmp_path / "report.json"
    arguments = ["produce", "recorded", "--rate", "50", "--report", str(report)]
    running = subprocess.Popen(
        [sys.executable, "-m", "ingestion", *arguments],
        cwd=ROOT, env=os.environ | stack.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while watermarks() == before:
            assert time.monotonic() < deadline, "nothing arrived"
        running.terminate()
        _, errors = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()

    assert running.returncode == 0, errors
    summary = json.loads(report.read_text())
    assert summary["interrupted"]
    assert 0 < summary["sent"] == summary["delivered"] < 12_249
    assert grown(before, watermarks()) == {"stock-market-batch": summary["sent"]}
