"""Landing on real Kafka and a real store: nothing lost, nothing doubled, every byte kept."""

import json
import os
import re
import signal
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from infra.local import store
from infra.local.layout import Layout
from ingestion.clock import SystemClock
from ingestion.contracts.topics import BATCH, QUOTES, REALTIME, TOPICS
from ingestion.land import lines, objects
from ingestion.land.connection import Connection
from ingestion.land.protocol import Head, Kind, Partition
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import ROOT, KafkaSettings, StoreSettings
from tests.conftest import RunningStack, in_force
from tests.ingestion.land.fake_store import Flaws, serving
from tests.ingestion.land.test_lines import VALUES
from tests.support import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


@dataclass
class Bench:
    """The stack, and how a test looks at both ends of landing."""

    stack: RunningStack
    questions: Questions
    store: BronzeStore
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def produce(
        self,
        topic: str,
        values: list[bytes | None],
        partition: int = 0,
        one_by_one: bool = False,
        **more: Any,
    ) -> None:
        config = {"enable.idempotence": True, "message.max.bytes": 2**21, "log_level": 0}
        producer = Producer(KafkaSettings.load().client("producer") | config)
        errors: list[Any] = []
        for value in values:
            producer.produce(
                topic,
                value,
                partition=partition,
                on_delivery=lambda error, _: errors.append(error) if error else None,
                **more,
            )
            assert not one_by_one or producer.flush(30) == 0
        assert producer.flush(30) == 0
        assert errors == []

    def land_once(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ingestion", "land", "--once"],
            cwd=ROOT,
            env=os.environ | self.stack.environment | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def following(self, name: str) -> bool:
        """Tell whether a lander has found the end of every chain."""
        found = self.status(name).get("partitions", [])
        return len(found) == len(TOPICS) and all(p["phase"] == "following" for p in found)

    def reached(self, name: str, topic: str, offset: int) -> bool:
        """Tell whether a lander knows that a topic is landed up to an offset."""
        found = self.status(name).get("partitions", [])
        return any(p["topic"] == topic and p["landed"] >= offset for p in found)

    def start(self, name: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a lander; it is killed at the end of the test when it still runs."""
        process = subprocess.Popen(
            [sys.executable, "-m", "ingestion", "land", "--name", name, *arguments],
            cwd=ROOT,
            env=os.environ | self.stack.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.running.append(process)
        return process

    def status(self, name: str) -> dict[str, Any]:
        """Return what a lander last told about itself; empty before that."""
        path = self.stack.state_dir / "run" / f"lander-{name}.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def chain(self, topic: str, partition: int = 0) -> list[tuple[Head, list[lines.Record]]]:
        """Return a partition's objects in order; they must form one chain of whole objects."""
        place, generation = Partition(topic, partition), self.questions.generation(topic)
        last = self.store.last(place, generation)  # first, for a lander may be at work
        found, start = [], 0
        while (got := self.store.get(place, generation, start)) is not None:
            head, body = got
            assert len(lines.split(objects.decompress(body))) == head.count
            found.append((head, [lines.parse(x) for x in lines.split(objects.decompress(body))]))
            start = head.next
        assert last in {None, *(head.start for head, _ in found)}, "an object off the chain"
        return found

    def landed(self, topic: str, partition: int = 0) -> list[lines.Record]:
        return [record for _, records in self.chain(topic, partition) for record in records]

    def stored(self, topic: str) -> list[tuple[datetime, list[lines.Record]]]:
        """Return when each object of a topic was written and what it holds, whatever its key."""
        settings = StoreSettings.load()
        client = connect(settings, "auditor")
        place = {"Bucket": settings.bronze_bucket}
        prefix = f"{topic}/g={self.questions.generation(topic)}/"
        found = []
        for page in client.get_paginator("list_objects_v2").paginate(**place, Prefix=prefix):
            for entry in page.get("Contents", []):
                body = client.get_object(**place, Key=entry["Key"])["Body"].read()
                held = [lines.parse(x) for x in lines.split(objects.decompress(body))]
                found.append((entry["LastModified"], held))
        return found

    def committed(self, topic: str) -> int:
        """Return what the landers have committed of a topic's first partition."""
        return (
            self.questions.committed(Partition(topic, 0), self.questions.generation(topic))[0] or 0
        )

    def versions(self) -> set[int]:
        """Return how many versions the keys of bronze have."""
        settings = StoreSettings.load()
        pages = connect(settings, "auditor").get_paginator("list_object_versions")
        counts: Counter[str] = Counter()
        for page in pages.paginate(Bucket=settings.bronze_bucket):
            counts.update(version["Key"] for version in page.get("Versions", []))
            assert not page.get("DeleteMarkers")
        return set(counts.values())

    def store_process(self) -> psutil.Process:
        """Return the store's process, found by the port it listens on."""
        port = StoreSettings.load().port
        [process] = {
            psutil.Process(c.pid)
            for c in psutil.net_connections("tcp")
            if c.status == psutil.CONN_LISTEN and c.laddr.port == port and c.pid
        }
        return process

    def in_kafka(self, topic: str, partition: int = 0) -> list[lines.Record]:
        """Read a partition with a client of its own, without the project's code."""
        place = Partition(topic, partition)
        low, high = self.questions.watermarks(place)
        reader = Consumer(
            KafkaSettings.load().client("auditor")
            | {"group.id": "none", "enable.auto.commit": False, "enable.partition.eof": False}
        )
        reader.assign([TopicPartition(topic, partition, low)])
        found: list[lines.Record] = []
        while not found or found[-1].offset < high - 1:
            message = reader.poll(30)
            assert message is not None and message.error() is None, message
            headers = tuple(message.headers() or ())
            stamp = message.timestamp()[1]
            found.append(
                lines.Record(message.offset(), stamp, message.key(), headers, message.value())
            )
        reader.close()
        return found


@pytest.fixture(scope="module")
def own_stack(landing_stack: RunningStack) -> Iterator[RunningStack]:
    with pytest.MonkeyPatch.context() as patch:
        yield in_force(landing_stack, patch)


@pytest.fixture
def bench(own_stack: RunningStack) -> Iterator[Bench]:
    recreate_topics()
    settings = StoreSettings.load()
    questions = Questions(Connection(KafkaSettings.load(), SystemClock()))
    bronze = BronzeStore(connect(settings, "lander"), settings.bronze_bucket)
    made = Bench(own_stack, questions, bronze)
    yield made
    for process in made.running:
        process.kill()
        process.communicate()


def admin() -> AdminClient:
    return AdminClient(KafkaSettings.load().client("admin"))


def recreate_topics(topics: Mapping[str, int] | None = None) -> None:
    """Start each test on new topics: new generations, and so new chains."""
    wanted = topics or dict.fromkeys(TOPICS, 1)
    client = admin()
    known = client.list_topics(timeout=10).topics
    doomed = [topic for topic in wanted if topic in known]
    if doomed:
        for future in client.delete_topics(doomed).values():
            future.result(20)
        wait_for(lambda: not set(doomed) & set(client.list_topics(timeout=10).topics))
    for future in client.create_topics([NewTopic(t, n, 1) for t, n in wanted.items()]).values():
        future.result(20)
    wait_for(lambda: set(wanted) <= set(client.list_topics(timeout=10).topics))


def forget_records(below: int) -> None:
    """Do what retention does."""
    client = admin()
    for future in client.delete_records([TopicPartition(QUOTES, 0, below)]).values():
        future.result(20)


def numbered(count: int) -> list[bytes | None]:
    return [b'{"n":%d,"id":"%s"}' % (n, uuid.uuid4().hex.encode()) for n in range(count)]


def test_every_byte_of_hostile_records_is_kept(bench: Bench) -> None:
    headers = [("schema", b"quote.v1"), ("bin", b"\xff\x00"), ("none", None), ("schema", b"again")]
    values = [value for _, value in VALUES]
    bench.produce(QUOTES, values, key=b"AAPL", headers=headers)
    bench.produce(QUOTES, numbered(3), key=b"\xff\xfe")
    bench.produce(QUOTES, numbered(3))
    done = bench.land_once()
    assert done.returncode == 0, done.stderr
    assert bench.landed(QUOTES) == bench.in_kafka(QUOTES)


def test_250_messages_within_one_second_are_250_rows(bench: Bench) -> None:
    """Several objects have to be written within a second, as their records were."""
    lander = bench.start("burst", LAND_MAX_AGE_S="0.05")
    wait_for(lambda: bench.following("burst"))
    values = numbered(250)
    # Slower than the lander closes objects, so that there are several in a second.
    bench.produce(QUOTES, values, one_by_one=True, key=b"AAPL", timestamp=1_700_000_000_000)
    wait_for(lambda: bench.committed(QUOTES) >= 250)
    lander.send_signal(signal.SIGTERM)
    assert lander.wait(10) == 0
    stored = bench.stored(QUOTES)
    assert Counter(record.value for _, held in stored for record in held) == Counter(values)
    seconds = {written.replace(microsecond=0) for written, _ in stored}
    assert len(seconds) < len(stored), "no two objects of one second: the test proves nothing"
    assert [record.value for record in bench.landed(QUOTES)] == values


@pytest.mark.parametrize("failpoint", ["after-poll:1", "before-put:2", "after-put:2"])
def test_kill_9_neither_loses_nor_doubles(bench: Bench, failpoint: str) -> None:
    for topic in TOPICS:
        bench.produce(topic, numbered(500))
    died = bench.land_once(TAPEHOUSE_FAILPOINT=failpoint)
    assert died.returncode == -signal.SIGKILL, died.stderr
    for topic in TOPICS:
        bench.produce(topic, numbered(50))  # what is landed again would not be the same bytes
    done = bench.land_once()
    assert done.returncode == 0, done.stderr
    for topic in TOPICS:
        assert bench.landed(topic) == bench.in_kafka(topic)
    assert bench.versions() == {1}, "an object was written over"


def test_kill_9_while_records_are_held_shows_how_many(bench: Bench) -> None:
    lander = bench.start("held", LAND_MAX_AGE_S="600")
    bench.produce(REALTIME, numbered(300))
    wait_for(lambda: bench.status("held").get("buffered_records") == 300)
    lander.kill()
    lander.wait()
    assert bench.status("held")["buffered_records"] == 300
    assert bench.chain(REALTIME) == []
    assert bench.land_once().returncode == 0
    assert bench.landed(REALTIME) == bench.in_kafka(REALTIME)


def test_two_processes_on_one_partition_put_one_object_per_range(bench: Bench) -> None:
    """Two groups, so that both own every partition for as long as they live."""
    admin_password = KafkaSettings.load().admin_password
    assert admin_password is not None
    other = {
        "KAFKA_LANDERS_GROUP": "other",
        "KAFKA_LANDER_USERNAME": KafkaSettings.load().admin_username,
        "KAFKA_LANDER_PASSWORD": admin_password.get_secret_value(),
    }
    landers = [bench.start("one"), bench.start("two", **other)]
    wait_for(lambda: bench.following("one") and bench.following("two"))
    for _ in range(10):
        bench.produce(QUOTES, numbered(400))
    wait_for(lambda: all(bench.reached(name, QUOTES, 4000) for name in ("one", "two")))
    adopted = sum(bench.status(n)["alarms"].get("adopted", 0) for n in ("one", "two"))
    for lander in landers:
        lander.send_signal(signal.SIGTERM)
        assert lander.wait(10) == 0
    assert bench.landed(QUOTES) == bench.in_kafka(QUOTES)
    assert bench.versions() == {1}
    assert adopted, "the two never met: the test proves nothing"


def test_a_frozen_owner_that_wakes_up_adopts_what_its_successor_landed(bench: Bench) -> None:
    owner = bench.start("owner", LAND_MAX_AGE_S="600")
    bench.produce(QUOTES, numbered(200))
    wait_for(lambda: bench.status("owner").get("buffered_records") == 200)
    owner.send_signal(signal.SIGSTOP)
    bench.produce(QUOTES, numbered(50))
    done = bench.land_once()  # waits for the owner's session to end
    owner.send_signal(signal.SIGCONT)
    assert done.returncode == 0, done.stderr
    bench.produce(QUOTES, numbered(50))
    owner.send_signal(signal.SIGTERM)
    assert owner.wait(10) == 0
    assert bench.land_once().returncode == 0
    assert bench.landed(QUOTES) == bench.in_kafka(QUOTES)
    assert bench.versions() == {1}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_sigterm_lands_what_is_held_within_ten_seconds(bench: Bench, protocol: str) -> None:
    lander = bench.start("term", LAND_MAX_AGE_S="600", LAND_GROUP_PROTOCOL=protocol)
    bench.produce(BATCH, numbered(2000))
    wait_for(lambda: bench.status("term").get("buffered_records") == 2000)
    lander.send_signal(signal.SIGTERM)
    assert lander.wait(10) == 0
    assert bench.landed(BATCH) == bench.in_kafka(BATCH)
    assert bench.status("term") == {}, "its file says that it holds something"


def test_transaction_markers_leave_no_gap(bench: Bench) -> None:
    client = KafkaSettings.load().client("admin")
    producer = Producer(client | {"transactional.id": "t"})
    producer.init_transactions(20)
    for commits in (True, False, True, False):
        producer.begin_transaction()
        for n in range(5):
            producer.produce(QUOTES, b"%d" % n, partition=0)
        producer.flush(10)
        (producer.commit_transaction if commits else producer.abort_transaction)(20)
    done = bench.land_once()
    assert done.returncode == 0, done.stderr
    assert len(bench.landed(QUOTES)) == 10
    assert bench.chain(QUOTES)[-1][0].next == bench.questions.watermarks(Partition(QUOTES, 0))[1]


def test_records_that_retention_took_are_a_gap_and_an_alarm(bench: Bench) -> None:
    bench.produce(QUOTES, numbered(10))
    assert bench.land_once().returncode == 0
    bench.produce(QUOTES, numbered(10))
    forget_records(below=15)
    done = bench.land_once()
    assert done.returncode == 0, done.stderr
    assert "retention_gap" in done.stderr
    heads = [head for head, _ in bench.chain(QUOTES)]
    assert [(h.next, h.kind) for h in heads] == [
        (10, Kind.DATA),
        (15, Kind.GAP),
        (20, Kind.DATA),
    ]


def test_a_running_lander_survives_a_lost_position(bench: Bench) -> None:
    bench.start("lost", LAND_MAX_AGE_S="0.2")
    bench.produce(QUOTES, numbered(5))
    wait_for(lambda: len(bench.landed(QUOTES)) == 5)
    [process] = bench.running
    process.send_signal(signal.SIGSTOP)
    bench.produce(QUOTES, numbered(10))
    forget_records(below=12)
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: bench.chain(QUOTES)[-1][0].next == 15)
    covered = [r.offset for r in bench.landed(QUOTES)]
    gaps = [o for h, _ in bench.chain(QUOTES) if h.kind is Kind.GAP for o in range(h.start, h.next)]
    assert sorted(covered + gaps) == list(range(15))


def test_a_topic_created_anew_under_a_running_lander_is_a_new_chain(bench: Bench) -> None:
    lander = bench.start("again", LAND_MAX_AGE_S="0.2")
    bench.produce(QUOTES, numbered(5))
    wait_for(lambda: len(bench.landed(QUOTES)) == 5)
    recreate_topics({QUOTES: 1})
    values = numbered(3)
    bench.produce(QUOTES, values)
    wait_for(lambda: len(bench.landed(QUOTES)) == 3, 60)
    assert [record.value for record in bench.landed(QUOTES)] == values
    assert lander.poll() is None


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("KAFKA_LANDER_PASSWORD", "uthentication"),
        ("STORE_LANDER_SECRET_KEY", "SignatureDoesNotMatch"),
    ],
)
def test_wrong_credentials_are_one_line_and_exit_1(
    bench: Bench, variable: str, expected: str
) -> None:
    done = bench.land_once(**{variable: "wrong-password"})
    assert done.returncode == 1
    assert expected in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_drain_waits_and_names_what_is_missing(bench: Bench) -> None:
    bench.produce(QUOTES, numbered(5))
    behind = bench.stack.run("ingestion", "drain", "--timeout", "1")
    assert behind.returncode == 1
    assert "stock-quotes/0 (5 missing)" in behind.stderr
    assert bench.land_once().returncode == 0
    drained = bench.stack.run("ingestion", "drain")
    assert drained.returncode == 0, drained.stderr


