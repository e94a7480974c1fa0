"""Delivery against librdkafka's mock cluster: the real client, a broker in its memory."""

import logging
from collections import Counter
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from ingestion.clock import SystemClock
from ingestion.contracts import envelope
from ingestion.contracts.identity import observation_id
from ingestion.contracts.records import Message, QuoteMessage
from ingestion.errors import BrokerError, DeliveryError, SourceError
from ingestion.produce import kafka as client
from ingestion.produce.kafka import Deliverer
from ingestion.produce.ledger import Ledger, NoLedger
from ingestion.produce.outgoing import Outgoing, of_message, outgoing
from ingestion.produce.pacing import Pacer, Stop
from ingestion.produce.run import run
from ingestion.produce.sending import Told, untold
from ingestion.produce.summary import Summary
from ingestion.settings import KafkaSettings
from ingestion.sources.source import Refused
from tests.ingestion.produce.conftest import TOPICS, MockKafka

CLOCK = SystemClock()
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


def deliverer(
    servers: str,
    ledger: Ledger | NoLedger = NoLedger(),  # noqa: B008 - it holds nothing
    told: Told = untold,
    **changes: Any,
) -> Deliverer:
    settings = KafkaSettings(bootstrap_servers=servers, security_protocol="PLAINTEXT")
    config = client.configuration(settings, delivery_timeout_s=20) | changes
    return Deliverer(config, CLOCK, quiet(), ledger=ledger, told=told)


def quiet() -> logging.Logger:
    log = logging.getLogger("test.librdkafka")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    return log


def send_all(to: Deliverer, records: Iterator[Outgoing], stop: Stop | None = None) -> Summary:
    return run(records, to, CLOCK, Pacer(CLOCK, None), stop or Stop(), lambda summary: None)


def quote(symbol: str, price: float, second: int = 0) -> QuoteMessage:
    at = f"2013-03-01T15:00:{second:02}.000000Z"
    data = {
        "c": price,
        "d": 0,
        "dp": 0,
        "h": price,
        "l": 1,
        "o": 1,
        "pc": 1,
        "t": 1362150000 + second,
    }
    return QuoteMessage(
        event_id=observation_id("simulator", "quote.v1", symbol, at, data),
        source="simulator", simulated=True, symbol=symbol, event_time=at, fetched_at=at,
        run_id="run", data=data,
    )  # fmt: skip


def test_records_arrive_with_key_headers_and_bytes(kafka: MockKafka) -> None:
    message = quote("AAPL", 1.5)

    send_all(deliverer(kafka.servers), iter([of_message(message)]))

    (found,) = kafka.read("stock-quotes", 1)
    assert (found.key(), found.value()) == (b"AAPL", envelope.encode(message))
    assert found.headers() == envelope.headers_of(message)


def test_250_messages_of_one_symbol_in_one_second_are_250_records(kafka: MockKafka) -> None:
    made = [quote("AAPL", 100 + n / 100) for n in range(250)]

    summary = send_all(deliverer(kafka.servers), map(of_message, made))

    found = [envelope.decode(m.value() or b"") for m in kafka.read("stock-quotes", 250)]
    assert len({message.event_id for message in found}) == 250
    assert found == made, "a symbol's records keep their order"
    assert summary.delivered == {"stock-quotes": 250}


def test_five_symbols_in_the_same_second_are_five_records(kafka: MockKafka) -> None:
    send_all(deliverer(kafka.servers), (of_message(quote(symbol, 1)) for symbol in SYMBOLS))

    found = kafka.read("stock-quotes", 5)
    assert {m.key() for m in found} == {symbol.encode() for symbol in SYMBOLS}
    assert len({envelope.decode(m.value() or b"").event_id for m in found}) == 5


def test_a_full_queue_waits_and_drops_nothing(kafka: MockKafka) -> None:
    small = deliverer(kafka.servers, **{"queue.buffering.max.messages": 10})

    summary = send_all(small, (of_message(quote("IBM", n)) for n in range(2_000)))

    assert summary.queue_full_waits > 0
    assert summary.delivered.total() == summary.sent.total() == 2_000
    assert len({m.value() for m in kafka.read("stock-quotes", 2_000)}) == 2_000


def test_what_is_refused_is_sent_to_the_dead_letters_and_counted(kafka: MockKafka) -> None:
    given: list[Message | Refused] = [
        quote("IBM", 1),
        Refused(b"\xffraw", "stock-quotes", "contract", "expected UTF-8"),
        quote("IBM", 2),
    ]

    summary = send_all(deliverer(kafka.servers), outgoing(given, "simulator", "run", CLOCK))

    assert (summary.refused, summary.delivered.total()) == (1, 3)
    (dead,) = kafka.read("stock-market-dlq", 1)
    assert dead.value() == b"\xffraw"
    assert dict(dead.headers() or [])["topic"] == b"stock-quotes"
    kafka.read("stock-quotes", 2)


