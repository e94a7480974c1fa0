"""Published gold in a real PostgreSQL: exact, whole, one build at a time."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from psycopg2 import errors
from sqlalchemy import create_engine
from sqlalchemy.engine.url import make_url

from dbt_stocks import books, publishing, serving
from dbt_stocks.books import Outcome
from dbt_stocks.serving import Rules, Served
from infra.superset import bundle
from infra.superset.gold import Gold
from ingestion.errors import BuildError, ServingAwayError, ServingError, SettingsError
from tests import postgres
from tests.dbt_stocks.conftest import Project
from tests.dbt_stocks.published import ROWS, TABLES, fill, publish
from tests.postgres import Cluster

READER = ("grant usage on schema gold, ops to bi",
          "grant select on all tables in schema gold, ops to bi")  # fmt: skip
SOON = Rules(readers_wait_s=0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgres.started() as cluster:
        cluster.role("serving")
        cluster.role("bi")
        yield cluster


@pytest.fixture
def target(cluster: Cluster) -> Iterator["Target"]:
    """An empty database of an ordinary user's."""
    cluster.run("create database served owner serving")
    yield Target(cluster)
    cluster.run("drop database served with (force)")


class Target:
    """The database, as who serves and as who reads."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.url = cluster.url("serving", "served")

    def serve(self, published: Path, rules: Rules | None = None) -> Served:
        return serving.serve(published, self.url, lambda _: None, rules)

    def rows(self, query: str, user: str = "serving") -> list[Any]:
        return self.cluster.rows(query, user, "served")

    def run(self, *statements: str) -> None:
        self.cluster.run(*statements, user="serving", database="served")

    def reader(self) -> Any:
        return self.cluster.connect("bi", "served")

    def build(self) -> list[Any]:
        return [row[0] for row in self.rows("select build_id from ops.builds")]

    def builds_shown(self) -> set[str]:
        each = " union all ".join(f"select build_id from gold.{name}" for name in TABLES)
        return {row[0] for row in self.rows(each)}


@pytest.fixture
def published(tmp_path: Path) -> Path:
    publish(tmp_path / "gold", 1)
    return tmp_path / "gold"


def plain(value: Any) -> Any:
    """Return a value as both engines have it: naive UTC, and a NaN that equals itself."""
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return "nan" if value != value else value


def sorted_rows(rows: list[Any]) -> list[str]:
    return sorted(repr([plain(value) for value in row]) for row in rows)


def same_rows(target: Target, file: Path) -> None:
    with duckdb.connect(file, read_only=True) as db:
        for table in TABLES.values():
            names = ", ".join(f'"{name}"' for name in table.columns)
            query = f"select {names} from gold.{table.name}"
            assert sorted_rows(target.rows(query)) == sorted_rows(db.execute(query).fetchall())


def test_every_value_arrives_as_it_was(target: Target, published: Path) -> None:
    served = target.serve(published)

    assert served == Served("b1", True, None, dict.fromkeys(TABLES, ROWS), served.seconds)
    same_rows(target, published / "current")


def test_types_keys_and_comments_are_the_contract_s(target: Target, published: Path) -> None:
    target.serve(published)

    types: dict[str, dict[str, str]] = {}
    for table, name, type_ in target.rows(
        "select c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_class c "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 "
        "where c.relnamespace = 'gold'::regnamespace and c.relkind = 'r' order by a.attnum"
    ):
        types.setdefault(table, {})[name] = type_
    keys: dict[str, list[str]] = {}
    for table, name in target.rows(
        "select table_name, column_name from information_schema.key_column_usage "
        "where table_schema = 'gold' order by table_name, ordinal_position"
    ):
        keys.setdefault(table, []).append(name)
    assert types == {
        table.name: {c.name: c.type_in("postgres") for c in table.columns.values()}
        for table in TABLES.values()
    }
    assert keys == {table.name: list(table.key) for table in TABLES.values()}
    assert types["gold_candlestick"]["close_price"] == "numeric(18,6)"
    assert types["gold_candlestick"]["bar_start_at"] == "timestamp with time zone"
    assert target.rows(
        "select obj_description('gold.gold_kpi'::regclass), "
        "col_description('gold.gold_kpi'::regclass, (select attnum from pg_attribute "
        "where attrelid = 'gold.gold_kpi'::regclass and attname = 'volume_shares'))"
    ) == [
        (
            TABLES["gold_kpi"].description,
            f"{TABLES['gold_kpi'].columns['volume_shares'].description} Unit: shares.",
        )
    ]


def test_the_books_say_which_build_is_there(target: Target, published: Path) -> None:
    target.serve(published)

    [(build_id, as_of, publication, rows, note)] = target.rows(
        "select build_id, as_of, publication, rows, note from ops.builds"
    )
    assert (build_id, publication, note) == ("b1", 1, "a note")
    assert as_of == datetime(2026, 11, 1, 0, 1, tzinfo=UTC)
    assert rows == dict.fromkeys(TABLES, ROWS)


def test_the_same_build_again_does_nothing(target: Target, published: Path) -> None:
    target.serve(published)
    seen = "select xmin, ctid from gold.gold_kpi union all select xmin, ctid from ops.builds"
    before = target.rows(seen)

    again = target.serve(published)

    assert (again.build_id, again.copied, again.rows["gold_kpi"]) == ("b1", False, ROWS)
    assert target.rows(seen) == before


def test_a_new_build_takes_the_place_of_the_one_before_and_readers_keep_their_rights(
    target: Target, published: Path
) -> None:
    target.serve(published)
    target.run(
        *READER, "create schema bi", "create view bi.last as select symbol from gold.gold_kpi"
    )
    publish(published, 2, rows=5)

    served = target.serve(published)

    assert (served.copied, served.before) == (True, "b1")
    assert target.builds_shown() == {"b2"}
    for table in TABLES:
        assert target.rows(f"select count(*) from gold.{table}", "bi") == [(5,)]
    assert target.rows("select build_id from ops.builds", "bi") == [("b2",)]
    assert target.rows("select count(*) from bi.last") == [(5,)]


def test_what_was_changed_by_hand_is_the_contract_s_again_and_rights_stay(
    target: Target, published: Path
) -> None:
    target.serve(published)
    target.run(
        *READER,
        "alter table gold.gold_kpi drop column change_pct, add column mine int",
        "alter table gold.gold_kpi alter column current_price type double precision",
        "alter table gold.gold_kpi alter column symbol drop not null",
        "alter table gold.gold_kpi drop constraint gold_kpi_pkey",
        "alter table gold.gold_movers drop column rank",  # of the key
        "comment on table gold.gold_kpi is 'mine'",
        "drop table gold.dim_session",
        "create table gold.mine (id int)",
        "create table gold.a_former_mart (id int)",
        "update ops.builds set rows = rows || '{\"a_former_mart\": 1}'",
    )
    publish(published, 2)

    target.serve(published)

    same_rows(target, published / "current")
    test_types = "select count(*) from information_schema.columns where table_schema = 'gold'"
    columns = sum(len(table.columns) for table in TABLES.values())
    assert target.rows(test_types) == [(columns + 1,)], "what is not ours is left alone"
    assert target.rows("select to_regclass('gold.a_former_mart')") == [(None,)]
    assert target.rows("select to_regclass('gold.mine')::text") == [("gold.mine",)]
    assert target.rows("select count(*) from gold.gold_kpi", "bi") == [(ROWS,)]
    with pytest.raises(errors.NotNullViolation):
        target.run("insert into gold.gold_kpi (instrument_id) values ('x')")
    with pytest.raises(errors.UniqueViolation):
        target.run("insert into gold.gold_movers select * from gold.gold_movers")


def test_an_older_build_needs_to_be_asked_for(target: Target, published: Path) -> None:
    publish(published, 2)
    target.serve(published)
    publish(published / "earlier", 1)

    with pytest.raises(ServingError, match=r"^expected a build after b2, .*found b1 .*--older"):
        target.serve(published / "earlier")
    assert target.build() == ["b2"]
    assert target.builds_shown() == {"b2"}

    assert target.serve(published / "earlier", Rules(older=True)).before == "b2"
    assert target.builds_shown() == {"b1"}


def test_a_build_that_was_rolled_back_is_replaced_by_the_one_before(
    target: Target, published: Path
) -> None:
    publish(published, 2)
    target.serve(published)
    publish(published / "earlier", 1)

    target.serve(published / "earlier", Rules(is_withdrawn={"b2"}.__contains__))

    assert target.build() == ["b1"]
    assert target.builds_shown() == {"b1"}


def test_a_transaction_never_sees_two_builds(target: Target, published: Path) -> None:
    """At read committed, where each statement sees what was committed last."""
    target.serve(published)
    target.run(*READER)
    done, found = threading.Event(), list[set[str]]()
    there = ["ops.builds", "gold.dim_session", "gold.gold_kpi", "gold.gold_movers"]

    def read(tables: list[str]) -> None:
        db = target.reader()
        while not done.is_set():
            with db:
                found.append({build for table in tables for build in builds_in(db, table)})
            time.sleep(0.02)
        db.close()

    with ThreadPoolExecutor(3) as pool:
        # Whoever locks in one order and waits would be in the way of readers in the other.
        readers = [pool.submit(read, tables) for tables in (there, there[::-1], there[::-1])]
        try:
            for number in (2, 3):
                publish(published, number)
                target.serve(published)
            while found[-1] != {"b3"}:
                time.sleep(0.01)
        finally:
            done.set()
        for reader in readers:
            reader.result()

    assert [builds for builds in found if len(builds) != 1] == []


def builds_in(db: Any, table: str) -> set[str]:
    cursor = db.cursor()
    cursor.execute(f"select distinct build_id from {table}")
    time.sleep(0.002)
    return {row[0] for row in cursor.fetchall()}


def test_a_snapshot_of_before_keeps_its_build_whatever_it_reads_first(
    target: Target, published: Path
) -> None:
    """At repeatable read, and it has read no table of gold when the copy is committed."""
    target.serve(published)
    target.run(*READER)
    publish(published, 2, rows=3)
    db = target.reader()
    db.set_session("repeatable read")
    cursor = db.cursor()
    cursor.execute("select 1")

    target.serve(published)

    for table in TABLES:
        cursor.execute(f"select count(*), min(build_id), max(build_id) from gold.{table}")
        assert cursor.fetchall() == [(ROWS, "b1", "b1")], table
    db.close()
    assert target.builds_shown() == {"b2"}


def test_a_transaction_that_stays_open_is_named_and_keeps_its_build(
    target: Target, published: Path
) -> None:
    target.serve(published)
    target.run(*READER)
    publish(published, 2)
    db = target.reader()
    cursor = db.cursor()
    cursor.execute("select count(*) from gold.gold_kpi")

    with pytest.raises(ServingAwayError, match=r"without readers within 0 s, .* of bi \(pid"):
        target.serve(published, SOON)
    cursor.execute("select distinct build_id from gold.dim_session")
    assert cursor.fetchall() == [("b1",)]

    db.rollback()
    assert target.serve(published, SOON).copied
    db.close()


def killed(target: Target, published: Path, at: str) -> int:
    """Serve in a process that kills itself when a mart has been copied."""
    code = (
        "import os, sys; from pathlib import Path; from dbt_stocks import serving\n"
        "def say(line):\n"
        "    if line.startswith(sys.argv[2]): os.kill(os.getpid(), 9)\n"
        "serving.serve(Path(sys.argv[1]), os.environ['URL'], say)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(published), at],
        env=os.environ | {"URL": target.url},
        check=False,
    ).returncode


@pytest.mark.parametrize("mart", ["daily_stock_metrics", "realtime_stock_analytics"])
def test_a_killed_copy_leaves_nothing(target: Target, published: Path, mart: str) -> None:
    assert killed(target, published, mart) == -signal.SIGKILL
    assert target.rows("select to_regnamespace('gold')") == [(None,)]

    target.serve(published)
    publish(published, 2)
    assert killed(target, published, mart) == -signal.SIGKILL

    assert target.build() == ["b1"]
    assert target.builds_shown() == {"b1"}
    assert target.serve(published).before == "b1"
    same_rows(target, published / "current")


def broken(monkeypatch: pytest.MonkeyPatch, read: Callable[[Any, int], bytes]) -> None:
    """Let something happen whenever a part of the copy is read."""
    whole = serving._Csv.read

    def other(self: Any, size: int = -1) -> bytes:
        read(self, size)
        return whole(self, size)

    monkeypatch.setattr(serving._Csv, "read", other)


def test_a_session_that_the_server_ends_leaves_the_build_before(
    target: Target, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.serve(published)
    publish(published, 2)

    def end(_: Any, __: int) -> bytes:
        target.cluster.run(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where application_name = 'tapehouse serving'"
        )
        return b""

    broken(monkeypatch, end)
    with pytest.raises(ServingAwayError, match=r"^PostgreSQL: "):
        target.serve(published)

    assert target.build() == ["b1"]
    assert target.builds_shown() == {"b1"}


def test_rows_that_get_lost_on_the_way_are_missed(
    target: Target, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.serve(published)
    publish(published, 2)

    with monkeypatch.context() as patch:
        patch.setattr(serving._Csv, "read", lambda *_: b"")
        with pytest.raises(ServingError, match=f"expected {ROWS} rows, found 0"):
            target.serve(published)

    assert target.build() == ["b1"]
    assert target.builds_shown() == {"b1"}


def test_a_build_of_other_columns_is_not_served(target: Target, published: Path) -> None:
    kpi = TABLES["gold_kpi"]
    renamed = {
        "last_price" if name == "current_price" else name: replace(column, name="last_price")
        if name == "current_price"
        else column
        for name, column in kpi.columns.items()
    }
    others = [table for table in TABLES.values() if table is not kpi]
    publish(published, 2, [*others, replace(kpi, columns=renamed)])

    with pytest.raises(BuildError, match=r"found 2 that differ, first gold_kpi\.current_price"):
        target.serve(published)


def test_two_at_once_are_one(target: Target, published: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        served = list(pool.map(lambda _: target.serve(published), range(3)))

    assert sorted(one.copied for one in served) == [False, False, True]


def test_who_may_make_no_schema_serves_into_those_that_were_made(
    cluster: Cluster, published: Path
) -> None:
    cluster.run("create database served")
    try:
        cluster.run(
            "create schema gold authorization serving", "create schema ops authorization serving",
            database="served",
        )  # fmt: skip
        assert Target(cluster).serve(published).copied
    finally:
        cluster.run("drop database served with (force)")


def test_no_error_has_the_password(target: Target, published: Path) -> None:
    host = f"127.0.0.1:{target.cluster.port}"
    faults: list[tuple[str, type[Exception], str]] = [
        (f"postgresql://serving:wr0ng@{host}/served", ServingError, "authentication failed"),
        ("postgresql://serving:wr0ng@127.0.0.1:1/served", ServingAwayError, "refused"),
        (f"postgresql://serving:not@wr0ng@{host}/served", SettingsError, "%40"),
        (f"postgresql+psycopg2://serving:wr0ng@{host}/served", SettingsError, "expected postgres"),
        ("wr0ng", SettingsError, "expected postgresql://"),
    ]
    for url, kind, text in faults:
        with pytest.raises(kind, match=text) as found:
            serving.serve(published, url, lambda _: None)
        assert "wr0ng" not in str(found.value)
        assert type(found.value) is kind


def command(published: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dbt_stocks", "publish", "--to", "postgres", *words],
        env=os.environ | {"WAREHOUSE_GOLD_DIR": str(published)} | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_says_what_is_there_and_no_secret(target: Target, published: Path) -> None:
    found = command(published, SERVING_POSTGRES_URL=target.url)

    assert found.returncode == 0, found.stderr
    marts = f"{len(TABLES)} marts, "
    assert found.stdout.startswith(f"PostgreSQL has build b1 (copied, nothing before): {marts}")
    assert target.cluster.password not in found.stdout + found.stderr
    again = command(published, SERVING_POSTGRES_URL=target.url)
    assert again.stdout.startswith(f"PostgreSQL has build b1 (was there): {marts}")


def test_without_a_database_the_command_says_what_it_needs(published: Path) -> None:
    found = command(published, SERVING_POSTGRES_URL="")

    assert found.returncode == 1
    assert found.stderr.startswith("error: SERVING_POSTGRES_URL is not set: expected postgresql://")
    assert command(published, "--accept", "gold_kpi").returncode == 2


def publish_in_the_warehouse(project: Project, number: int) -> None:
    with publishing.open_gold(project.raw.path, project.gold) as gold:
        for table in TABLES.values():
            fill(gold.db, "gold_candidate", replace(table, kind="table"), "adhoc")
        moment = datetime(2026, 11, 1, 0, number, tzinfo=UTC)
        books.begin(gold.db, f"b{number}", moment)
        gold.publish(f"b{number}", Outcome(moment))


@pytest.mark.long
def test_a_rollback_of_the_warehouse_is_followed_and_nothing_else_goes_back(
    target: Target, gold_only: Project
) -> None:
    for number in (1, 2):
        publish_in_the_warehouse(gold_only, number)
    serve = ("publish", "--to", "postgres")
    (gold_only.state / "env").write_text(
        f"TAPEHOUSE_STATE_DIR={gold_only.state}\nSERVING_POSTGRES_URL={target.url}\n"
    )
    assert gold_only.dbt_stocks(*serve).returncode == 0
    assert target.builds_shown() == {"b2"}

    assert gold_only.dbt_stocks("rollback").returncode == 0
    found = gold_only.dbt_stocks(*serve)

    assert found.returncode == 0, found.stderr
    assert "build b2 was withdrawn: going back to b1" in found.stderr
    assert target.builds_shown() == {"b1"}


def rows_in_superset(target: Target, query: str) -> list[Any]:
    """Return a query's rows by the connection that Superset is given."""
    gold = Gold(Path(), target.url.replace("postgresql:", "postgresql+psycopg2:"))
    address, options = gold.connection(make_url(gold.placeholder()), {})
    engine = create_engine(address, **options)
    try:
        with engine.connect() as db:
            return [tuple(row) for row in db.exec_driver_sql(query)]
    finally:
        engine.dispose()