@contextmanager
def refusing(layout: Layout) -> Iterator[None]:
    """Have the store refuse the lander's PUTs, and nothing else."""
    admin, (access, _) = store.admin(layout), layout.store.keys("lander")
    reading = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"]}
    statement = reading | {"Resource": ["arn:aws:s3:::*"]}
    admin.policy_add("reading", policy={"Version": "2012-10-17", "Statement": [statement]})
    admin.policy_unset("tapehouse-lander", user=access)
    admin.policy_set("reading", user=access)
    try:
        yield
    finally:
        admin.policy_unset("reading", user=access)
        admin.policy_set("tapehouse-lander", user=access)


def test_a_store_that_refuses_writes_is_told_by_status_and_drain_until_it_takes_them(
    bench: Bench,
) -> None:
    lander = bench.start("refused")
    wait_for(lambda: bench.following("refused"))
    with refusing(bench.stack.layout):
        bench.produce(QUOTES, numbered(5))
        wait_for(lambda: bench.status("refused")["error"])
        behind = bench.stack.run("ingestion", "drain", "--timeout", "1")
        assert behind.returncode == 1
        said = behind.stderr.splitlines()[-1]
        assert "stock-quotes/0 (5 missing)" in said
        assert re.search(rf"lander {lander.pid} is not writing since \S+Z: .*AccessDenied", said)
        assert bench.status("refused")["buffered_records"] == 5
    wait_for(lambda: bench.status("refused")["error"] is None)
    assert bench.landed(QUOTES) == bench.in_kafka(QUOTES)


