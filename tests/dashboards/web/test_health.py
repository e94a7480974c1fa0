"""Data health: what each source says, and what is said of a source that is absent or broken."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import ConsumerGroupListing, ListConsumerGroupsResult

from audit import landed, report
from audit.bronze import State
from audit.compare import Sealed
from audit.kafka import Kafka as Broker
from audit.kafka import Log
from audit.model import Check, Partition, Row, Verdict
from audit.objects import Bronze
from audit.run import Readings
from audit.table import table
from dashboards import contract
from dashboards.web import health_kafka
from dashboards.web.health import Group, Health, HealthReader
from dashboards.web.health_audit import reconciliation
from dashboards.web.health_gold import worst
from dbt_stocks.reader import GoldReader
from ingestion.contracts.topics import BATCH, DEAD_LETTERS, TOPICS
from ingestion.produce.dead_letters import letter
from ingestion.settings import KafkaSettings
from ingestion.sources.source import Refused
from tests.dashboards.web.test_freshness import XNYS, FakeClock, at

BUILT = datetime.fromisoformat("2026-11-20T22:00")  # as gold has times: UTC without saying so
BEFORE = "2026-11-20T21:59:00+00:00"
NOW = BUILT.replace(tzinfo=UTC) + timedelta(minutes=10)  # an hour after Friday's close


def nowhere() -> KafkaSettings:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return KafkaSettings(port=port, security_protocol="PLAINTEXT")


def publish(folder: Path, **rows: list[dict[str, Any]]) -> None:
    """Publish a build whose tables have gold's own columns, as its contract has them."""
    gold = contract.load()
    path = folder / "gold-b1.duckdb"
    with duckdb.connect(path) as db:
        db.execute("create schema gold; create schema ops")
        for name in ("gold_freshness", "gold_dq_scorecard", "gold_quarantine"):
            columns = ", ".join(
                f"{column} {one.type_in('duckdb')}"
                for column, one in gold.table(name).columns.items()
            )
            db.execute(f"create table gold.{name} ({columns})")
            for row in rows.get(name, []):
                marks = ", ".join("?" for _ in row)
                db.execute(
                    f"insert into gold.{name} ({', '.join(row)}) values ({marks})",
                    list(row.values()),
                )
        db.execute(
            "create table ops.builds as select 'b1' as build_id, ?::timestamp as as_of, "
            "?::timestamp as started_at, ?::timestamp as finished_at, null::varchar as note",
            [BUILT, BUILT - timedelta(minutes=1), BUILT],
        )
    (folder / "current").symlink_to(path.name)


def feed(**values: Any) -> dict[str, Any]:
    return {
        "source": "yahoo",
        "feed": "daily_bars",
        "status": "ok",
        "simulated": False,
        "lag_sessions": 0,
        "lag_open_s": 0,
        "last_event_at": BUILT,
        "checked_at": BUILT,
    } | values


def score(**values: Any) -> dict[str, Any]:
    return {
        "run_id": "b1",
        "model_name": "gold_kpi",
        "dimension": "validity",
        "checked": 10,
        "failed": 0,
        "warned": 0,
        "failing_rows": 0,
    } | values


def rule(**values: Any) -> dict[str, Any]:
    return {
        "relation_name": "quarantine_bars",
        "rule": "price_order",
        "reason": "expected low <= open, close <= high",
        "n_records": 0,
        "last_loaded_at": None,
    } | values


def verdict(status: str = "ok", *checks: Check, minutes: int = 5) -> Verdict:
    when = (BUILT + timedelta(minutes=minutes)).isoformat() + "+00:00"
    found = list(checks) or [
        Check("kafka.read", "kafka can be read", "ok"),
        Check("bronze.records", "Kafka = bronze", status),  # type: ignore[arg-type]
    ]
    rows = [Row(BATCH, "g", 1, 5, 5, 5, 0, 0, 5, 5, 0)]
    return Verdict(when, when, 1.0, found, rows)


@contextmanager
def reading(
    folder: Path, audited: Verdict | None, kafka: KafkaSettings, now: datetime = NOW
) -> Iterator[HealthReader]:
    path = folder / "verdict.json"
    if audited is not None:
        report.write(audited.document(), path)
    with GoldReader(folder) as gold:
        yield HealthReader(gold, path, kafka, XNYS, 0, FakeClock(now))


def health(
    folder: Path,
    audited: Verdict | None,
    kafka: KafkaSettings | None = None,
    now: datetime = NOW,
) -> Health:
    """Without settings of Kafka there is no password, which is known at once."""
    with reading(folder, audited, kafka or KafkaSettings(), now) as reader:
        return reader.read()


GOOD = {"gold_freshness": [feed()], "gold_dq_scorecard": [score()], "gold_quarantine": [rule()]}


