import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer
from typer.testing import CliRunner

from benchmarks.land import __main__ as command
from benchmarks.land import clients, data, hot, joined, latency, measure, ours, report
from ingestion.contracts.topics import DEAD_LETTERS, QUOTES
from ingestion.errors import TapehouseError
from ingestion.land import lines

BUSY = "import time\nwhile time.process_time() < 0.5: pass"


def test_the_messages_are_valid_differ_and_fill_partitions_evenly() -> None:
    items = list(data.made_up(4_000))

    assert all(lines.is_document(item.value) for item in items)
    assert len({item.value for item in items}) == len(items)
    assert 215 < sum(len(item.value) for item in items) / len(items) < 235
    share = Counter(item.partition for item in items)
    assert sorted(share) == list(range(data.PARTITIONS))
    assert min(share.values()) > 900
    assert len({(item.key, item.partition) for item in items}) == len({i.key for i in items})


def test_a_run_counts_only_what_was_used_between_its_two_moments() -> None:
    samples = [
        measure.Sample(10.0, 1.0, 50),
        measure.Sample(11.0, 2.0, 90),
        measure.Sample(13.0, 4.0, 70),
        measure.Sample(14.0, 0.0, 0),
    ]

    run = measure.run_of(samples, 1_000_000, begin=10.5, end=13.5)

    assert (run.seconds, run.cpu_s, run.peak_rss) == (3.0, 2.5, 90)
    assert run.rate == pytest.approx(1_000_000 / 3)
    assert run.cpu_us == pytest.approx(2.5)


def test_what_was_used_before_the_first_sample_is_not_the_run_s() -> None:
    samples = [measure.Sample(10.0, 7.0, 1), measure.Sample(12.0, 9.0, 1)]

    assert measure.run_of(samples, 1, begin=10.0, end=12.0).cpu_s == 2.0
    with pytest.raises(TapehouseError, match=r"expected a sample before .* found one 0\.500 s on"):
        measure.run_of(samples, 1, begin=9.5, end=12.0)


def test_work_begins_after_the_first_sample() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    began: list[float] = []

    samples = measure.watch([process], begin=lambda: began.append(time.time()))

    assert samples[0].at <= began[0] < samples[1].at


def test_what_helpers_use_is_the_first_process_s_and_counted_once() -> None:
    helper = subprocess.Popen([sys.executable, "-c", BUSY])
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    try:
        both = measure.watch([process], helpers=[helper.pid, helper.pid])
    finally:
        measure.end(helper)
    alone = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    without = measure.watch([alone])

    assert max(sample.cpu_s for sample in both) > 2 * max(sample.cpu_s for sample in without)
    assert max(sample.rss for sample in both) < 3 * max(sample.rss for sample in without)


def test_a_process_is_ended_where_the_work_cannot_begin() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def fail() -> None:
        raise TapehouseError("no")

    with pytest.raises(TapehouseError, match="no"):
        measure.watch([process], begin=fail)

    assert process.returncode is not None


def _line(event: str, second: int, **told: object) -> str:
    return json.dumps({"event": event, "timestamp": f"2026-01-01T00:00:{second:02}Z", **told})


def test_a_lander_is_measured_from_its_first_partition_to_its_last_object() -> None:
    log = [
        "not a line of the log",
        _line("assigned", 1, partitions=[]),
        _line("assigned", 2, partitions=["t/0", "t/1"]),
        _line("landed", 3, count=100),
        _line("landed", 9, count=3),
        _line("revoked", 10, partitions=["t/0", "t/1"]),
    ]

    begin, end = ours.span(log)

    assert end - begin == 7


def test_several_landers_are_measured_until_so_many_are_landed() -> None:
    first = [_line("landed", 3, count=40), _line("landed", 9, count=10)]
    second = [_line("assigned", 1, partitions=["t/1"]), _line("landed", 5, count=50)]

    found = hot.reached(60, ours.events([*first, *second]))

    assert found[0] == 90
    assert found[1] - next(ours.events(second))[1] == 4


def test_a_rate_is_measured_between_two_shares_of_what_is_landed() -> None:
    log = [_line("landed", second, count=10) for second in range(1, 11)]

    records, begin, end = hot.between(100, ours.events(log))

    assert (records, end - begin) == (60, 6)


def test_less_than_was_sent_is_not_a_rate() -> None:
    log = [_line("assigned", 1, partitions=["t/1"]), _line("landed", 2, count=60)]

    with pytest.raises(TapehouseError, match="expected 70 records to be landed, found 60"):
        hot.between(100, ours.events(log))
    with pytest.raises(TapehouseError, match="expected 70 records to be landed, found 0"):
        hot.reached(70, [])