@contextmanager
def disabled(layout: Layout) -> Iterator[None]:
    """Have the store know the lander no longer."""
    admin, (access, _) = store.admin(layout), layout.store.keys("lander")
    admin.user_disable(access)
    try:
        yield
    finally:
        admin.user_enable(access)


@contextmanager
def rotated(layout: Layout) -> Iterator[None]:
    """Give the lander's identity another secret, and then its own again."""
    admin, (access, secret) = store.admin(layout), layout.store.keys("lander")
    admin.user_add(access, "another-secret")
    try:
        yield
    finally:
        admin.user_add(access, secret)
        admin.policy_set("tapehouse-lander", user=access)


@pytest.mark.parametrize("invalid", [disabled, rotated])
def test_credentials_that_stop_working_stall_landing_until_they_work_again(
    bench: Bench, invalid: Callable[[Layout], AbstractContextManager[None]]
) -> None:
    lander = bench.start("credentials")
    wait_for(lambda: bench.following("credentials"))
    bench.produce(QUOTES, numbered(5))
    wait_for(lambda: bench.committed(QUOTES) == 5)
    with invalid(bench.stack.layout):
        bench.produce(QUOTES, numbered(300))
        wait_for(lambda: bench.status("credentials")["alarms"].get("refused"))
        assert bench.status("credentials")["buffered_records"] == 300
        assert bench.committed(QUOTES) == 5
        assert lander.poll() is None
    wait_for(lambda: bench.committed(QUOTES) >= 305)
    wait_for(lambda: bench.status("credentials")["error"] is None)
    assert bench.landed(QUOTES) == bench.in_kafka(QUOTES)


