"""A header name that is not UTF-8: any client of the topic can send one, ours cannot read it."""

import ctypes
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from audit.content import line_digest
from audit.kafka import _digest, _headers
from ingestion.land import lines
from ingestion.produce.redrive.in_kafka import _letter

GOOD: list[tuple[str, str | bytes | None]] = [("schema", b"quote.v1")]
# rd_kafka_vtype_t, and RD_KAFKA_MSG_F_COPY.
END, TOPIC, PARTITION, VALUE, FLAGS, HEADERS, COPY = 0, 1, 3, 4, 7, 10, 2


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker inside this process, and three records: the second has the name."""
    producer = Producer({"bootstrap.servers": "-", "test.mock.num.brokers": 1, "log_level": 0})
    (one,) = producer.list_topics(timeout=10).brokers.values()
    address = f"{one.host}:{one.port}"
    producer.produce("t", b"1", b"A", partition=0, headers=GOOD)
    assert producer.flush(10) == 0
    send_unreadable(address, b"2")
    producer.produce("t", b"3", b"A", partition=0, headers=GOOD)
    assert producer.flush(10) == 0
    yield address


def send_unreadable(address: str, value: bytes) -> None:
    """Send a header named ``ff fe``, which confluent-kafka itself would not: it takes text."""
    (path,) = Path(confluent_kafka.__file__).parents[1].glob("confluent_kafka.libs/librdkafka-*")
    library = ctypes.CDLL(str(path))
    for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, name).restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(512)
    config = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(config, b"bootstrap.servers", address.encode(), error, 512)
    client = ctypes.c_void_p(library.rd_kafka_new(0, config, error, 512))
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(1))
    library.rd_kafka_header_add(headers, b"\xff\xfe", 2, b"v", 1)
    sent = library.rd_kafka_producev(
        client,
        *(TOPIC, b"t", PARTITION, 0, VALUE, value, ctypes.c_size_t(len(value))),
        *(FLAGS, COPY, HEADERS, headers, END),
    )
    assert sent == 0
    assert library.rd_kafka_flush(client, 10_000) == 0
    library.rd_kafka_destroy(client)


def read(address: str) -> list[Message]:
    consumer = Consumer({"bootstrap.servers": address, "group.id": "g", "log_level": 0})
    consumer.assign([TopicPartition("t", 0, 0)])
    found: list[Message] = []
    while len(found) < 3:
        found += consumer.consume(3 - len(found), 1.0)
    consumer.close()
    return found


def test_it_lands_with_key_and_value_and_its_neighbours_as_they_are(broker: str) -> None:
    landed = lines.split(lines.encode(read(broker)).blob)

    records = [lines.parse(line) for line in landed]
    assert [record.value for record in records] == [b"1", b"2", b"3"]
    assert [record.headers for record in records] == [tuple(GOOD), None, tuple(GOOD)]
    assert b'"headers":null' in landed[1]


def test_the_auditor_takes_it_for_the_same_record(broker: str) -> None:
    landed = lines.split(lines.encode(read(broker)).blob)

    assert [line_digest(line)[1] for line in landed] == [_digest(m) for m in read(broker)]


def test_nobody_reads_a_null_pointer_once_the_call_is_specialised(broker: str) -> None:
    """CPython 3.11 specialises a call after some repetitions, and then overlooks the error."""
    good, unreadable, _ = read(broker)
    for _ in range(100):
        _headers(good)
        _letter(good)

    assert _headers(unreadable) is None
    assert _letter(read(broker)[1]).headers == ()


def test_the_auditor_tells_it_from_a_record_without_headers(broker: str) -> None:
    unreadable = lines.split(lines.encode(read(broker)).blob)[1]

    without = unreadable.replace(b'"headers":null', b'"headers":[]')

    assert line_digest(without) != line_digest(unreadable)