def test_superset_s_datasets_say_of_it_what_they_say_of_the_file(
    target: Target, published: Path
) -> None:
    """By a server that is nine hours from UTC, of sessions that have closed four hours ago."""
    with duckdb.connect(published / "current") as db:
        db.execute(
            "update gold.gold_freshness set status = 'late', simulated = false,"
            " checked_at = now() at time zone 'UTC' - interval 1 day"
        )
        db.execute(
            "update gold.dim_session set close_at = now() at time zone 'UTC' - interval 4 hour,"
            " open_at = now() at time zone 'UTC' - interval 10 hour"
        )
    target.serve(published)
    datasets = {
        path.rpartition("/")[2]: one["sql"]
        for path, one in bundle.read().items()
        if path.startswith("datasets/")
    }
    assert len(datasets) == 12

    with duckdb.connect(published / "current", read_only=True) as db:
        for name, query in datasets.items():
            expected = sorted_rows(db.execute(query).fetchall())
            assert sorted_rows(rows_in_superset(target, query)) == expected, name
    since = "sessions_since, open_s_since"
    counted = f"select distinct {since} from ({datasets['freshness.yaml']}) as feeds"
    assert rows_in_superset(target, counted) == [(ROWS, ROWS * 6 * 3600)]


def test_what_dbt_has_made_arrives_as_it_was(target: Target, two_batches: Project) -> None:
    found = command(two_batches.gold, SERVING_POSTGRES_URL=target.url)

    assert found.returncode == 0, found.stderr
    assert target.build() == ["second"]
    same_rows(target, two_batches.gold / "current")
