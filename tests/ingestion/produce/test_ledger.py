"""The write-ahead ledger: what it says, and that nothing is sent that it does not hold."""

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any

import pytest

from ingestion.clock import SystemClock
from ingestion.errors import LedgerError, SettingsError
from ingestion.produce import kafka as kafka_module
from ingestion.produce.kafka import BATCH
from ingestion.produce.ledger import Ledger
from ingestion.produce.outgoing import Outgoing
from tests.ingestion.produce.conftest import MockKafka
from tests.ingestion.produce.test_kafka import deliverer, send_all

CLOCK = SystemClock()


def record(number: int, value: bytes | None = None) -> Outgoing:
    body = b"%d" % number if value is None else value
    return Outgoing("stock-quotes", b"IBM", body, [], event_id=f"id-{number}")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_line_is_as_specified(tmp_path: Path) -> None:
    letter = Outgoing("stock-market-dlq", None, b"\xff", [], refused=True)
    with Ledger(tmp_path, "run-1", CLOCK) as ledger:
        ledger.intend([record(1), letter])
        ledger.acked(record(1), 3, 123)
        ledger.failed(letter, "too large")
        ledger.unknown(record(1), 'timed "out"\n')

    opened, *others = lines(tmp_path / "run-1.jsonl")

    assert opened.pop("at").endswith("Z")
    assert opened == {"op": "open", "version": 1, "run_id": "run-1"}
    letter_hash = sha256(b"\xff").hexdigest()
    assert others == [
        {"op": "intend", "id": "id-1", "topic": "stock-quotes", "key": "IBM",
         "sha256": sha256(b"1").hexdigest()},
        {"op": "intend", "id": f"sha256:{letter_hash}", "topic": "stock-market-dlq", "key": None,
         "sha256": letter_hash},
        {"op": "acked", "id": "id-1", "topic": "stock-quotes", "partition": 3, "offset": 123},
        {"op": "failed", "id": f"sha256:{letter_hash}", "reason": "too large"},
        {"op": "unknown", "id": "id-1", "reason": 'timed "out"\n'},
    ]  # fmt: skip


def test_what_is_acked_is_where_the_ledger_says(kafka: MockKafka, tmp_path: Path) -> None:
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        send_all(deliverer(kafka.servers, ledger), (record(n) for n in range(1_000)))

    said = [line for line in lines(tmp_path / "run.jsonl") if line["op"] == "acked"]
    found = {
        f"id-{int(m.value() or b'')}": (m.partition(), m.offset())
        for m in kafka.read("stock-quotes", 1_000)
    }
    assert {line["id"]: (line["partition"], line["offset"]) for line in said} == found
    assert len(said) == 1_000


def test_a_record_is_in_the_ledger_before_the_client_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against no broker at all, so that no outcome can come first."""
    monkeypatch.setattr(kafka_module, "_PUT_AFTER_S", inf)
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer("127.0.0.1:1", ledger)
        for number in range(BATCH + 1):
            ours.send(record(number))

        on_disk = [line["id"] for line in lines(ledger.path) if line["op"] == "intend"]

    assert on_disk == [f"id-{n}" for n in range(BATCH)]
    assert ours.summary.sent.total() == BATCH


def test_a_refused_record_is_failed_in_the_ledger(kafka: MockKafka, tmp_path: Path) -> None:
    huge = record(2, b"x" * 2_000_000)
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        send_all(deliverer(kafka.servers, ledger), iter([record(1), huge]))

    outcomes = {line["id"]: line["op"] for line in lines(tmp_path / "run.jsonl")[1:]}
    assert outcomes == {"id-1": "acked", "id-2": "failed"}


def test_a_torn_last_line_is_cut_before_the_same_run_goes_on(tmp_path: Path) -> None:
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ledger.intend([record(1)])
    with ledger.path.open("ab") as file:
        file.write(b'{"op":"intend","id":"id-')

    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ledger.intend([record(2)])

    assert [line.get("id") for line in lines(ledger.path)] == [None, "id-1", "id-2"]


def test_a_ledger_is_of_one_process(tmp_path: Path) -> None:
    with Ledger(tmp_path, "run", CLOCK), pytest.raises(LedgerError, match="--run-id"):
        Ledger(tmp_path, "run", CLOCK)


@pytest.mark.parametrize("run_id", ["../run", "a/b", ".hidden", "a\nb", ""])
def test_a_run_that_cannot_name_a_file_is_refused(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(SettingsError, match="--run-id"):
        Ledger(tmp_path / "ledger", run_id, CLOCK)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size: what a full disk is to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_told_before_the_record_is_sent(kafka: MockKafka, tmp_path: Path) -> None:
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger)
        with largest_file(ledger.path.stat().st_size + 50), pytest.raises(LedgerError):
            send_all(ours, (record(n) for n in range(BATCH)))

    assert len(lines(ledger.path)) == 1, "a torn line is left"
    assert ours.summary.sent.total() == 0
    kafka.read("stock-quotes", 0)
