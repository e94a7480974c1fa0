"""Answers that leave a record's fate open: it is sent again, with the same id and bytes."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest
from confluent_kafka import KafkaError

from ingestion.clock import SystemClock
from ingestion.errors import DeliveryError
from ingestion.produce.backlog import Entry, alone_first
from ingestion.produce.ledger import Ledger
from ingestion.produce.outgoing import Outgoing
from tests.ingestion.produce.conftest import MockKafka
from tests.ingestion.produce.test_kafka import deliverer, send_all

CLOCK = SystemClock()
SYMBOLS = (b"AAPL", b"FB", b"GOOG", b"IBM", b"MSFT")


def records(count: int, first: int = 0) -> Iterator[Outgoing]:
    for n in range(first, first + count):
        yield Outgoing("stock-quotes", SYMBOLS[n % 5], b"%d" % n, [], event_id=f"id-{n}")


def written(kafka: MockKafka) -> dict[bytes, list[int]]:
    """The numbers of each key in the order of its partition, every copy but the first left out."""
    by_key: dict[bytes, list[int]] = defaultdict(list)
    for message in sorted(kafka.all("stock-quotes"), key=lambda m: (m.partition(), m.offset())):
        number = int(message.value() or b"")
        if number not in by_key[bytes(message.key() or b"")]:
            by_key[bytes(message.key() or b"")].append(number)
    return by_key


def assert_all_in_order(kafka: MockKafka, count: int) -> None:
    found = written(kafka)
    assert sorted(n for numbers in found.values() for n in numbers) == list(range(count))
    assert_in_order(kafka)


def assert_in_order(kafka: MockKafka) -> None:
    for key, numbers in written(kafka).items():
        assert numbers == sorted(numbers), f"{key!r} has lost its order"


def outcomes(path: Path) -> dict[str, list[str]]:
    """The operations of each id, in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in map(json.loads, path.read_text().splitlines()[1:]):
        found[line["id"]].append(line["op"])
    return found


@pytest.mark.parametrize(
    "error",
    [
        KafkaError.UNKNOWN,
        KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.INVALID_PRODUCER_EPOCH,
        KafkaError.INVALID_PRODUCER_ID_MAPPING,
    ],
)
def test_an_uncertain_answer_is_sent_again_until_it_is_confirmed(
    kafka: MockKafka, tmp_path: Path, error: int
) -> None:
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger)
        send_all(ours, records(5))
        kafka.fail_next(error)

        summary = send_all(ours, records(500, first=5))

    ours.raise_undelivered()
    assert summary.resent > 0, "the broker's error was never seen"
    assert summary.delivered.total() == summary.sent.total() == 505
    assert_all_in_order(kafka, 505)
    found = outcomes(ledger.path)
    assert {operations[-1] for operations in found.values()} == {"acked"}
    again = [operations for operations in found.values() if "unknown" in operations]
    assert again
    assert all(o[0] == "intend" and o[-1] == "acked" and o.count("intend") > 1 for o in again)


@pytest.mark.parametrize(
    "error", [KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, KafkaError.REQUEST_TIMED_OUT]
)
def test_what_the_client_tries_again_by_itself_is_delivered_once(
    kafka: MockKafka, error: int
) -> None:
    kafka.fail_next(error, error)

    ours = deliverer(kafka.servers)
    send_all(ours, records(500))

    ours.raise_undelivered()
    assert len(kafka.all("stock-quotes")) == 500
    assert_all_in_order(kafka, 500)


def test_what_is_refused_because_of_its_topic_is_not_sent_again(
    kafka: MockKafka, tmp_path: Path
) -> None:
    kafka.fail_next(KafkaError.TOPIC_AUTHORIZATION_FAILED)
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger)
        summary = send_all(ours, records(1))

    assert (summary.failed.total(), summary.resent) == (1, 0)
    assert outcomes(ledger.path) == {"id-0": ["intend", "failed"]}
    with pytest.raises(DeliveryError, match="authorization"):
        ours.raise_undelivered()


OF_A_BATCH = pytest.mark.parametrize(
    ("error", "text"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, "too large"),
        (KafkaError.RECORD_LIST_TOO_LARGE, "larger than"),
        (KafkaError.POLICY_VIOLATION, "Policy"),
        (KafkaError.INVALID_RECORD, "failed to validate"),
    ],
)


@OF_A_BATCH
def test_a_record_that_is_refused_alone_is_not_sent_again(
    kafka: MockKafka, tmp_path: Path, error: int, text: str
) -> None:
    kafka.fail_next(error, error)
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger)
        summary = send_all(ours, records(1))

    assert (summary.failed.total(), summary.resent) == (1, 1)
    assert outcomes(ledger.path) == {"id-0": ["intend", "failed"] * 2}
    with pytest.raises(DeliveryError, match=text):
        ours.raise_undelivered()


