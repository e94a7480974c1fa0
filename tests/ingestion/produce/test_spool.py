"""The spool: nothing that was read is lost, whatever happens to the broker or to the process."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest
from confluent_kafka import KafkaError

from ingestion.clock import SystemClock
from ingestion.errors import DeliveryError, SpoolError, SpoolFullError
from ingestion.produce import kafka as client
from ingestion.produce.backlog import Entry
from ingestion.produce.kafka import BATCH, Deliverer
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Pacer, Stop
from ingestion.produce.run import run
from ingestion.produce.spool import FILE, Spool, contents
from ingestion.produce.summary import Summary
from ingestion.settings import ROOT, KafkaSettings
from tests.ingestion.produce.conftest import MockKafka
from tests.ingestion.produce.test_kafka import quiet, send_all
from tests.ingestion.produce.test_ledger import largest_file
from tests.ingestion.produce.test_resend import assert_all_in_order, records

CLOCK = SystemClock()
LARGE = 2**30


def spool_of(folder: Path, max_bytes: int = LARGE) -> Spool:
    return Spool(folder, max_bytes, CLOCK)


def taken(spool: Spool) -> list[Outgoing]:
    found: list[Entry] = []
    while entries := spool.take(BATCH):
        found.extend(entries)
    return [entry.record for entry in found]


def through(spool: Spool, servers: str) -> Deliverer:
    settings = KafkaSettings(bootstrap_servers=servers, security_protocol="PLAINTEXT")
    config = client.configuration(settings, 20, spool.outlives)
    return Deliverer(config, CLOCK, quiet(), backlog=spool)


def send_briefly(ours: Deliverer, count: int, first: int = 0) -> Summary:
    """Send, and wait for Kafka only a moment."""
    made = records(count, first)
    return run(made, ours, CLOCK, Pacer(CLOCK, None), Stop(), lambda _: None, wait_s=0.2)


def test_every_byte_of_a_record_comes_back(tmp_path: Path) -> None:
    given = [
        Outgoing("t", None, b"\x00\xff\n", [("a", b"\xff"), ("a", None), ("", b"")], refused=True),
        Outgoing("t", b"\xfe", b"", [], event_id="é"),
    ]
    with spool_of(tmp_path) as spool:
        spool.put(given)

    with spool_of(tmp_path) as spool:
        assert taken(spool) == given


def test_what_was_not_forgotten_comes_first_and_in_its_order(tmp_path: Path) -> None:
    old, new = [*records(1_000)], [*records(10, first=1_000)]
    with spool_of(tmp_path) as spool:
        spool.put(old)
        for entry in spool.take(BATCH):
            spool.forget(entry)

    with spool_of(tmp_path) as spool:
        spool.put(new)
        assert spool.n_waiting == 1_000 - BATCH + 10
        assert taken(spool) == old[BATCH:] + new
        assert spool.take(BATCH) == []


def test_a_spool_is_of_one_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from ingestion.clock import SystemClock;"
        "from ingestion.produce.spool import Spool; Spool(Path(sys.argv[1]), 1, SystemClock())"
    )
    with spool_of(tmp_path) as spool:
        spool.put([*records(3)])
        other = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert contents(tmp_path).records == 3, "its contents cannot be seen meanwhile"

    assert other.returncode != 0
    assert "in use by another process" in other.stderr


@pytest.mark.parametrize("damage", ["delete from", "update", "file"])
def test_a_damaged_spool_is_an_error_and_not_a_guess(tmp_path: Path, damage: str) -> None:
    with spool_of(tmp_path) as spool:
        spool.put([*records(3)])
    path = tmp_path / FILE
    if damage == "file":
        path.write_bytes(b"not a database" * 500)
    else:
        with sqlite3.connect(path) as db:
            change = "cast(substr(body, 2) as blob)" if damage == "update" else "x''"
            db.execute(f"update records set body = {change} where number = 2")
        db.close()

    with pytest.raises(SpoolError, match=r"spool\.db"), spool_of(tmp_path) as spool:
        taken(spool)


def test_a_half_written_batch_of_a_killed_process_is_no_part_of_it(tmp_path: Path) -> None:
    """The tail of SQLite's log is torn: the batch that was not committed was never sent either."""
    spool = spool_of(tmp_path)
    spool.put([*records(3)])
    wal = tmp_path / f"{FILE}-wal"
    whole = wal.read_bytes()
    spool.put([*records(3, first=3)])
    torn = wal.read_bytes()[: len(whole) + 1_000]
    database = (tmp_path / FILE).read_bytes()

    (tmp_path / "after").mkdir()
    (tmp_path / "after" / FILE).write_bytes(database)
    (tmp_path / "after" / wal.name).write_bytes(torn)
    spool.__exit__(None, None, None)

    with spool_of(tmp_path / "after") as found:
        assert taken(found) == [*records(3)]