def test_landing_starts_on_no_store_that_the_doctor_finds_unfit(bench: Bench) -> None:
    bench.produce(QUOTES, numbered(5))
    with serving(Flaws(writes_after_looking=True)) as unfit:
        for _ in range(2):  # at the second start by what it found at the first
            refused = bench.land_once(STORE_ENDPOINT=unfit.url, STORE_KIND="s3")
            assert refused.returncode == 1
            said = refused.stderr.splitlines()[-1]
            assert said.startswith("error: the store is not fit for landing: race of threads")
            assert not unfit.buckets["bronze"]
    assert bench.committed(QUOTES) == 0
    assert bench.land_once().returncode == 0, "another store is not blamed"
    assert bench.landed(QUOTES) == bench.in_kafka(QUOTES)


def test_a_store_that_is_away_for_a_while_costs_nothing(bench: Bench) -> None:
    lander = bench.start("away")
    wait_for(lambda: bench.following("away"))
    process = bench.store_process()
    process.send_signal(signal.SIGSTOP)
    try:
        bench.produce(QUOTES, numbered(100))
        wait_for(lambda: bench.status("away")["buffered_records"] == 100)
        assert lander.poll() is None
    finally:
        process.send_signal(signal.SIGCONT)
    wait_for(lambda: len(bench.landed(QUOTES)) == 100, 60)
    assert bench.landed(QUOTES) == bench.in_kafka(QUOTES)


def test_a_lander_that_its_group_refuses_says_so(bench: Bench) -> None:
    lander = bench.start("stranger", KAFKA_LANDERS_GROUP="not-ours")
    wait_for(lambda: bench.status("stranger").get("error"))
    assert "uthoriz" in bench.status("stranger")["error"]
    behind = bench.stack.run("ingestion", "status", "--json")
    assert behind.returncode == 1
    [problem] = json.loads(behind.stdout)["problems"]
    assert problem.startswith(f"lander stranger (process {lander.pid}) is not writing since")