@OF_A_BATCH
def test_the_verdict_on_a_batch_fails_no_record_of_it(
    kafka: MockKafka, tmp_path: Path, error: int, text: str
) -> None:
    kafka.fail_next(error)
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger)
        summary = send_all(ours, records(200))

    ours.raise_undelivered()
    assert summary.resent > 1, "the broker's error was never seen"
    assert any(text in reason for reason in summary.reasons)
    assert summary.delivered.total() == 200
    assert {operations[-1] for operations in outcomes(ledger.path).values()} == {"acked"}
    assert_all_in_order(kafka, 200)


def test_only_the_record_that_is_refused_alone_fails(kafka: MockKafka, tmp_path: Path) -> None:
    """One key, one partition: the batch is refused, then its first record, then no other."""
    kafka.fail_next(KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.MSG_SIZE_TOO_LARGE)
    made = [Outgoing("stock-quotes", b"IBM", b"%d" % n, [], event_id=f"id-{n}") for n in range(50)]
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger)
        send_all(ours, iter(made))
        summary = send_all(ours, records(500, first=50))

    assert (summary.failed.total(), summary.delivered.total()) == (1, 549)
    assert written(kafka)[b"IBM"][:49] == [*range(1, 50)]
    assert outcomes(ledger.path)["id-0"] == ["intend", "failed"] * 2
    assert ours._sending._client.is_careful is False, "all that followed was sent one by one"


def test_what_is_alone_goes_first_and_its_stream_keeps_its_order() -> None:
    entries = [Entry(n, record) for n, record in enumerate(records(15), 1)]
    entries[6].is_suspect = True  # FB, with one FB before it and one behind

    found = alone_first(entries)

    assert [entry.number for entry in found if entry.is_alone] == [2, 7]
    assert [entry.number for entry in found] == [2, 7, 1, 3, 4, 5, 6, *range(8, 16)]


def test_what_the_client_gives_up_by_itself_is_never_sent_behind_what_came_later(
    kafka: MockKafka, tmp_path: Path
) -> None:
    """Gapless delivery does not cover the client's own limit (librdkafka's CONFIGURATION.md).

    What follows is still delivered. So what ran out must be over for us too: unknown, not sent
    again. Nobody polls meanwhile, so that the client sees its limit pass before we see ours.
    """
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger, **{"message.timeout.ms": 3_000})
        ours.check(["stock-quotes"], 10)
        send_all(ours, records(5))
        kafka.down()
        for record in records(5, first=5):
            ours.send(record)
        ours.poll()
        sleep(5)
        kafka.up()

        summary = send_all(ours, records(490, first=10))

    assert summary.reasons["Local: Message timed out"] >= 5
    assert summary.unknown.total() == 5
    assert summary.delivered.total() == 495
    found = outcomes(ledger.path)
    assert all(found[f"id-{n}"] == ["intend", "unknown"] for n in range(5, 10))
    assert_in_order(kafka)


def test_what_is_never_answered_is_unknown_in_the_ledger_and_fails_the_run(
    kafka: MockKafka, tmp_path: Path
) -> None:
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger, **{"message.timeout.ms": 1_000})
        kafka.down()
        summary = send_all(ours, records(5))

    assert summary.unknown.total() == 5
    assert {operations[-1] for operations in outcomes(ledger.path).values()} == {"unknown"}
    with pytest.raises(DeliveryError, match=r"5 of 5 .*0 certainly not written"):
        ours.raise_undelivered()


def test_a_duplicate_without_an_offset_is_no_false_place_in_the_ledger(
    kafka: MockKafka, tmp_path: Path
) -> None:
    """The broker says that it has the batch: delivered, but nobody knows where."""
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        ours = deliverer(kafka.servers, ledger)
        send_all(ours, records(10))
        kafka.fail_next(KafkaError.DUPLICATE_SEQUENCE_NUMBER)
        again = Outgoing("stock-quotes", b"IBM", b"again", [], event_id="twice")
        send_all(ours, iter([again] * 3))
        summary = send_all(ours, records(5, first=10))

    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    places = {(i["partition"], i["offset"]): i["id"] for i in lines if i["op"] == "acked"}
    truth = {
        (m.partition(), m.offset()): f"id-{int(m.value() or b'')}"
        for m in kafka.all("stock-quotes")
        if m.value() != b"again"
    }
    assert summary.delivered.total() == 18
    assert set(places.items()) <= set(truth.items())
    assert outcomes(ledger.path)["twice"].count("unknown") == 3


def test_what_never_found_room_in_the_client_is_counted_and_certainly_not_written(
    kafka: MockKafka, tmp_path: Path
) -> None:
    with Ledger(tmp_path, "run", CLOCK) as ledger:
        few = {"message.timeout.ms": 1_000, "queue.buffering.max.messages": 3}
        ours = deliverer(kafka.servers, ledger, **few)
        kafka.down()
        summary = send_all(ours, records(5))

    assert (summary.sent.total(), summary.unknown.total(), summary.failed.total()) == (5, 3, 2)
    last = [operations[-1] for operations in outcomes(ledger.path).values()]
    assert sorted(last) == ["failed"] * 2 + ["unknown"] * 3
