"""Letters in the mock broker: what is sent of them, once, and what stays."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError

from drill import hostile
from ingestion.clock import SystemClock
from ingestion.contracts import envelope
from ingestion.errors import SourceError
from ingestion.produce.outgoing import Outgoing, of_refused
from ingestion.produce.pacing import Pacer, Stop
from ingestion.produce.redrive import in_kafka
from ingestion.produce.redrive.letters import Letter, State
from ingestion.produce.redrive.redrive import Redrive
from ingestion.produce.redrive.shelf import Shelf
from ingestion.produce.run import run
from ingestion.settings import KafkaSettings
from ingestion.sources import parsers
from ingestion.sources.source import Refused
from tests.ingestion.contracts.samples import sample
from tests.ingestion.produce.conftest import Command, MockKafka
from tests.ingestion.produce.test_kafka import deliverer, send_all

CLOCK = SystemClock()
DLQ = "stock-market-dlq"
Redriven = Callable[..., Any]


def body(symbol: str = "IBM", number: int = 1) -> bytes:
    event_id = f"00000000-0000-5000-8000-{number:012}"
    return json.dumps(sample("quote.v1") | {"symbol": symbol, "event_id": event_id}).encode()


def refuse(kafka: MockKafka, *bodies: bytes, source: str = "partner", **context: str) -> None:
    """Send letters as an older release did, which refused what passes today."""
    refused = [
        Refused(one, "stock-quotes", "contract", "expected more", context=tuple(context.items()))
        for one in bodies
    ]
    ours = deliverer(kafka.servers)
    send_all(ours, (of_refused(one, source, "old-run", CLOCK) for one in refused))
    ours.raise_undelivered()


def refused_at(kafka: MockKafka, *bodies: bytes) -> list[str]:
    """Send letters; return their places."""
    refuse(kafka, *bodies)
    return [f"{message.partition()}/{message.offset()}" for message in kafka.all(DLQ)]


@pytest.fixture
def redrive(
    ingestion: Command, mock_environment: dict[str, str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Redriven:  # fmt: skip
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "no-settings"))

    def run(*arguments: str) -> Any:
        return ingestion("redrive", *arguments, environment=mock_environment)

    return run


def notes(kafka: MockKafka) -> list[dict[str, Any]]:
    found = [m for m in kafka.all(DLQ) if dict(m.headers() or []).get("redriven")]
    return [json.loads(m.value() or b"") for m in found]


def test_what_passes_now_is_sent_byte_for_byte_and_once(
    redrive: Redriven, kafka: MockKafka, tmp_path: Path
) -> None:
    given = body() + b" \r"
    refuse(kafka, given, b"{}")
    report = tmp_path / "report.json"

    first = redrive("send", "--all", "--report", str(report))
    second = redrive("send", "--all", "--report", str(tmp_path / "second.json"))

    assert first.returncode == second.returncode == 3, first.stderr
    (sent,) = kafka.read("stock-quotes", 1)
    assert (sent.key(), sent.value()) == (b"IBM", given)
    assert [m["event_ids"] for m in notes(kafka)] == [["00000000-0000-5000-8000-000000000001"]]
    counts = json.loads(report.read_text())
    assert {name: counts[name] for name in ("letters", "redriven", "still_refused")} == {
        "letters": 2, "redriven": 1, "still_refused": 1,
    }  # fmt: skip
    assert counts["still_refused_for"] == {"contract": 1}
    assert "still refused: " in first.stdout
    again = json.loads((tmp_path / "second.json").read_text())
    assert (again["sent"], again["already_redriven"]) == (0, 1)
    assert len(kafka.all(DLQ)) == 3


def test_the_ledger_has_the_event_and_the_note(
    redrive: Redriven, kafka: MockKafka, tmp_path: Path
) -> None:
    refuse(kafka, body())

    found = redrive("send", "--all", "--ledger", str(tmp_path), "--run-id", "r")

    assert found.returncode == 0, found.stderr
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    intended = [line["topic"] for line in lines if line["op"] == "intend"]
    assert intended == ["stock-quotes", DLQ], "noted before it was confirmed"
    assert [line["op"] for line in lines].count("acked") == 2


def test_a_filter_chooses_and_a_dry_run_sends_nothing(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, body("IBM", 1))
    refuse(kafka, body("AAPL", 2), source="other")

    dry = redrive("send", "--source", "other", "--dry-run")
    assert kafka.all("stock-quotes") == []
    sent = redrive("send", "--source", "other")
    listed = redrive("list", "--state", "waiting", "--json")

    assert "would send" in dry.stdout
    assert "of 1 letters 1 would be sent" in dry.stdout
    assert sent.returncode == dry.returncode == 0
    assert [m.key() for m in kafka.read("stock-quotes", 1)] == [b"AAPL"]
    (left,) = map(json.loads, listed.stdout.splitlines())
    assert left["headers"]["source"] == "partner"


@pytest.mark.parametrize("arguments", [(), ("--all", "--source", "x"), ("0/1", "--all")])
def test_everything_is_sent_only_when_it_is_said(
    redrive: Redriven, kafka: MockKafka, arguments: tuple[str, ...]
) -> None:
    refuse(kafka, body())

    found = redrive("send", *arguments)

    assert found.returncode == 1
    assert "or --all" in found.stderr
    assert kafka.all("stock-quotes") == []


@pytest.mark.parametrize("names", [("9/9",), ("0/0", "ffffffffffff")])
def test_a_name_that_no_letter_has_is_told(
    redrive: Redriven, kafka: MockKafka, names: tuple[str, ...]
) -> None:
    (letter,) = refused_at(kafka, body())
    names = tuple(letter if name == "0/0" else name for name in names)

    found = redrive("send", *names)

    assert found.returncode == 1
    assert f"no such letter that is wanted: {names[-1]}" in found.stderr
    assert len(kafka.all("stock-quotes")) == len(names) - 1, "those that there are are sent"


def test_an_empty_name_is_not_every_letter(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, body())

    found = redrive("send", "")

    assert found.returncode == 1
    assert "found an empty name" in found.stderr
    assert kafka.all("stock-quotes") == []


def test_list_and_show_tell_what_was_refused(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, b"\x1b[31m\xff{\n", symbol="IBM")
    (message,) = kafka.all(DLQ)
    place = f"{message.partition()}/{message.offset()}"

    listed, shown = redrive("list"), redrive("show", place)

    assert f" {place} " in listed.stdout
    assert "waiting partner contract stock-quotes 8 B: expected more" in listed.stdout
    assert "symbol     IBM" in shown.stdout
    assert "\\x1b[31m\\xff{\n" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_the_body_alone_is_byte_for_byte(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, b"\x1b[31m {\r\n\xe2\x80\xa8")

    found = redrive("show", "", "--raw")

    assert found.returncode == 0, found.stderr
    assert found.stdout.encode() == b"\x1b[31m {\r\n\xe2\x80\xa8"


def test_show_wants_one_letter(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, b"1", b"2")

    assert "found 0" in redrive("show", "9/9").stderr
    assert "found 2" in redrive("show", "").stderr


def test_a_body_that_was_cut_is_not_sent(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, b"x" * 1_000_000)

    found, listed = redrive("send", "--all"), redrive("list")

    assert found.returncode == 3
    assert "only the start of the body was kept" in found.stdout
    assert " cut partner" in listed.stdout
    assert notes(kafka) == []


def test_a_letter_for_a_parser_that_is_not_here_stays(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, body(), parser="of-tomorrow")

    found = redrive("send", "--all")

    assert found.returncode == 3
    assert "nothing here reads bodies of 'of-tomorrow'" in found.stdout
    assert kafka.all("stock-quotes") == []


def halves(body: bytes, headers: Mapping[str, str]) -> list[Any]:
    first, second = body.split(b"|")
    symbol = headers["symbol"]
    message = envelope.decode(first.replace(b"?", symbol.encode()))
    return [message, Refused(second, "stock-quotes", "half", "expected the other half")]


def test_what_is_still_refused_of_a_body_becomes_a_letter(
    redrive: Redriven, kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parsers.PARSERS, "provider", halves)  # type: ignore[arg-type]
    refuse(kafka, body("?") + b"|rest", source="provider", symbol="MSFT")

    found = redrive("send", "--all")

    assert found.returncode == 0, found.stderr
    assert [m.key() for m in kafka.read("stock-quotes", 1)] == [b"MSFT"]
    (rest,) = [m for m in kafka.all(DLQ) if m.value() == b"rest"]
    assert dict(rest.headers() or [])["source"] == b"provider"
    assert len(notes(kafka)) == 1


def unreadable(body: bytes, headers: Mapping[str, str]) -> list[Any]:
    raise SourceError("expected a chart")


def test_a_parser_that_fails_leaves_the_letter(
    redrive: Redriven, kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(parsers.PARSERS, "provider", unreadable)  # type: ignore[arg-type]
    refuse(kafka, b"x", source="provider")

    found = redrive("send", "--all")

    assert found.returncode == 3
    assert "unreadable: expected a chart" in found.stdout


def test_a_letter_or_an_event_that_is_there_twice_is_sent_once(
    redrive: Redriven, kafka: MockKafka
) -> None:
    refuse(kafka, body(number=1), body(number=1))
    (one, _) = kafka.all(DLQ)
    headers = [*(one.headers() or [])]
    send_all(deliverer(kafka.servers), iter([Outgoing(DLQ, None, body(number=1), headers)]))

    found = redrive("send", "--all")

    assert found.returncode == 0, found.stderr
    kafka.read("stock-quotes", 1)
    assert len(notes(kafka)) == 2, "one for each letter, the copy is the same one"


def test_a_letter_that_is_met_again_once_it_is_done_is_not_noted_twice() -> None:
    copies = [
        (Letter(place, 0, body(), (("source", b"partner"),)), State.WAITING)
        for place in ("0/1", "0/2")
    ]
    redrive = Redrive(copies, "run", CLOCK, Stop(), patience_s=5)
    sent = []

    for record in redrive.records():
        assert record is not None
        sent.append(record.topic)
        redrive.told(record, True)

    assert sent == ["stock-quotes", DLQ]
    assert redrive.facts()["redriven"] == redrive.facts()["already_redriven"] == 1


def test_what_is_written_while_it_reads_is_not_read(
    kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(kafka, *(body(number=number) for number in range(20)))
    assert max(message.offset() or 0 for message in kafka.all(DLQ)) > 0

    class Earlier(Consumer):
        """Asked for the end of each partition when it had one letter at most."""

        def get_watermark_offsets(self, *place: Any, **options: Any) -> Any:
            low, end = super().get_watermark_offsets(*place, **options)
            return low, min(end, 1)

    monkeypatch.setattr(in_kafka, "Consumer", Earlier)
    settings = KafkaSettings(bootstrap_servers=kafka.servers, security_protocol="PLAINTEXT")

    assert {letter.place.partition("/")[2] for letter in in_kafka.read(settings)} == {"0"}


def test_two_letters_with_one_event_id_and_other_data_are_both_sent(
    redrive: Redriven, kafka: MockKafka
) -> None:
    """Which of them is right is not ours to say: silver keeps one and tells of the other."""
    refuse(kafka, body("IBM", 1), body("AAPL", 1))

    assert redrive("send", "--all").returncode == 0

    assert {m.key() for m in kafka.read("stock-quotes", 2)} == {b"IBM", b"AAPL"}


def redriving(kafka: MockKafka) -> Redrive:
    settings = KafkaSettings(bootstrap_servers=kafka.servers, security_protocol="PLAINTEXT")
    shelf = Shelf(lambda: in_kafka.read(settings), (lambda: in_kafka.read(settings),))
    return Redrive(shelf, "run", CLOCK, Stop(), patience_s=5)


def before_the_first_note(records: Iterator[Outgoing | None]) -> Iterator[Outgoing]:
    """What is sent when the process ends between the answers and the notes."""
    return (record for record in takewhile(lambda r: r is not None, records) if record)


def test_a_process_that_ends_before_its_note_has_sent_the_same_event_twice(
    redrive: Redriven, kafka: MockKafka
) -> None:
    refuse(kafka, *(body(number=number) for number in range(20)))
    killed = redriving(kafka)
    send_all(deliverer(kafka.servers), before_the_first_note(killed.records()))
    assert len(kafka.all("stock-quotes")) == 20
    assert notes(kafka) == []

    after, third = redrive("send", "--all"), redrive("send", "--all")

    assert (after.returncode, third.returncode) == (0, 0), after.stderr
    ids = [envelope.decode(m.value() or b"").event_id for m in kafka.all("stock-quotes")]
    assert (len(ids), len(set(ids))) == (40, 20)
    assert len(notes(kafka)) == 20


def test_what_kafka_refuses_is_not_noted(redrive: Redriven, kafka: MockKafka) -> None:
    refuse(kafka, body())
    error = KafkaError.POLICY_VIOLATION
    kafka.fail_next(error, error)

    failed = redrive("send", "--all")
    assert notes(kafka) == []
    mended = redrive("send", "--all")

    assert failed.returncode == 1
    assert "not confirmed by Kafka" in failed.stderr
    assert mended.returncode == 0, mended.stderr
    kafka.read("stock-quotes", 1)
    assert len(notes(kafka)) == 1


def test_after_a_stop_what_is_confirmed_is_noted_and_no_more_is_read(kafka: MockKafka) -> None:
    refuse(kafka, *(body(number=number) for number in range(50)))
    stopped = redriving(kafka)
    stop = stopped._stop

    def stopping() -> Iterator[Outgoing | None]:
        for number, record in enumerate(stopped.records()):
            stop.requested = stop.requested or number == 9
            yield record

    ours = deliverer(kafka.servers, told=stopped.told)
    how = {"is_live": True, "ends_itself": True}
    run(stopping(), ours, CLOCK, Pacer(CLOCK, None), stop, lambda _: None, **how)

    sent = len(kafka.all("stock-quotes"))
    assert 10 <= sent <= 11
    assert len(notes(kafka)) == sent


def test_hostile_letters_stop_nothing(redrive: Redriven, kafka: MockKafka) -> None:
    bodies = [record.value or b"" for record in hostile.records()]
    refuse(kafka, *bodies)
    headers = [
        ("source", None),
        ("failed_at", b"\xff\x00"),
        ("parser", b"\xff"),
        ("failed_at", b"2"),
    ]
    send_all(deliverer(kafka.servers), iter([Outgoing(DLQ, None, b"", [*headers])]))

    listed, sent = redrive("list"), redrive("send", "--all")

    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == len(bodies) + 1
    assert sent.returncode == 3, sent.stderr


def test_a_broker_that_is_away_is_one_line(
    redrive: Redriven, kafka: MockKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_kafka, "read", partial(in_kafka.read, timeout_s=1.0))
    kafka.stop()

    found = redrive("list")

    assert found.returncode == 1
    assert "does not answer" in found.stderr
    assert found.stderr.count("\n") == 1