def test_a_full_disk_is_told_with_what_is_not_in_it(tmp_path: Path) -> None:
    with spool_of(tmp_path) as spool:
        spool.put([*records(3)])
        large = [Outgoing("t", None, b"x" * 100_000, [])] * 50
        with largest_file(500_000), pytest.raises(SpoolError, match="the last 50 records read"):
            spool.put(large)

    with spool_of(tmp_path) as spool:
        assert taken(spool) == [*records(3)]


def test_what_is_confirmed_is_forgotten(kafka: MockKafka, tmp_path: Path) -> None:
    with spool_of(tmp_path) as spool:
        send_all(through(spool, kafka.servers), records(3_000))

    assert contents(tmp_path).records == 0
    assert_all_in_order(kafka, 3_000)
    kafka.read("stock-quotes", 3_000)


def test_while_the_broker_is_away_the_source_is_read_and_order_is_kept(
    kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "AWAY_S", 0.1)
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        send_all(ours, records(5))
        kafka.down()
        summary = send_briefly(ours, 2_000, first=5)
        assert (summary.delivered.total(), summary.spooled) == (5, 2_000)
        with pytest.raises(DeliveryError, match=r"2000 records are kept in .*spool\.db"):
            ours.raise_undelivered()
        Timer(0.5, kafka.up).start()
        send_all(ours, records(1_000, first=2_005))

    assert contents(tmp_path).records == 0
    assert_all_in_order(kafka, 3_005)


def test_the_next_run_sends_first_what_the_last_one_left(kafka: MockKafka, tmp_path: Path) -> None:
    with spool_of(tmp_path) as spool:
        send_briefly(through(spool, "127.0.0.1:1"), 1_000)
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        summary = send_all(ours, records(10, first=1_000))

    ours.raise_undelivered()
    assert summary.delivered.total() == 1_010
    assert_all_in_order(kafka, 1_010)
    kafka.read("stock-quotes", 1_010)


def test_more_than_the_client_takes_waits_on_disk(
    kafka: MockKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "AWAY_S", 0.1)
    monkeypatch.setitem(client._TUNING, "queue.buffering.max.messages", 300)
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        kafka.down()
        summary = send_briefly(ours, 5_000)
        assert (summary.sent.total(), summary.spooled) == (300, 5_000)
        kafka.up()
        send_all(ours, iter(()))

    ours.raise_undelivered()
    assert_all_in_order(kafka, 5_000)


def test_a_full_spool_stops_the_source_and_says_what_is_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "AWAY_S", 0.1)
    read: list[Outgoing] = []

    with spool_of(tmp_path, max_bytes=20_000) as spool:
        ours = through(spool, "127.0.0.1:1")
        with pytest.raises(SpoolFullError, match=r"spool\.db \(\d+ records.*PRODUCE_SPOOL_MAX"):
            send_all(ours, (read.append(r) or r for r in records(100_000)))

    assert 0 < len(read) < 2_000, "the source was read on"
    with spool_of(tmp_path) as spool:
        assert taken(spool) == read, "what was read is not all there"


def test_a_slow_broker_holds_the_source_back_and_does_not_fill_the_spool(
    kafka: MockKafka, tmp_path: Path
) -> None:
    kafka.slow_down(100)
    with spool_of(tmp_path, max_bytes=20_000) as spool:
        ours = through(spool, kafka.servers)
        send_all(ours, records(2_000))

    ours.raise_undelivered()
    assert_all_in_order(kafka, 2_000)


def test_what_the_broker_forbids_stays_for_the_day_when_it_allows_it(
    kafka: MockKafka, tmp_path: Path
) -> None:
    kafka.fail_next(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        summary = send_all(ours, records(1))
        assert (summary.failed.total(), summary.spooled) == (1, 1)
        with pytest.raises(DeliveryError, match="1 records are kept in"):
            ours.raise_undelivered()
    with spool_of(tmp_path) as spool:
        send_all(through(spool, kafka.servers), iter(()))

    assert contents(tmp_path).records == 0
    kafka.read("stock-quotes", 1)


def test_what_no_broker_will_ever_take_does_not_stay(kafka: MockKafka, tmp_path: Path) -> None:
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        summary = send_all(ours, iter([Outgoing("stock-quotes", None, b"x" * 2_000_000, [])]))

    assert (summary.failed.total(), contents(tmp_path).records) == (1, 0)
    with pytest.raises(DeliveryError, match="too large"):
        ours.raise_undelivered()