def test_what_is_not_confirmed_fails_with_counts_and_reason(kafka: MockKafka) -> None:
    ours = deliverer(kafka.servers, **{"message.timeout.ms": 6_000})
    send_all(ours, iter([of_message(quote("IBM", 0))]))
    kafka.stop()

    summary = send_all(ours, (of_message(quote("IBM", n)) for n in range(1, 8)))

    assert (summary.delivered.total(), summary.undelivered) == (1, 7)
    assert summary.unknown == Counter({"stock-quotes": 7})
    with pytest.raises(DeliveryError, match=r"7 of 8 .*stock-quotes 7.*timed out"):
        ours.raise_undelivered()


def test_a_record_that_the_client_refuses_fails_the_run_and_stops_no_other(
    kafka: MockKafka,
) -> None:
    ours = deliverer(kafka.servers)
    huge = Outgoing("stock-quotes", b"IBM", b"x" * 2_000_000, [])

    send_all(ours, iter([of_message(quote("IBM", 1)), huge, of_message(quote("IBM", 2))]))

    assert (ours.summary.sent.total(), ours.summary.delivered.total()) == (3, 2)
    with pytest.raises(DeliveryError, match=r"1 of 3 .*stock-quotes 1.*too large"):
        ours.raise_undelivered()


def test_a_stop_sends_no_more_and_delivers_what_was_sent(kafka: MockKafka) -> None:
    stop = Stop()

    def records() -> Iterator[Outgoing]:
        for n in range(1_000):
            stop.requested = n == 10
            yield of_message(quote("IBM", n))

    summary = send_all(deliverer(kafka.servers), records(), stop)

    assert summary.interrupted
    assert summary.sent.total() == summary.delivered.total() == 10
    kafka.read("stock-quotes", 10)


def test_a_stop_ends_the_wait_for_a_full_queue(
    kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_PUT_AFTER_S", inf)
    settings = KafkaSettings(bootstrap_servers=kafka.servers, security_protocol="PLAINTEXT")
    config = client.configuration(settings, 1) | {
        "queue.buffering.max.messages": 1,
        "linger.ms": 500,
    }
    ours = Deliverer(config, CLOCK, quiet(), give_up=lambda: True)

    taken = [ours.send(of_message(quote("IBM", n))) for n in range(client.BATCH)]

    assert taken == [True] * (client.BATCH - 1) + [False]
    assert ours.summary.sent.total() == 1


def test_a_source_that_breaks_off_leaves_nothing_undelivered(kafka: MockKafka) -> None:
    def records() -> Iterator[Outgoing]:
        yield of_message(quote("IBM", 1))
        raise SourceError("the file ends here")

    ours = deliverer(kafka.servers)
    with pytest.raises(SourceError):
        send_all(ours, records())

    assert ours.summary.delivered.total() == 1


def test_the_check_passes_where_all_topics_are(kafka: MockKafka) -> None:
    deliverer(kafka.servers).check(TOPICS, 10)


def test_a_missing_topic_is_named(kafka: MockKafka) -> None:
    with pytest.raises(BrokerError, match="stock-nothing"):
        deliverer(kafka.servers).check([*TOPICS, "stock-nothing"], 10)


@pytest.mark.timeout(60)
def test_a_broker_that_is_not_there_is_named_and_not_waited_for() -> None:
    with pytest.raises(BrokerError, match=r"127\.0\.0\.1:1 does not answer within 1 s.*refused"):
        deliverer("127.0.0.1:1").check(TOPICS, 1)


def test_the_producer_is_idempotent() -> None:
    settings = KafkaSettings(bootstrap_servers="x", security_protocol="PLAINTEXT")
    config = client.configuration(settings, 300)

    assert config["enable.idempotence"] is True
    assert config["message.timeout.ms"] == 300_000
    assert config["enable.gapless.guarantee"] is True
    assert "acks" not in config, "idempotence sets it"


def test_the_summary_counts_by_topic(tmp_path: Path) -> None:
    summary = Summary()
    summary.sent.update({"a": 3, "b": 1})
    summary.delivered.update({"a": 2, "b": 1})
    summary.fail("a", "Local: Message timed out")

    report = summary.as_dict({"source": "s"})

    assert report["by_topic"] == {
        "a": {"sent": 3, "delivered": 2},
        "b": {"sent": 1, "delivered": 1},
    }
    assert (report["sent"], report["delivered"], report["undelivered"]) == (4, 3, 1)
    assert "1 of 4" in summary.explain()
    assert "a 1" in summary.explain()
    assert "b " not in summary.explain().split("(")[1].split(")")[0]


def test_an_answer_that_never_came_is_told_apart_from_a_failure() -> None:
    summary = Summary()
    summary.sent.update({"a": 3})
    summary.fail("a", "timed out")

    assert "no answer yet for 2" in summary.explain()