def test_one_object_of_everything_is_not_a_rate() -> None:
    with pytest.raises(TapehouseError, match="100 records are too few"):
        hot.between(100, ours.events([_line("landed", 2, count=100)]))


def test_all_is_landed_when_all_landers_together_say_so(tmp_path: Path) -> None:
    logs = [tmp_path / "0.log", tmp_path / "1.log"]
    logs[0].write_text(_line("landed", 1, count=40) + "\n")
    logs[1].write_text(_line("landed", 1, count=50) + "\n" + _line("landed", 2, count=10))
    progress = hot.Progress(logs, 100)

    assert not progress.is_over()  # the last line is still being written
    with logs[1].open("a") as file:
        file.write("\n")
    assert progress.is_over()


def test_an_adopted_object_is_an_error_at_once(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    again = _line("not_landed", 1, partition="t/0", start=7, outcome="unknown")
    log.write_text(again + "\n")
    progress = hot.Progress([log], 100)
    assert not progress.is_over()

    adopted = _line("not_landed", 2, partition="t/0", start=7, outcome="exists")
    log.write_text(f"{again}\n{adopted}\n")

    with pytest.raises(
        TapehouseError, match="t/0: the object at 7 was there before and is adopted"
    ):
        progress.is_over()


def test_landers_that_say_nothing_for_long_are_an_error(tmp_path: Path) -> None:
    now, log = [0.0], tmp_path / "0.log"
    log.write_text("")
    progress = hot.Progress([log], 100, lambda: now[0])
    now[0] = 80.0
    log.write_text(_line("landed", 1, count=40) + "\n")
    assert not progress.is_over()
    now[0] = 160.0
    assert not progress.is_over()
    now[0] = 171.0

    with pytest.raises(TapehouseError, match="expected 100 records to be landed, found 40"):
        progress.is_over()


PLACES = [(topic, n) for topic, count in joined.PARTITIONS_OF.items() for n in range(count)]


def _told(places: Sequence[tuple[str, int]], phase: str = "following") -> dict[str, Any]:
    rows = [{"topic": topic, "partition": number, "phase": phase} for topic, number in places]
    return {"partitions": rows}


def test_landers_have_joined_when_each_partition_is_followed_in_equal_shares() -> None:
    assert joined.missing([_told(PLACES)], 1) is None
    assert joined.missing([_told(PLACES[:6]), _told(PLACES[6:])], 2) is None


@pytest.mark.parametrize(
    ("documents", "amiss"),
    [
        ([_told(PLACES)], "expected 2 landers"),
        ([_told(PLACES[:6]), _told(PLACES[7:])], "found 12"),
        ([_told(PLACES[:6]), _told(PLACES[6:], "locating")], "found 6"),
        ([_told(PLACES[:7]), _told(PLACES[6:])], "found 14"),
        ([_told(PLACES[:6]), _told([*PLACES[7:], PLACES[0]])], "found 13"),
        ([_told(PLACES), _told([])], r"equal shares of 13 partitions, found \[13, 0\]"),
        ([_told(PLACES[:5]), _told(PLACES[5:])], r"equal shares of 13 partitions, found \[5, 8\]"),
    ],
)
def test_landers_have_not_joined(documents: list[dict[str, Any]], amiss: str) -> None:
    with pytest.raises(AssertionError, match=amiss):
        raise AssertionError(joined.missing(documents, 2))


def test_a_lander_that_ends_before_it_has_joined_is_an_error(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    with pytest.raises(TapehouseError, match="ended before it was given anything to land"):
        joined.wait([process], tmp_path)


def test_only_the_landers_started_count_as_joined(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        for pid, places in ((process.pid, PLACES), (1, PLACES)):
            told = {"pid": pid, **_told(places)}
            (tmp_path / f"lander-{pid}.json").write_text(json.dumps(told))

        joined.wait([process], tmp_path)
    finally:
        measure.end(process)


class Landers:
    """In the place of Kafka and of what is started: notes what happens in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, join: Any = lambda *_: None) -> None:
        self.happened: list[str] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        monkeypatch.setattr(ours, "fresh", dict)
        monkeypatch.setattr(ours, "start", self._start)
        monkeypatch.setattr(data, "transactional", lambda _: FakeProducer(self.happened))
        monkeypatch.setattr(joined, "wait", join)

    def _start(self, *_: object) -> "subprocess.Popen[bytes]":
        self.happened.append("start")
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        self.processes.append(process)
        return process


class FakeProducer:
    def __init__(self, happened: list[str]) -> None:
        self._happened = happened

    def init_transactions(self, _: float) -> None: ...
    def produce(self, *_: object) -> None: ...
    def poll(self, _: float) -> None: ...
    def flush(self) -> None: ...

    def begin_transaction(self) -> None:
        self._happened.append("begin")

    def commit_transaction(self, _: float) -> None:
        self._happened.append("commit")

    def abort_transaction(self, _: float) -> None:
        self._happened.append("abort")


@pytest.mark.parametrize("error", [TapehouseError, KeyboardInterrupt])
def test_landers_that_do_not_join_are_ended_and_their_records_given_up(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join(*_: object) -> None:
        raise error

    landers = Landers(monkeypatch, join)

    with pytest.raises(error):
        hot.Hot(1_300, {"TAPEHOUSE_ENV_FILE": str(tmp_path / "env")}).land(2)

    assert landers.happened == ["begin", "start", "start", "abort"]
    assert all(process.returncode is not None for process in landers.processes)


def test_records_can_be_read_only_when_all_have_joined_and_were_sampled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    landers = Landers(monkeypatch, lambda *_: landers.happened.append("joined"))
    asked: list[tuple[str, int]] = []

    def watch(processes: Sequence[Any], is_over: Any, begin: Any) -> list[measure.Sample]:
        begin()
        log = tmp_path / "hot-1-0.log"
        objects = [_line("landed", second, count=130) for second in range(1, 11)]
        log.write_text("\n".join(objects) + "\n")
        assert is_over()
        first = next(ours.events(objects)).at
        return [measure.Sample(first + n, 1.0 + n, 5) for n in range(10)]

    def landed(topic: str, sent: data.Sent, _: object) -> None:
        asked.append((topic, sent.records))

    monkeypatch.setattr(measure, "watch", watch)
    monkeypatch.setattr(measure, "require_success", lambda *_: None)
    monkeypatch.setattr(ours, "require_landed", landed)

    run = hot.Hot(1_300, {"TAPEHOUSE_ENV_FILE": str(tmp_path / "env")}).land(1)

    assert landers.happened == ["begin", "start", "joined", "commit"]
    assert (run.records, run.seconds, run.cpu_s) == (780, 6.0, 6.0)
    assert dict(asked) == {t: 100 * n for t, n in joined.PARTITIONS_OF.items()}
    assert dict(asked)[DEAD_LETTERS] == 100


def _mock_cluster() -> Producer:
    return Producer(
        {
            "bootstrap.servers": "-",
            "test.mock.num.brokers": 1,
            "transactional.id": "held",
            "log_level": 0,
        }
    )


def test_a_transaction_ends_with_its_release_or_is_aborted() -> None:
    producer = _mock_cluster()

    with data.Held(producer) as held:
        sent = held.fill(QUOTES, data.made_up(100))
        held.release()
    with pytest.raises(TapehouseError, match="no"), data.Held(FakeInit(producer)) as held:
        held.fill(QUOTES, data.made_up(100))
        raise TapehouseError("no")

    values = [item.value for item in data.made_up(100)]
    assert sent == (100, sum(map(len, values)), data.digest(values))
    with pytest.raises(KafkaException):  # there is none left to abort
        producer.abort_transaction(10)


class FakeInit:
    """A producer that has had its ``init_transactions``: a second one is an error."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def init_transactions(self, _: float) -> None: ...


def _stored(monkeypatch: pytest.MonkeyPatch, items: Sequence[data.Item]) -> data.Sent:
    line = b'{"offset":%d,"timestamp":1,"key":"%b","headers":[],"value":%b}\n'
    encoded = [line % (n, item.key, item.value) for n, item in enumerate(items)]
    bodies = [b"".join(encoded[:3]), b"", b"".join(encoded[3:])]
    monkeypatch.setattr(ours, "stored", lambda *_: iter(bodies))
    assert [lines.parse(one).value for one in encoded] == [item.value for item in items]
    return data.Sent(len(items), 0, data.digest(item.value for item in items))


def test_bronze_holds_what_was_sent_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    items = list(data.made_up(10))
    sent = _stored(monkeypatch, items[::-1])

    ours.require_landed(QUOTES, sent, {})
    ours.require_landed(QUOTES, data.Sent(10, 0), {})
    with pytest.raises(TapehouseError, match="expected 20 records of stock-quotes"):
        ours.require_landed(QUOTES, sent.times(2), {})


def test_as_many_records_of_other_values_are_not_what_was_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = list(data.made_up(10))
    sent = _stored(monkeypatch, items)
    _stored(monkeypatch, [*items[:9], items[0]])

    with pytest.raises(TapehouseError, match="expected the values that were sent"):
        ours.require_landed(QUOTES, sent, {})


class FakeMessage:
    def __init__(self, error: str | None = None) -> None:
        self._error = error

    def error(self) -> str | None:
        return self._error


class FakeConsumer:
    """Hands out batches, each a second after the one before."""

    def __init__(self, batches: list[list[FakeMessage]]) -> None:
        self._batches = iter(batches)
        self.now = 0.0

    def consume(self, *_: object) -> list[FakeMessage]:
        self.now += 1
        return next(self._batches)


def test_a_plain_client_is_measured_from_its_first_batch_to_its_last_record() -> None:
    full = [FakeMessage()] * 5
    consumer = FakeConsumer([[], [FakeMessage("end")], full, [*full, FakeMessage("end")]])
    taken: list[Any] = []

    span = clients.read(consumer, 10, taken.extend, lambda: consumer.now)

    assert span == (3.0, 4.0)
    assert len(taken) == 12


def test_a_process_is_sampled_to_its_end() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY])

    samples = measure.watch([process])

    assert process.returncode == 0
    assert samples[-1].at > samples[0].at
    assert 0.2 < max(sample.cpu_s for sample in samples) < 2
    assert max(sample.rss for sample in samples) > 2**20


def test_a_process_that_does_not_end_by_itself_is_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    measure.watch([process], is_over=lambda: True)

    assert process.returncode != 0


def test_a_failed_process_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nlast\n")
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()

    with pytest.raises(TapehouseError, match=r"ended with 3:\nfirst\nlast$"):
        measure.require_success(process, log)


def test_a_row_holds_every_run_the_median_and_its_share_of_the_limit() -> None:
    limit = [measure.Run(1000, 1.0, 0.001, 2**20)]
    ours = [measure.Run(1000, seconds, 0.002, 2**21) for seconds in (4.0, 2.0, 1.0)]

    [_, row] = report.rows({"limit": limit, "ours": ours}, "limit")

    assert row["runs"] == [250, 500, 1000]
    assert (row["median"], row["unit"]) == (500, "records/s")
    assert (row["cpu_us_per_record"], row["peak_rss_mib_per_process"]) == (2.0, 2)
    assert (row["share_of_limit"], row["times_one"]) == (0.5, None)


def test_two_processes_are_a_multiple_of_one_and_no_share_of_a_limit() -> None:
    one = [measure.Run(1000, 1.0, 0.001, 2**20)]
    two = [measure.Run(1300, 1.0, 0.001, 2**20)]

    rows = report.rows({"one": one, "two": two}, "one", "times_one")

    assert [(row["share_of_limit"], row["times_one"]) for row in rows] == [(None, 1.0), (None, 1.3)]
    assert [row["times one"] for row in report.shown(rows)] == [1.0, 1.3]
    assert report.rows({"two": two}, "one", "times_one")[0]["times_one"] is None


def _measured(path: Path, commit: str | None, **figures: int) -> dict[str, Any]:
    rows = [{"row": name, "median": median} for name, median in figures.items()]
    report.write(rows, {"commit": commit, "measured_at": "now"}, path)
    written = json.loads(path.read_text())["rows"]
    assert all(row["commit"] == commit and row["measured_at"] == "now" for row in written)
    return {row["row"]: row["median"] for row in written}


def test_rows_that_are_not_measured_again_stay_if_they_are_of_the_same_commit(
    tmp_path: Path,
) -> None:
    path = tmp_path / "land.json"

    assert _measured(path, "abc", one=1, two=2) == {"one": 1, "two": 2}
    assert _measured(path, "abc", two=3) == {"one": 1, "two": 3}
    assert _measured(path, "def", two=4) == {"two": 4}
    assert _measured(path, None, one=5) == {"one": 5}
    assert _measured(path, None, two=6) == {"two": 6}


def test_rows_of_a_file_that_names_no_commit_are_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "land.json"
    path.write_text(json.dumps({"messages": 1, "rows": [{"row": "one", "median": 1}]}))

    assert _measured(path, "abc", two=2) == {"two": 2}


def test_a_row_that_does_not_exist_is_an_error() -> None:
    result = CliRunner().invoke(command.app, ["--only", "no such row"])

    assert result.exit_code == 2


def test_only_the_stack_of_the_row_wanted_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    @contextmanager
    def temporary(*services: str) -> Iterator[tuple[Path, dict[str, str]]]:
        started.append(" ".join(services))
        yield Path(), {}

    monkeypatch.setattr(command.stack, "temporary", temporary)
    monkeypatch.setattr(command.latency, "measure", lambda *_: latency.Latency(1, 0.1, 0.2))
    monkeypatch.setattr(command.report, "write", lambda *_: Path("land.json"))

    result = CliRunner().invoke(command.app, ["--only", "latency"])

    assert result.exit_code == 0, result.output
    assert started == ["kafka store"]