def test_all_is_well_but_kafka(tmp_path: Path) -> None:
    publish(tmp_path, **GOOD)
    found = health(tmp_path, verdict(), nowhere())
    assert (found.reconciliation.level, found.reconciliation.verdict) == ("ok", "ok")
    assert found.reconciliation.summary.startswith("ok: 2 checks, 0 gaps; audited at 2026-11-20")
    [stage] = found.reconciliation.stages
    assert (stage.topic, stage.partition, stage.kafka, stage.silver, stage.gap) == (
        BATCH,
        1,
        5,
        5,
        0,
    )
    assert (found.lag.level, found.build.level, found.quarantine.level) == ("ok", "ok", "ok")
    assert "10 of 10 tests passed" in found.build.summary
    assert found.kafka.level == found.dead_letters.level == "unknown"
    assert found.kafka.summary.startswith("Kafka: ")
    assert "KAFKA_PORT" in found.kafka.summary
    # What could not be read is not well.
    assert found.level == "unknown"


def test_with_nothing_there_everything_says_so(tmp_path: Path) -> None:
    found = health(tmp_path, None)
    assert "no build yet" in found.lag.summary
    assert found.lag.summary == found.build.summary == found.quarantine.summary
    assert found.reconciliation.summary == "Nothing has been audited yet: `make audit`"
    assert "KAFKA_AUDITOR_PASSWORD is not set" in found.kafka.summary
    assert found.level == "unknown"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"verdict": "ok"}', '{"checks": 3}', "null"]
)
def test_a_broken_verdict_says_so_and_hides_nothing(tmp_path: Path, text: str) -> None:
    publish(tmp_path, **GOOD)
    (tmp_path / "verdict.json").write_text(text)
    found = health(tmp_path, None)
    assert found.reconciliation.level == "unknown"
    assert found.reconciliation.summary.startswith("verdict.json is no verdict: ")
    assert found.build.level == "ok"


def test_a_build_without_one_of_its_tables(tmp_path: Path) -> None:
    publish(tmp_path, **GOOD)
    path = tmp_path / "gold-b1.duckdb"
    with duckdb.connect(path) as db:
        db.execute("drop table gold.gold_dq_scorecard")
    found = health(tmp_path, verdict())
    assert found.build.level == "unknown"
    assert "gold_dq_scorecard" in found.build.summary
    assert (found.lag.level, found.quarantine.level) == ("ok", "ok")


def test_a_planted_gap_is_red(tmp_path: Path) -> None:
    """The auditor's own judgement of records that Kafka has and bronze lacks."""
    publish(tmp_path, **GOOD)
    place = Partition(BATCH, "0" * 32, 1)
    logs = {place: Log(0, 6, np.arange(6))}
    lost = Bronze("key", place, 0, 6, "data", "", [(0, 3), (4, 6)])
    bronze = State(versioned=True, objects={place: [lost]})
    readings = Readings(logs=logs, bronze=bronze)
    checks = landed.judge(logs, {(BATCH, 1): 6}, bronze, Sealed({place: 6}))
    assert any(check.status == "violated" for check in checks), checks
    when = (BUILT + timedelta(hours=1)).isoformat() + "+00:00"
    found = health(tmp_path, Verdict(when, when, 1.0, checks, table(readings, checks)))
    assert (found.level, found.reconciliation.level) == ("bad", "bad")
    gap = next(one for one in found.reconciliation.gaps if one.check == "bronze.records")
    assert (gap.where, gap.differences, gap.examples) == (f"{BATCH}/1", 1, ("3",))
    [stage] = found.reconciliation.stages
    assert (stage.kafka, stage.bronze, stage.gap) == (6, 5, 1)
    assert "bronze.records of stock-market-batch/1" in found.reconciliation.summary


