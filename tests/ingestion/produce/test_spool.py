"""The spool: nothing that was read is lost, whatever happens to the broker or to the process."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Timer
from typing import Any

import pytest
from confluent_kafka import KafkaError

from ingestion.clock import SystemClock
from ingestion.errors import DeliveryError, SpoolError, SpoolFullError
from ingestion.produce import foreign
from ingestion.produce import kafka as client
from ingestion.produce.backlog import Entry
from ingestion.produce.kafka import BATCH, Deliverer
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outgoing import Outgoing
from ingestion.produce.pacing import Pacer, Stop
from ingestion.produce.run import run
from ingestion.produce.spool import Spool
from ingestion.produce.spool_file import FILE, Contents, contents
from ingestion.produce.summary import Summary
from ingestion.produce.ticks import ticking
from ingestion.settings import ROOT, KafkaSettings
from tests.ingestion.produce.conftest import FakeClock, MockKafka
from tests.ingestion.produce.test_kafka import quiet, send_all
from tests.ingestion.produce.test_ledger import largest_file
from tests.ingestion.produce.test_resend import assert_all_in_order, outcomes, records

CLOCK = SystemClock()
LARGE = 2**30


def spool_of(folder: Path, max_bytes: int = LARGE) -> Spool:
    return Spool(folder, max_bytes, CLOCK)


def taken(spool: Spool) -> list[Outgoing]:
    found: list[Entry] = []
    while entries := spool.take(BATCH):
        found.extend(entries)
    return [entry.record for entry in found]


def through(
    spool: Spool,
    servers: str,
    ledger: Ledger | NoLedger = NoLedger(),  # noqa: B008 - it holds nothing
    clock: Any = CLOCK,
) -> Deliverer:
    settings = KafkaSettings(bootstrap_servers=servers, security_protocol="PLAINTEXT")
    config = client.configuration(settings, 20, spool.outlives)
    return Deliverer(config, clock, quiet(), ledger=ledger, backlog=spool)


def send_live(ours: Deliverer, made: Iterator[Outgoing | None], stop: Stop) -> Summary:
    return run(made, ours, CLOCK, Pacer(CLOCK, None), stop, lambda _: None, is_live=True)


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


def test_nothing_overtakes_what_the_broker_forbids(kafka: MockKafka, tmp_path: Path) -> None:
    other = Outgoing("stock-market-batch", b"IBM", b"other", [])
    kafka.fail_next(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with spool_of(tmp_path / "spool") as spool, Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = through(spool, kafka.servers, ledger)
        send_all(ours, records(5))
        summary = send_all(ours, iter([*records(1_000, first=5), other]))
        assert (summary.sent.total(), summary.delivered["stock-market-batch"]) == (6, 1)
        assert summary.spooled == 1_006 - summary.delivered.total()
    kafka.read("stock-market-batch", 1)
    assert {int(m.value() or b"") for m in kafka.all("stock-quotes")} < {*range(5)}
    assert outcomes(ledger.path)["id-1004"] == ["intend", "failed"]

    with spool_of(tmp_path / "spool") as spool:
        send_all(through(spool, kafka.servers), iter(()))

    assert contents(tmp_path / "spool").records == 0
    assert_all_in_order(kafka, 1_005)


def test_a_spool_full_of_what_the_broker_forbids_stops_the_source(
    kafka: MockKafka, tmp_path: Path
) -> None:
    kafka.fail_next(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with spool_of(tmp_path, max_bytes=20_000) as spool:
        ours = through(spool, kafka.servers)
        send_all(ours, records(1))
        with pytest.raises(SpoolFullError, match="full and Kafka refuses what it holds"):
            send_all(ours, records(100_000, first=1))


def test_what_no_broker_will_ever_take_is_set_aside(kafka: MockKafka, tmp_path: Path) -> None:
    huge = Outgoing("stock-quotes", None, b"x" * 2_000_000, [])
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        summary = send_all(ours, iter([huge]))

    found = contents(tmp_path)
    assert (summary.failed.total(), summary.set_aside, found.records) == (1, 1, 0)
    assert [(aside.records, "too large" in aside.reason) for aside in found.aside] == [(1, True)]
    with pytest.raises(DeliveryError, match=r"too large.*1 records that .* aside in .*spool\.db"):
        ours.raise_undelivered()


def test_a_refused_batch_leaves_the_spool_only_by_what_kafka_confirms(
    kafka: MockKafka, tmp_path: Path
) -> None:
    kafka.fail_next(KafkaError.MSG_SIZE_TOO_LARGE)
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        summary = send_all(ours, records(200))

    ours.raise_undelivered()
    assert summary.resent > 1, "the broker's error was never seen"
    assert contents(tmp_path) == Contents(0, 0, None, ())
    assert_all_in_order(kafka, 200)


def test_what_was_set_aside_waits_for_a_person(kafka: MockKafka, tmp_path: Path) -> None:
    kafka.fail_next(KafkaError.POLICY_VIOLATION, KafkaError.POLICY_VIOLATION)
    with spool_of(tmp_path) as spool:
        send_all(through(spool, kafka.servers), records(1))
    with spool_of(tmp_path) as spool:
        assert send_all(through(spool, kafka.servers), records(1, first=1)).sent.total() == 1
    assert contents(tmp_path).aside[0].records == 1

    with Spool(tmp_path, LARGE, CLOCK, takes_back=True) as spool:
        send_all(through(spool, kafka.servers), iter(()))

    assert contents(tmp_path) == Contents(0, 0, None, ())
    assert_all_in_order(kafka, 2)


def test_a_spool_of_before_there_was_a_place_aside_is_read(tmp_path: Path) -> None:
    with spool_of(tmp_path) as spool:
        spool.put([*records(3)])
    with sqlite3.connect(tmp_path / FILE) as db:
        db.execute("drop table set_aside")
    db.close()

    assert contents(tmp_path).records == 3
    with spool_of(tmp_path) as spool:
        assert taken(spool) == [*records(3)]


def test_a_record_is_on_disk_a_moment_after_it_was_read_also_while_others_follow(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    with spool_of(tmp_path) as spool:
        ours = through(spool, "127.0.0.1:1", clock=clock)
        for record in records(50):  # 50 a second, no silence, far from a full batch
            ours.send(record)
            clock.time += 0.02
        assert 50 - contents(tmp_path).records <= 0.1 / 0.02


def test_a_stop_ends_the_wait_for_a_silent_pipe(kafka: MockKafka, tmp_path: Path) -> None:
    said: Queue[Outgoing] = Queue()
    stop = Stop()
    stopping = Timer(0.3, setattr, (stop, "requested", True))
    stopping.start()
    with spool_of(tmp_path) as spool:
        ours = through(spool, kafka.servers)
        said.put(next(records(1)))
        summary = send_live(ours, ticking(iter(said.get, None)), stop)

    assert summary.interrupted
    assert summary.delivered.total() == 1


def test_what_was_read_from_a_pipe_before_a_stop_is_sent(kafka: MockKafka, tmp_path: Path) -> None:
    """Also the lines behind the one in hand, to the end of the last that was begun."""
    ours_end, theirs = os.pipe()
    os.write(theirs, b"".join(b"%d\n" % n for n in range(1_000)) + b"1000")
    stop = Stop()

    def given() -> Iterator[Outgoing]:
        pipe = Path(f"/dev/fd/{ours_end}")
        for n, record in enumerate(foreign.read(pipe, "feed", "run", CLOCK, stop)):
            if n == 10:
                os.write(theirs, b"\nnot read")
                stop.requested = True
            yield record

    with spool_of(tmp_path) as spool:
        summary = send_live(through(spool, kafka.servers), ticking(given()), stop)

    assert summary.delivered.total() == 1_001
    assert {m.value() for m in kafka.all("stock-market-dlq")} == {b"%d" % n for n in range(1_001)}
    assert os.read(ours_end, 100) == b"not read"
    os.close(theirs)
    os.close(ours_end)
