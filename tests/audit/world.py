"""A small finished run of the whole pipeline, written by the test itself.

Nothing of the project's writers is used: what the auditor must accept is stated here a second
time, from the documents.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import zstandard
from botocore.config import Config
from confluent_kafka import (
    Consumer,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from dotenv import dotenv_values
from pyiceberg.catalog.sql import SqlCatalog

from audit.model import Partition, Verdict
from audit.run import Audit, Options
from audit.settings import Settings

BATCH, QUOTES, REALTIME = "stock-market-batch", "stock-quotes", "stock-market-realtime"
DEAD_LETTERS = "stock-market-dlq"
LAYOUT = {(BATCH, 0): 10, (BATCH, 1): 6, (REALTIME, 0): 8, (QUOTES, 2): 8, (DEAD_LETTERS, 0): 2}
ACTION, REJECT, COPY, TRADE_REJECT = (0, 3), (0, 7), (1, 5), 2
UNSURE = (QUOTES, 2, 3)
QUARANTINED, DEDUPLICATED, REFUSED = 6, 7, 8
OBJECT_RECORDS = 4
LOADED, BUILT = "2026-03-02 21:30:00", "2026-03-02 21:31:00"
SCHEMATA = ("common", "ops", "reference", "silver", "verdicts", "quarantine", "gold")
TRANSACTIONAL = (REALTIME, 3)
NOW = datetime(2013, 3, 1, 21, 0, tzinfo=UTC)
MILLIS = time.time_ns() // 1_000_000  # older records would be removed by Kafka's retention

_TRANSPORT = {
    "topic": pa.string(),
    "generation": pa.string(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "kafka_timestamp": pa.timestamp("us", "UTC"),
}
_PRICE = pa.decimal128(38, 18)
_TIME = pa.timestamp("us", "UTC")
_TEXT = pa.string()
_EVENT = {
    "event_id": _TEXT,
    "source": _TEXT,
    "symbol": _TEXT,
    "run_id": _TEXT,
    "simulated": pa.bool_(),
    "session_date": pa.date32(),
    "event_at": _TIME,
    "fetched_at": _TIME,
    "compacted_at": _TIME,
}
SCHEMAS = {
    "silver.bars": _EVENT
    | dict.fromkeys(("currency", "adjustment", "interval"), _TEXT)
    | dict.fromkeys(("open", "high", "low", "close", "adj_close"), _PRICE)
    | {"volume": pa.int64(), "start_at": _TIME, "as_of": _TIME}
    | _TRANSPORT,
    "silver.corporate_actions": _EVENT
    | {"type": _TEXT, "currency": _TEXT, "ratio": _PRICE}
    | {"amount": _PRICE, "ex_date": pa.date32(), "as_of": _TIME}
    | _TRANSPORT,
    "silver.trades": _EVENT
    | {"exchange": _TEXT, "conditions": pa.list_(_TEXT), "action": _TEXT, "ref": _TEXT}
    | {"price": pa.decimal128(18, 6), "size": pa.decimal128(18, 6), "seq": pa.int64()}
    | _TRANSPORT,
    "silver.rejects": dict.fromkeys(
        ("key", "headers", "reason", "detail", "raw", "event_id", "schema"), _TEXT
    )
    | {"session_date": pa.date32(), "compacted_at": _TIME}
    | _TRANSPORT,
    "metrics.daily_stock_metrics": {
        "symbol": _TEXT,
        "source": _TEXT,
        "simulated": pa.bool_(),
        "session_date": pa.date32(),
        "daily_close": pa.decimal128(18, 6),
        "bar_event_id": _TEXT,
        "revision": pa.int32(),
        "computed_at": _TIME,
    },
    "metrics.realtime_stock_analytics": {
        "symbol": _TEXT,
        "source": _TEXT,
        "session_date": pa.date32(),
        "window_end_at": _TIME,
        "ma_15m": pa.float64(),
        "revision": pa.int32(),
    },
    "metrics.trade_bars": {
        **dict.fromkeys(("symbol", "source", "interval", "segment"), _TEXT),
        "session_date": pa.date32(),
        "start_at": _TIME,
        "n_trades": pa.int64(),
        "revision": pa.int32(),
    },
    "metrics.anomalies": {
        **dict.fromkeys(("symbol", "source", "rule", "subject"), _TEXT),
        "session_date": pa.date32(),
        "value": pa.float64(),
        "revision": pa.int32(),
    },
}
RAW = {
    "silver.bars": "common.bars_raw",
    "silver.corporate_actions": "common.corporate_actions_raw",
    "silver.rejects": "common.rejects_raw",
    "metrics.daily_stock_metrics": "common.daily_stock_metrics_raw",
    "metrics.realtime_stock_analytics": "common.realtime_stock_analytics_raw",
    "metrics.trade_bars": "common.trade_bars_raw",
    "metrics.anomalies": "common.anomalies_raw",
}

_DAY = "instrument_id, 'AAPL' as symbol, session_date"
_INSTRUMENT = "'apple@1980' as instrument_sk, 'apple' as instrument_id, 'AAPL' as symbol"
# Seeds, and what follows from silver: one instrument, one session, one window.
DERIVED = {
    "reference.instruments": (
        f"select {_INSTRUMENT}, true as is_current, date '1980-12-12' as valid_from,"
        " null::date as valid_to"
    ),
    "reference.sessions": (
        "select 'XNYS' as mic, date '2013-03-01' as session_date,"
        " timestamp '2013-03-01 05:00' as day_start_at"
    ),
    "silver.silver_daily_bars": f"select distinct {_DAY} from silver.silver_bars",
    "silver.silver_daily_actions": (
        "select distinct instrument_id, ex_date as session_date"
        " from silver.silver_corporate_actions"
    ),
    "silver.silver_trade_bars": (
        "select *, interval as bar_interval from common.trade_bars_raw where revision = 2"
    ),
    "silver.silver_minute_bars": (
        f"select {_DAY}, timestamp '2013-03-01 14:30' as open_at, 7 as minute_number,"
        " 10.0 as open_price from silver.silver_daily_bars"
    ),
    "gold.daily_stock_metrics": "select * from common.daily_stock_metrics_raw where revision = 2",
    "gold.gold_anomalies": "select * from common.anomalies_raw where subject = 'stands'",
    "gold.realtime_stock_analytics": (
        "select *, window_end_at as window_1h_end from common.realtime_stock_analytics_raw"
    ),
    "gold.gold_daily_metrics": f"select {_DAY} from silver.silver_daily_bars",
    "gold.gold_drawdown": f"select {_DAY} from silver.silver_daily_bars",
    "gold.gold_treechart": f"select {_DAY} from silver.silver_daily_bars",
    "gold.gold_candlestick": (
        f"select {_DAY}, candle_interval, bar_start_at from silver.silver_daily_bars, (values"
        " ('1m', timestamp '2013-03-01 14:37'), ('5m', timestamp '2013-03-01 14:35'),"
        " ('15m', timestamp '2013-03-01 14:30'), ('1h', timestamp '2013-03-01 14:30'),"
        " ('4h', timestamp '2013-03-01 14:30'), ('1d', timestamp '2013-03-01 14:30'),"
        " ('1w', timestamp '2013-02-25 14:30')) as candles (candle_interval, bar_start_at)"
    ),
    "gold.gold_kpi": "select 'apple' as instrument_id, 'AAPL' as symbol",
    "gold.dim_instrument": "select * from reference.instruments",
    "gold.dim_session": "select * from reference.sessions",
}


@dataclass(frozen=True)
class Stored:
    """An object as it lies in the store."""

    key: str
    body: bytes
    metadata: dict[str, str]


@dataclass
class World:
    """Every stage filled consistently; each plant breaks one thing and puts it back."""

    env_file: Path
    generations: dict[str, str] = field(default_factory=dict)

    # --- settings and clients

    @cached_property
    def settings(self) -> Settings:
        found = {name: value or "" for name, value in dotenv_values(self.env_file).items()}
        return Settings(found, self.env_file)

    @cached_property
    def s3(self) -> Any:
        return self.client("root")

    def client(self, role: str) -> Any:
        get = self.settings.require
        return boto3.client(
            "s3",
            endpoint_url=self.settings.store_url(),
            region_name="us-east-1",
            aws_access_key_id=get(f"STORE_{role.upper()}_ACCESS_KEY"),
            aws_secret_access_key=get(f"STORE_{role.upper()}_SECRET_KEY"),
            config=Config(s3={"addressing_style": "path"}),
        )

    def kafka(self, role: str) -> dict[str, str]:
        return self.settings.kafka() | {
            "sasl.username": role,
            "sasl.password": self.settings.require(f"KAFKA_{role.upper()}_PASSWORD"),
        }

    @cached_property
    def catalog(self) -> SqlCatalog:
        path = self.settings.state("lake", "catalog.db")
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqlCatalog(
            "lake",
            **{
                "uri": f"sqlite:///{path}",
                "warehouse": "s3://lake/warehouse",
                "s3.endpoint": self.settings.store_url(),
                "s3.region": "us-east-1",
                "s3.access-key-id": self.settings.require("STORE_LAKE_ACCESS_KEY"),
                "s3.secret-access-key": self.settings.require("STORE_LAKE_SECRET_KEY"),
            },
        )

    # --- filling the stages

    def fill(self) -> None:
        self.produce()
        self.write_ledger()
        self.land()
        self.compact()
        self.load()
        self.publish()

    def produce(self) -> None:
        producer = Producer(self.kafka("producer") | {"enable.idempotence": True})
        for (topic, partition), count in LAYOUT.items():
            for offset in range(count):
                producer.produce(
                    topic,
                    value=self.value(topic, partition, offset),
                    key=b"AAPL",
                    partition=partition,
                    timestamp=MILLIS + offset,
                    headers=[("schema", b"x.v1"), ("run_id", b"r")],
                )
        assert producer.flush(20) == 0
        self.produce_transactions()
        admin = AdminClient(self.kafka("admin"))
        topics = sorted({topic for topic, _ in LAYOUT})
        for name, answer in admin.describe_topics(TopicCollection(topics)).items():
            identity = answer.result().topic_id
            high = identity.get_most_significant_bits() & (1 << 64) - 1
            low = identity.get_least_significant_bits() & (1 << 64) - 1
            self.generations[name] = f"{high:016x}{low:016x}"

    def produce_transactions(self) -> None:
        """Leave offsets without records: 0 to 2 are aborted, 3 and 5 are markers, 4 is a record."""
        producer = Producer(self.kafka("admin") | {"transactional.id": "audit-test"})
        producer.init_transactions(20)
        for count, finish in ((3, producer.abort_transaction), (1, producer.commit_transaction)):
            producer.begin_transaction()
            for _ in range(count):
                producer.produce(
                    REALTIME,
                    value=self.value(*TRANSACTIONAL, 4),
                    key=b"AAPL",
                    partition=TRANSACTIONAL[1],
                    timestamp=MILLIS + 4,
                    headers=[("schema", b"x.v1"), ("run_id", b"r")],
                )
            producer.flush(20)
            finish(20)

    @staticmethod
    def value(topic: str, partition: int, offset: int) -> bytes:
        if (topic, partition, offset) == (BATCH, *REJECT):
            return b"not json \xff"
        return b' {"topic": "%s", "p": %d, "n": %d} ' % (topic.encode(), partition, offset)

    # --- the producers' ledger

    def write_ledger(self) -> None:
        """Write what a producer that was killed in its last line leaves."""
        file = self.settings.state("ledger", "r.jsonl")
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(line) + "\n" for line in self.ledger_lines())
        file.write_text(lines + '{"op":"acked","id":"t')

    def ledger_lines(self) -> list[dict[str, Any]]:
        records = [(*place, offset) for place, count in LAYOUT.items() for offset in range(count)]
        sent = [line for record in [*records, (*TRANSACTIONAL, 4)] for line in self.sent(*record)]
        return [
            {"op": "open", "version": 1, "run_id": "r", "at": "2026-03-02T21:00:00Z"},
            *sent,
            self.intent("failed", QUOTES, b"failed"),
            {"op": "failed", "id": "failed", "reason": "too large"},
            self.intent("timed out", QUOTES, b"timed out"),
            {"op": "unknown", "id": "timed out", "reason": "message timed out"},
            self.intent("killed", QUOTES, b"killed"),
        ]

    def sent(self, topic: str, partition: int, offset: int) -> list[dict[str, Any]]:
        name = ledger_id(topic, partition, offset)
        intent = self.intent(name, topic, self.value(topic, partition, offset))
        if (topic, partition, offset) == UNSURE:
            return [intent, {"op": "unknown", "id": name, "reason": "message timed out"}]
        place = {"topic": topic, "partition": partition, "offset": offset}
        return [intent, {"op": "acked", "id": name, **place}]

    @staticmethod
    def intent(name: str, topic: str, value: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(value).hexdigest()
        return {"op": "intend", "id": name, "topic": topic, "key": "AAPL", "sha256": digest}

    @contextmanager
    def ledger(self, change: Callable[[dict[str, Any]], list[dict[str, Any]]]) -> Iterator[None]:
        """Have other lines in the ledger."""
        file = self.settings.state("ledger", "r.jsonl")
        lines = [other for line in self.ledger_lines() for other in change(line)]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        try:
            yield
        finally:
            self.write_ledger()

    def land(self) -> None:
        for (topic, partition), count in LAYOUT.items():
            for start in range(0, count, OBJECT_RECORDS):
                end = min(count, start + OBJECT_RECORDS)
                self.put(self.object(topic, partition, start, end, range(start, end)))
        self.put(self.object(*TRANSACTIONAL, 0, 6, [4]))

    def object(
        self, topic: str, partition: int, start: int, end: int, offsets: range | list[int]
    ) -> Stored:
        lines = b"".join(self.line(topic, partition, offset) for offset in offsets)
        return self.stored(self.key(topic, partition, start), lines, end, list(offsets))

    def stored(self, key: str, lines: bytes, end: int, offsets: list[int]) -> Stored:
        body = zstandard.ZstdCompressor(level=1).compress(lines)
        metadata = {
            "next": str(end),
            "count": str(len(offsets)),
            "sha256": hashlib.sha256(body).hexdigest(),
            "kind": "data",
        }
        if offsets:
            metadata["min-timestamp"] = str(MILLIS + offsets[0])
            metadata["max-timestamp"] = str(MILLIS + offsets[-1])
        return Stored(key, body, metadata)

    def line(self, topic: str, partition: int, offset: int) -> bytes:
        value = self.value(topic, partition, offset)
        head = (
            b'{"offset":%d,"timestamp":%d,"key":"AAPL","headers":[["schema","x.v1"],["run_id","r"]]'
            % (offset, MILLIS + offset)
        )
        if value.startswith(b"not"):
            return head + b',"value_b64":"bm90IGpzb24g/w=="}\n'
        return head + b',"value":' + value + b"}\n"

    def key(self, topic: str, partition: int, start: int) -> str:
        return f"{topic}/g={self.generations[topic]}/p={partition:05d}/{start:020d}.jsonl.zst"

    def place(self, topic: str, partition: int) -> Partition:
        return Partition(topic, self.generations[topic], partition)

    def compact(self) -> None:
        for name, columns in SCHEMAS.items():
            self.catalog.create_namespace_if_not_exists(name.split(".")[0])
            schema = pa.schema(list(columns.items()))
            table = self.catalog.create_table(name, schema=schema)
            rows = pa.Table.from_pylist(self.lake_rows(name), schema=schema)
            table.append(rows, snapshot_properties={"tapehouse.positions": self.positions()})

    def positions(self, less: int = 0) -> str:
        found: dict[str, Any] = {}
        for (topic, partition), count in LAYOUT.items():
            if topic not in (BATCH, REALTIME):
                continue
            parts = found.setdefault(topic, {}).setdefault(self.generations[topic], {})
            parts[str(partition)] = count - less
        found[REALTIME][self.generations[REALTIME]][str(TRANSACTIONAL[1])] = (
            6 - 2 * less if less > 0 else 6 - less
        )
        return json.dumps(found)

    def lake_rows(self, name: str) -> list[dict[str, Any]]:
        if name.startswith("metrics."):
            return self.metrics(name)
        rows = [
            self.row(name, topic, partition, offset)
            for (topic, partition), count in LAYOUT.items()
            for offset in range(count)
            if self.table_of(topic, partition, offset) == name
        ]
        return [*rows, self.row(name, *TRANSACTIONAL, 4)] if name == "silver.trades" else rows

    @staticmethod
    def table_of(topic: str, partition: int, offset: int) -> str | None:
        if topic == BATCH:
            if (partition, offset) in (REJECT, COPY):
                return "silver.rejects"
            return "silver.corporate_actions" if (partition, offset) == ACTION else "silver.bars"
        if topic == REALTIME:
            return "silver.rejects" if offset == TRADE_REJECT else "silver.trades"
        return None

    def row(self, name: str, topic: str, partition: int, offset: int) -> dict[str, Any]:
        found = {
            **self.transport(topic, partition, offset),
            "event_id": event_id(partition, offset, topic),
            "source": "recorded",
            "symbol": "AAPL",
            "session_date": date(2013, 3, 1),
        }
        if name == "silver.rejects":
            copied = (topic, partition, offset) == (BATCH, *COPY)
            found |= {"reason": "duplicate" if copied else "contract"}
        return found

    def transport(self, topic: str, partition: int, offset: int) -> dict[str, Any]:
        return {
            "topic": topic,
            "generation": self.generations[topic],
            "partition": partition,
            "offset": offset,
            "kafka_timestamp": NOW,
        }

    @staticmethod
    def metrics(name: str) -> list[dict[str, Any]]:
        key = {"symbol": "AAPL", "source": "recorded", "session_date": date(2013, 3, 1)}
        if name.endswith("analytics"):
            return [key | {"window_end_at": NOW, "ma_15m": 1.5, "revision": 1}]
        if name.endswith("trade_bars"):
            bar = key | {"interval": "1m", "segment": "regular", "start_at": NOW, "n_trades": 1}
            return [bar | {"revision": revision} for revision in (1, 2)]
        if name.endswith("anomalies"):
            flag = key | {"rule": "trade_price", "revision": 1, "value": 30.0}
            gone = {"subject": "gone", "revision": 2, "value": None}
            return [flag | {"subject": subject} for subject in ("stands", "gone")] + [flag | gone]
        close = {"daily_close": Decimal("430.47"), "simulated": False, "computed_at": NOW}
        bar = {"bar_event_id": event_id(0, 0)}
        return [key | close | bar | {"revision": revision} for revision in (1, 2)]

    # --- the warehouse file, made anew each time

    def load(self) -> None:
        path = self.settings.warehouse()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with duckdb.connect(path) as connection:
            connection.execute("set timezone = 'UTC'")
            for schema in SCHEMATA:
                connection.execute(f"create schema {schema}")
            connection.execute(
                "create table ops.load_ledger(target varchar, file varchar, rows bigint)"
            )
            connection.execute(
                "create table ops.builds(build_id varchar, status varchar, as_of timestamp,"
                " started_at timestamp)"
            )
            connection.execute(
                "insert into ops.builds values ('1', 'published', '2013-03-01 21:15', ?)", [BUILT]
            )
            for name, target in RAW.items():
                self._load_raw(connection, name, target)
            self._load_quotes(connection)
            self._build(connection)

    def _load_raw(self, connection: duckdb.DuckDBPyConnection, name: str, target: str) -> None:
        rows = pa.Table.from_pylist(
            self.lake_rows(name), schema=pa.schema(list(SCHEMAS[name].items()))
        )
        times = [column for column, kind in SCHEMAS[name].items() if kind == _TIME]
        naive = ", ".join(f"{column}::timestamp as {column}" for column in times)
        change = f"replace ({naive})" if times else ""
        connection.register("rows", rows)
        connection.execute(
            f"create table {target} as select * {change}, 's3://lake/{name}' as file,"
            f" timestamp '{LOADED}' as loaded_at from rows"
        )
        connection.execute(
            f"insert into ops.load_ledger values ('{target}', 's3://lake/{name}', {len(rows)})"
        )

    def _load_quotes(self, connection: duckdb.DuckDBPyConnection) -> None:
        target = "common.bronze_stock_quotes_raw"
        connection.execute(
            f"create table {target}(v variant, topic varchar, generation varchar,"
            " partition integer, file varchar, loaded_at timestamp)"
        )
        for offset in range(LAYOUT[QUOTES, 2]):
            start = offset // OBJECT_RECORDS * OBJECT_RECORDS
            file = self.key(QUOTES, 2, start)
            connection.execute(
                f"insert into {target} select ?::json::variant, ?, ?, 2, ?, timestamp '{LOADED}'",
                [self.line(QUOTES, 2, offset).decode(), QUOTES, self.generations[QUOTES], file],
            )
        connection.execute(
            "insert into ops.load_ledger"
            f" select 'quotes', file, count(*) from {target} group by all"
        )

    def _build(self, connection: duckdb.DuckDBPyConnection) -> None:
        identity = 'topic, generation, "partition", '
        quotes = (
            f"select {identity} cast(v['offset'] as bigint) as \"offset\","
            " 'apple' as instrument_id"
            " from common.bronze_stock_quotes_raw"
        )
        bars = "select *, 'apple' as instrument_id, true as is_current, '1d' as bar_interval"
        queries = split_queries(f"{bars} from common.bars_raw", quotes) | DERIVED
        for relation, query in queries.items():
            connection.execute(f"create table {relation} as {query}")

    def publish(self) -> None:
        folder = self.settings.published()
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "gold-1.duckdb"
        file.unlink(missing_ok=True)
        with duckdb.connect(file) as connection:
            connection.execute(f"attach '{self.settings.warehouse()}' as w (read_only)")
            connection.execute("create schema gold")
            for name in (name for name in DERIVED if name.startswith("gold.")):
                connection.execute(f"create table {name} as from w.{name} order by all desc")
        current = folder / "current"
        current.unlink(missing_ok=True)
        current.symlink_to(file.name)

    @contextmanager
    def published(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(self.settings.published() / "gold-1.duckdb") as connection:
            yield connection

    def commit(self, topic: str, partition: int, offset: int) -> None:
        consumer = Consumer(self.kafka("lander") | {"group.id": "landers"})
        position = [TopicPartition(topic, partition, offset)]
        consumer.commit(offsets=position, asynchronous=False)
        consumer.close()

    # --- the store, bypassing every protocol

    def object_count(self) -> int:
        return len(self.s3.list_objects_v2(Bucket="bronze")["Contents"])

    def put(self, item: Stored) -> None:
        self.s3.put_object(Bucket="bronze", Key=item.key, Body=item.body, Metadata=item.metadata)

    def get(self, key: str) -> Stored:
        answer = self.s3.get_object(Bucket="bronze", Key=key)
        return Stored(key, answer["Body"].read(), answer["Metadata"])

    def erase(self, key: str) -> None:
        """Remove every version and marker of a key, as only root can."""
        found = self.s3.list_object_versions(Bucket="bronze", Prefix=key)
        for item in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]:
            self.s3.delete_object(Bucket="bronze", Key=key, VersionId=item["VersionId"])

    @contextmanager
    def instead(self, key: str, *others: Stored) -> Iterator[None]:
        """Have other objects where this one was, with no trace of a change."""
        original = self.get(key)
        self.erase(key)
        try:
            for other in others:
                self.put(other)
            yield
        finally:
            for other in others:
                self.erase(other.key)
            self.put(original)

    @contextmanager
    def sql(self, statement: str) -> Iterator[None]:
        """Change the warehouse file; a new one is made afterwards."""
        try:
            with duckdb.connect(self.settings.warehouse()) as connection:
                connection.execute(statement)
            yield
        finally:
            self.load()

    @contextmanager
    def lake(self, name: str) -> Iterator[Any]:
        """Change a lake table; its rows are as before afterwards."""
        table = self.catalog.load_table(name)
        before = table.current_snapshot().snapshot_id
        try:
            yield table
        finally:
            table.refresh()
            table.manage_snapshots().set_current_snapshot(snapshot_id=before).commit()

    # --- the audit

    def audit(self, **options: Any) -> Verdict:
        folder = {"ledger": self.settings.state("ledger")}
        return Audit(self.settings, Options(**(folder | options)), lambda _: None).run()


def event_id(partition: int, offset: int, topic: str = BATCH) -> str:
    number = [BATCH, REALTIME, QUOTES, DEAD_LETTERS].index(topic)
    return f"00000000-0000-{number:04d}-{partition:04d}-{offset:012d}"


def ledger_id(topic: str, partition: int, offset: int) -> str:
    """Return the id under which a record was sent; the copy is its neighbour, sent again."""
    if (topic, partition, offset) == (BATCH, *REJECT):
        return f"sha256:{hashlib.sha256(World.value(topic, partition, offset)).hexdigest()}"
    is_copy = (topic, partition, offset) == (BATCH, *COPY)
    return event_id(partition, offset - is_copy, topic)


def split_queries(bars: str, quotes: str) -> dict[str, str]:
    """Return how the relations of dbt divide the raw rows, by name."""
    refused = f'"offset" = {REFUSED}'
    quote = f'select * from ({quotes}) where "offset"'
    return {
        "silver.silver_bars": f"{bars} where not {refused}",
        "quarantine.quarantine_bars": f"{bars} where {refused}",
        "silver.silver_corporate_actions": (
            "select * exclude (ex_date), 'apple' as instrument_id, true as is_current,"
            " session_date as ex_date from common.corporate_actions_raw"
        ),
        "quarantine.quarantine_corporate_actions": (
            "select * from common.corporate_actions_raw where false"
        ),
        "quarantine.quarantine_rejects": (
            "select * from common.rejects_raw where reason <> 'duplicate'"
        ),
        "silver.silver_quotes": f"{quote} < {QUARANTINED}",
        "quarantine.quarantine_quotes": f"{quote} = {QUARANTINED}",
        "verdicts.silver_quotes_deduplicated": f"{quote} = {DEDUPLICATED}",
    }