def test_other_verdicts(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    built = BUILT.replace(tzinfo=UTC)
    for status, level in (("behind", "warn"), ("unknown", "unknown"), ("violated", "bad")):
        report.write(verdict(status).document(), path)
        assert reconciliation(path, built, NOW, XNYS).level == level
    # The other one had begun before the build was finished: it may have read the one before.
    for older in (verdict(minutes=-5), replace(verdict(), started_at=BEFORE)):
        report.write(older.document(), path)
        found = reconciliation(path, built, NOW, XNYS)
        assert (found.level, "older than the published build" in found.summary) == ("warn", True)


def test_a_pipeline_that_has_stopped_does_not_hold(tmp_path: Path) -> None:
    """All was well on Friday evening, and nothing has been built or audited since."""
    publish(tmp_path, **GOOD)

    def found(now: str) -> tuple[str, str, str]:
        health_then = health(tmp_path, verdict(), now=at(now))
        verdict_then = health_then.reconciliation
        named = "older than the session of Mon 23 Nov 2026" in verdict_then.summary
        assert named == (verdict_then.level == "warn"), verdict_then.summary
        return verdict_then.level, health_then.lag.level, health_then.lag.summary.split(". ")[0]

    assert found("2026-11-22T12:00")[:2] == ("ok", "ok")  # a weekend is no stop
    assert found("2026-11-23T21:59")[:2] == ("ok", "ok")
    late = "Now: Late: daily bars, 1 session missing"
    assert found("2026-11-23T22:01") == ("warn", "warn", late)
    assert health(tmp_path, verdict(), now=at("2026-11-24T22:01")).lag.level == "bad"
    other = tmp_path / "replayed"
    other.mkdir()
    publish(other, **GOOD | {"gold_freshness": [feed(simulated=True)]})
    assert health(other, verdict(), now=at("2026-11-24T22:01")).lag.level == "ok"


@pytest.mark.parametrize(
    ("table", "row", "part", "level", "told"),
    [
        ("gold_freshness", feed(status="late", lag_sessions=1), "lag", "warn", "daily_bars late"),
        ("gold_freshness", feed(status="stale", lag_sessions=9), "lag", "bad", "daily_bars stale"),
        ("gold_freshness", feed(status="unscheduled"), "lag", "ok", "none behind"),
        ("gold_freshness", feed(status="other"), "lag", "bad", "daily_bars other"),
        ("gold_dq_scorecard", score(failed=1, warned=1), "build", "warn", "9 of 10 tests passed"),
        ("gold_dq_scorecard", score(failed=1), "build", "bad", "9 of 10 tests passed"),
        ("gold_dq_scorecard", score(run_id="b0"), "build", "warn", "0 of 0 tests passed"),
        (
            "gold_quarantine",
            rule(n_records=3, last_loaded_at=BUILT),
            "quarantine",
            "warn",
            "3 records by 1 rules",
        ),
    ],
)
def test_what_gold_tells(
    tmp_path: Path, table: str, row: dict[str, Any], part: str, level: str, told: str
) -> None:
    publish(tmp_path, **GOOD | {table: [row]})
    found = getattr(health(tmp_path, verdict()), part)
    assert (found.level, told in found.summary) == (level, True), found.summary


def test_quarantine_has_reasons(tmp_path: Path) -> None:
    rows = [rule(n_records=3, last_loaded_at=BUILT), rule(rule="currency")]
    publish(tmp_path, **GOOD | {"gold_quarantine": rows})
    [found] = health(tmp_path, verdict()).quarantine.rules
    assert (found.relation, found.rule, found.records) == ("quarantine_bars", "price_order", 3)
    assert found.reason == "expected low <= open, close <= high"


def test_the_worst_level() -> None:
    assert worst(["ok", "ok"]) == "ok"
    assert worst(["ok", "unknown"]) == "unknown"
    assert worst(["unknown", "warn"]) == "warn"
    assert worst(["warn", "bad", "unknown"]) == "bad"


def test_answers_are_kept_for_some_seconds(tmp_path: Path) -> None:
    publish(tmp_path, **GOOD)
    clock = FakeClock(at("2026-11-20T11:00"))
    report.write(verdict().document(), tmp_path / "verdict.json")
    with GoldReader(tmp_path) as gold:
        path = tmp_path / "verdict.json"
        reader = HealthReader(gold, path, KafkaSettings(), XNYS, 10, clock)
        before = reader.read()
        report.write(verdict("violated").document(), tmp_path / "verdict.json")
        clock.sleep(9)
        assert reader.read() is before
        clock.sleep(2)
        assert reader.read().level == "bad"


def test_a_slow_source_holds_nobody_up(tmp_path: Path) -> None:
    publish(tmp_path, **GOOD)
    slow, asked = threading.Event(), threading.Event()

    class Slow(HealthReader):
        def _read(self) -> Health:
            found = super()._read()
            if self._last is not None:
                asked.set()
                slow.wait(10)
            return found

    with GoldReader(tmp_path) as gold:
        reader = Slow(gold, tmp_path / "verdict.json", KafkaSettings(), XNYS, 0)
        first = reader.read()
        thread = threading.Thread(target=reader.read)
        thread.start()
        assert asked.wait(10)
        assert reader.read() is first
        slow.set()
        thread.join()


def test_lag_counts_what_was_never_committed_and_no_former_life() -> None:
    marks = {
        Partition(BATCH, "g", 0): (0, 10),
        Partition(BATCH, "g", 1): (5, 10),
        Partition(DEAD_LETTERS, "g", 0): (0, 3),
    }
    committed = {(BATCH, 0): 50}
    assert health_kafka._lags(marks, committed, {BATCH}) == {BATCH: 5}
    assert health_kafka._lags(marks, {(BATCH, 0): 4}, TOPICS) == {BATCH: 11, DEAD_LETTERS: 3}


def listed(*names: str, errors: Sequence[KafkaException] = ()) -> ListConsumerGroupsResult:
    groups = [ConsumerGroupListing(name, is_simple_consumer_group=False) for name in names]
    return ListConsumerGroupsResult(groups, list(errors))


def test_groups_that_are_not_shown_are_told() -> None:
    names = [f"other-{number:02}" for number in range(20)]
    shown = ["landers", *names[:19]]
    assert health_kafka._chosen(listed(*names[:19]), "landers") == (shown, "")
    told = "; 20 of 21 groups are shown"
    assert health_kafka._chosen(listed(*names, "landers"), "landers") == (shown, told)


def test_groups_that_a_broker_did_not_tell_are_unknown() -> None:
    error = KafkaException(KafkaError(KafkaError.COORDINATOR_NOT_AVAILABLE))
    with pytest.raises(KafkaException) as raised:
        health_kafka._chosen(listed("landers", errors=[error]), "landers")
    assert raised.value is error


@pytest.mark.parametrize(
    ("lag", "members", "missing", "level", "told"),
    [
        (0, 0, [], "ok", "0 not landed yet"),
        (7, 1, [], "ok", "7 not landed yet"),
        (7, 0, [], "bad", "7 are not landed, and no lander runs"),
        (100_000, 1, [], "warn", "100,000 not landed yet"),
        (0, 1, [DEAD_LETTERS], "bad", "missing: stock-market-dlq"),
    ],
)
def test_how_kafka_is_judged(
    lag: int, members: int, missing: list[str], level: str, told: str
) -> None:
    groups = (
        Group("landers", BATCH, members, "stable", lag),
        Group("other", BATCH, 0, "empty", 10**9),
    )
    found = health_kafka._judged(groups, missing, "landers")
    assert (found[0], told in found[1]) == (level, True), found


@pytest.mark.parametrize(
    ("records", "n_read", "n_letters", "waiting", "level", "told"),
    [
        (0, 0, 0, 0, "ok", "no letter is waiting"),
        (200, 200, 100, 0, "ok", "200 records, no letter is waiting"),
        (200, 200, 150, 50, "warn", "50 of the newest 150 wait"),
        # Notes of what was re-driven hide older letters, of which nothing is known then.
        (5_000, 1_000, 500, 0, "warn", "none of the newest 1,000 records waits; 5,000 in all"),
    ],
)
def test_how_dead_letters_are_judged(
    records: int, n_read: int, n_letters: int, waiting: int, level: str, told: str
) -> None:
    found = health_kafka._of_letters(records, n_read, n_letters, waiting)
    assert (found[0], told in found[1]) == (level, True), found


@pytest.mark.integration
def test_what_a_real_kafka_tells(tmp_path: Path, stack: Any) -> None:
    publish(tmp_path, **GOOD)
    settings = KafkaSettings.load()
    producer = Producer(settings.client("producer"))
    for number in range(3):
        refused = Refused(b'{"no": "trade"}', BATCH, "contract", f"planted {number}")
        sent = letter(refused, "finnhub", "run", at("2026-11-20T11:00"))
        producer.produce(DEAD_LETTERS, sent.value, headers=list(sent.headers))
    producer.produce(BATCH, b"{}", b"AAPL", partition=1)
    assert producer.flush(60) == 0
    landed_to = Consumer({**settings.client("lander"), "group.id": settings.landers_group})
    place = TopicPartition(BATCH, 1)
    low, end = landed_to.get_watermark_offsets(place, timeout=10)
    # Asked as the page does it: the coordinator of a new group may have to be found first.
    with closing(Broker(settings.client("auditor"))) as broker:
        kept = broker.committed(settings.landers_group).get((BATCH, 1))
    landed_to.commit(offsets=[TopicPartition(BATCH, 1, end - 1)], asynchronous=False)
    try:
        with reading(tmp_path, verdict(), settings) as reader:
            found = reader.read()
        assert {topic.name for topic in found.kafka.topics} == set(TOPICS)
        batch = next(topic for topic in found.kafka.topics if topic.name == BATCH)
        assert batch.partitions == 4
        assert batch.records >= end - low
        [group] = [
            one
            for one in found.kafka.groups
            if one.name == settings.landers_group and one.topic == BATCH
        ]
        assert group.lag >= 1
        # Nobody lands here: records wait, and no member is there to fetch them.
        assert (group.members, found.kafka.level) == (0, "bad"), asdict(found.kafka)
        assert "no lander runs" in found.kafka.summary
        assert found.dead_letters.level == "warn"
        newest = found.dead_letters.newest[0]
        assert (newest.detail, newest.source, newest.reason) == ("planted 2", "finnhub", "contract")
        assert (newest.topic, newest.state) == (BATCH, "waiting")
    finally:
        if kept is not None:
            landed_to.commit(offsets=[TopicPartition(BATCH, 1, kept)], asynchronous=False)
        landed_to.close()
