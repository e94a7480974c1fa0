"""Lists into an emulated Snowflake, over the real connector, by both kinds of stage."""

import base64
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ingestion.errors import LoadError, SnowflakeError
from ingestion.load.lines import MAX_DEPTH
from ingestion.load.model import Added, Listed, Loaded
from ingestion.load.snowflake_session import Session
from tests.ingestion.load.account import BARS, LEDGER, QUOTES, REJECTS, Account, Buckets, Stage
from tests.ingestion.load.lake import bars
from tests.ingestion.load.objects import GENERATION, key, line

STAGES: tuple[Stage, ...] = ("internal", "external")
both_stages = pytest.mark.parametrize("stage", STAGES)


@both_stages
def test_lines_become_variant_rows_with_their_place(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    listed = buckets.put(7, [line(7, {"data": {"c": 1.5}}), line(8)], partition=3)

    with account.open(buckets.source(stage)) as warehouse:
        assert warehouse.load_lines(QUOTES, [listed]) == Loaded(1, 2, 0)
        folder = key(7, 3).rpartition("/")[0] + "/"
        assert warehouse.last_keys(QUOTES) == {folder: key(7, 3)}

    rows = account.query(
        "select v['offset']::bigint, v['value']['data']['c']::double, topic, generation, "
        f'"PARTITION", file, batch_id, loaded_at from {QUOTES} order by 1'
    )
    at = datetime(2026, 11, 20, 21, 30, 0, 123456)  # noqa: DTZ001 - as the warehouse has it
    assert rows[0] == (7, 1.5, "stock-quotes", GENERATION, 3, key(7, 3), 1, at)
    assert rows[1][0] == 8
    ledger = account.query(f"select target, file, row_count, bytes, batch_id from {LEDGER}")
    assert ledger == [(QUOTES, key(7, 3), 2, listed.size, 1)]
    assert account.query("list @common.incoming") == []


MEANT: dict[str, Any] = {
    "numbers": {"c": 1e-7, "i": 9007199254740993, "n": -0.0, "big": 123456789012345678},
    "texts": {
        "quote": '"',
        "backslash": "\\",
        "tab": "\t",
        "cr": "\r\n",
        "ls": "\u2028",
        "": "é😀",
    },
    "nothing": {"null": None, "object": {}, "list": [], "false": False},
    "nested": [[[{"a": [1, [2, {"b": None}]]}]]],
    "sql": "'; drop table x; --",
}


@both_stages
def test_a_message_is_kept_equal_in_meaning(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    lines = [line(n, value) for n, value in enumerate(MEANT.values())]
    raw = [text.decode() for text in lines]
    raw.append(json.dumps({"offset": 9, "value": "é\u2028"}, ensure_ascii=False))

    with account.open(buckets.source(stage)) as warehouse:
        warehouse.load_lines(QUOTES, [buckets.put(0, [text.encode() for text in raw])])

    found = account.query(f"select to_json(v) from {QUOTES} order by v['offset']::bigint")
    assert [json.loads(text) for (text,) in found] == [json.loads(text) for text in raw]


HOSTILE = {
    "lone surrogate": rb'{"offset":1,"value":{"a":"\ud800"}}',
    "not json": b'{"offset":1,"value":',
    "not utf-8": b'{"offset":1,"value":"\xff\xfe"}',
    "too deep": b'{"offset":1,"value":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    "two documents": b'{"offset":1}{"offset":2}',
    "null": b"null",
    "empty": b"",
}


@pytest.mark.parametrize(
    ("stage", "name"),
    # How deep Snowflake goes where it reads an object itself is its own affair.
    [
        (stage, name)
        for stage in STAGES
        for name in HOSTILE
        if (stage, name) != ("external", "too deep")
    ],
)
def test_a_line_that_is_refused_does_not_take_its_file_along(
    account: Account, buckets: Buckets, stage: Stage, name: str
) -> None:
    hostile = HOSTILE[name]
    files = [buckets.put(0, [line(0), hostile, line(2)]), buckets.put(3, [line(3)])]

    with account.open(buckets.source(stage)) as warehouse:
        assert warehouse.load_lines(QUOTES, files) == Loaded(2, 3, 1)

    number, reason, raw, encoding, offset, file = account.query(
        f'select line_number, reason, raw, raw_encoding, "OFFSET", file from {REJECTS}'
    )[0]
    kept = base64.b64decode(raw) if encoding == "base64" else raw.encode()
    assert kept == hostile
    assert (number, file) == (2, key(0)) and reason
    assert offset == (1 if hostile.startswith(b'{"offset":1') else None)
    assert account.query(f"select count(*) from {QUOTES}") == [(3,)]
    assert account.query("list @common.incoming") == []


@both_stages
def test_a_gap_s_object_without_lines_is_entered(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    with account.open(buckets.source(stage)) as warehouse:
        assert warehouse.load_lines(QUOTES, [buckets.put(0, [])]) == Loaded(1, 0, 0)

        assert warehouse.ledger(QUOTES).files == {key(0)}


@both_stages
def test_rows_of_the_lake_come_with_their_types(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    files = [
        buckets.add("bars/a.parquet", bars("AAPL", "IBM"), snapshot=11),
        buckets.add("bars/session=2013-03-01/a.parquet", bars("GOOG").drop_columns("currency"), 12),
    ]

    with account.open(buckets.source(stage)) as warehouse:
        assert warehouse.load_rows(BARS, files, 12) == Loaded(2, 3, 0)
        assert warehouse.ledger(BARS).snapshots == {11, 12}

    rows = account.query(
        f'select symbol, open, volume, session_date, event_at, "OFFSET", simulated, close, file, '
        f"snapshot_id, batch_id from {BARS} order by symbol"
    )
    price, day = Decimal("34.099998474121094000"), date(2013, 3, 1)
    at = datetime(2013, 3, 1, 14, 30)  # noqa: DTZ001 - as the warehouse has it
    assert rows[0] == ("AAPL", price, 7, day, at, 3, False, None, files[0].file, 11, 1)
    assert [(row[0], *row[8:]) for row in rows] == [
        ("AAPL", files[0].file, 11, 1),
        ("GOOG", files[1].file, 12, 1),
        ("IBM", files[0].file, 11, 1),
    ]
    assert account.query("list @common.incoming") == []


def test_a_snapshot_without_files_is_remembered(account: Account, buckets: Buckets) -> None:
    with account.open(buckets.source("internal")) as warehouse:
        assert warehouse.load_rows(BARS, [], 42) == Loaded(0, 0, 0)

        assert warehouse.ledger(BARS).snapshots == {42}


def test_the_files_that_a_first_load_begins_with_name_no_snapshot(
    account: Account, buckets: Buckets
) -> None:
    added = buckets.add("bars/a.parquet", bars("AAPL"))
    base = Added(added.file, 5, added.size, added.records, is_base=True)

    with account.open(buckets.source("internal")) as warehouse:
        warehouse.load_rows(BARS, [base], None)
        assert warehouse.ledger(BARS).snapshots == frozenset()
        warehouse.load_rows(BARS, [], 5)

        assert warehouse.ledger(BARS).snapshots == {5}
    assert account.query(f"select snapshot_id from {BARS}") == [(5,)]


@both_stages
def test_a_list_that_is_loaded_again_changes_nothing(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    quotes = [buckets.put(n, [line(n)]) for n in range(3)]
    rows = [buckets.add("bars/a.parquet", bars("AAPL"))]
    with account.open(buckets.source(stage)) as warehouse:
        warehouse.load_lines(QUOTES, quotes[:2])
        warehouse.load_rows(BARS, rows, 1)
        before = account.contents()

        assert warehouse.load_lines(QUOTES, quotes[:2]) == Loaded()
        assert warehouse.load_rows(BARS, rows, 1) == Loaded()
        assert account.contents() == before
        assert warehouse.load_lines(QUOTES, quotes) == Loaded(1, 1, 0)

    assert account.query(f"select file, batch_id from {QUOTES} order by 1") == [
        (key(0), 1),
        (key(1), 1),
        (key(2), 3),
    ]


@both_stages
def test_a_file_that_has_changed_since_it_was_loaded_is_refused(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    with account.open(buckets.source(stage)) as warehouse:
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])
        before = account.contents()
        other = buckets.put(0, [line(0, {"a": "another value"})])

        with pytest.raises(LoadError, match=r"bytes as when it was loaded, found \d+: modified"):
            warehouse.load_lines(QUOTES, [other])

    assert account.contents() == before


@both_stages
def test_an_object_that_is_not_what_was_listed_is_refused(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    listed = buckets.put(0, [line(0)])

    with (
        account.open(buckets.source(stage)) as warehouse,
        pytest.raises(LoadError, match="bytes as listed, found"),
    ):
        warehouse.load_lines(QUOTES, [Listed(listed.file, listed.size + 1)])

    assert account.query(f"select count(*) from {QUOTES}") == [(0,)]


def test_bytes_that_contradict_their_checksum_are_not_sent(
    account: Account, buckets: Buckets
) -> None:
    listed = buckets.put(0, [line(0)])
    metadata, body = buckets.objects[listed.file]
    buckets.objects[listed.file] = metadata | {"sha256": "0" * 64}, body

    with (
        account.open(buckets.source("internal")) as warehouse,
        pytest.raises(LoadError, match="expected sha256 0000"),
    ):
        warehouse.load_lines(QUOTES, [listed])

    assert account.query(f"select count(*) from {QUOTES}") == [(0,)]


@both_stages
def test_a_data_file_of_another_size_than_the_lake_says_is_refused(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    added = buckets.add("bars/a.parquet", bars("AAPL"))

    with (
        account.open(buckets.source(stage)) as warehouse,
        pytest.raises(LoadError, match="bytes as in the lake's metadata, found"),
    ):
        warehouse.load_rows(BARS, [Added(added.file, 1, added.size - 1, 1)], 1)

    assert account.query(f"select count(*) from {LEDGER}") == [(0,)]


@both_stages
def test_a_count_that_is_not_the_maker_s_keeps_the_whole_list_out(
    account: Account, buckets: Buckets, stage: Stage
) -> None:
    good = buckets.add("bars/a.parquet", bars("AAPL"))
    short = buckets.add("bars/b.parquet", bars("IBM"))
    claimed = Added(short.file, short.snapshot_id, short.size, 2)

    with account.open(buckets.source(stage)) as warehouse:
        with pytest.raises(LoadError, match=r"b\.parquet: expected 2 rows, found 1"):
            warehouse.load_rows(BARS, [good, claimed], 1)
        assert account.query(f"select count(*) from {BARS}") == [(0,)]

        assert warehouse.load_rows(BARS, [good, short], 1) == Loaded(2, 2, 0)


def test_a_line_that_is_missing_from_an_object_is_seen(account: Account, buckets: Buckets) -> None:
    listed = buckets.put(0, [line(0), line(1)])
    metadata, body = buckets.objects[listed.file]
    buckets.objects[listed.file] = metadata | {"count": "3"}, body

    with (
        account.open(buckets.source("external")) as warehouse,
        pytest.raises(LoadError, match="expected 3 lines, found 2"),
    ):
        warehouse.load_lines(QUOTES, [listed])


def test_a_column_that_the_table_lacks_is_named_and_not_passed_over(
    account: Account, buckets: Buckets
) -> None:
    rows = bars("AAPL").append_column("n_trades", pa.array([7]))

    with (
        account.open(buckets.source("external")) as warehouse,
        pytest.raises(LoadError, match=r"n_trades: `python -m ingestion snowflake bootstrap`"),
    ):
        warehouse.load_rows(BARS, [buckets.add("bars/a.parquet", rows)], 1)


def test_a_decimal_that_would_be_rounded_is_refused(account: Account, buckets: Buckets) -> None:
    finer = pa.table({"symbol": ["A"], "open": [Decimal("1.0000000000000000001")]})

    with (
        account.open(buckets.source("internal")) as warehouse,
        pytest.raises(LoadError, match=r"expected open as decimal\(38, 18\), found decimal128"),
    ):
        warehouse.load_rows(BARS, [buckets.add("bars/a.parquet", finer)], 1)


def test_a_column_of_another_type_is_refused(account: Account, buckets: Buckets) -> None:
    """Snowflake would round a double to whatever the number has decimals for."""
    rounded = pa.table({"symbol": ["A"], "volume": [7.5]})

    with (
        account.open(buckets.source("internal")) as warehouse,
        pytest.raises(LoadError, match=r"expected volume as NUMBER, found double in the lake"),
    ):
        warehouse.load_rows(BARS, [buckets.add("bars/a.parquet", rounded)], 1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("event_at = dateadd(hour, -5, event_at)", "event_at from 2013-03-01 14:30:00 .* 09:30:00"),
        ("open = open + 0.000000000000000001", "open from 34.099998474121094000 to"),
    ],
)
def test_values_that_copy_has_changed_are_seen_before_anything_is_written(
    account: Account, buckets: Buckets, monkeypatch: pytest.MonkeyPatch, change: str, told: str
) -> None:
    execute = Session.execute

    def executing(session: Session, statement: str) -> Any:
        if statement.startswith("select min("):
            execute(session, f"update common.loading_rows set {change}")
        return execute(session, statement)

    monkeypatch.setattr(Session, "execute", executing)
    with (
        account.open(buckets.source("external")) as warehouse,
        pytest.raises(LoadError, match=f"{BARS}: expected {told}"),
    ):
        warehouse.load_rows(BARS, [buckets.add("bars/a.parquet", bars("AAPL"))], 1)

    assert account.query(f"select count(*) from {BARS}") == [(0,)]


def test_a_table_that_is_missing_names_the_bootstrap(
    changed_account: Account, buckets: Buckets
) -> None:
    changed_account.query(f"drop table {QUOTES}")

    with (
        changed_account.open(buckets.source("internal")) as warehouse,
        pytest.raises(SnowflakeError, match="`python -m ingestion snowflake bootstrap`") as caught,
    ):
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])

    assert "\n" not in str(caught.value)


def test_batches_go_on_after_rows_that_have_no_ledger_entry(
    account: Account, buckets: Buckets
) -> None:
    """What dbt has read of them is behind it: later rows must have a later batch."""
    account.query(
        f'insert into {QUOTES} (v, topic, generation, "PARTITION", file, loaded_at, batch_id) '
        "select parse_json('{}'), 't', 'g', 0, 'elsewhere', '2026-01-01', 6"
    )

    with account.open(buckets.source("internal")) as warehouse:
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])

    assert account.query(f"select file, batch_id from {LEDGER}") == [(key(0), 7)]


def test_a_list_that_another_load_has_taken_is_left_to_it(
    account: Account, buckets: Buckets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between this load's look into the ledger and its own entry, the other one's is committed."""
    listed = buckets.put(0, [line(0)])
    execute = Session.execute

    def with_another_first(self: Session, statement: str) -> list[tuple[Any, ...]]:
        if statement.startswith("merge"):
            account.query(
                f"insert into {LEDGER} (target, file, row_count, bytes, batch_id, loaded_at) "
                f"select '{QUOTES}', '{listed.file}', 1, {listed.size}, 1, '2026-01-01'"
            )
        return execute(self, statement)

    monkeypatch.setattr(Session, "execute", with_another_first)
    with (
        account.open(buckets.source("internal")) as warehouse,
        pytest.raises(LoadError, match="another load has taken them"),
    ):
        warehouse.load_lines(QUOTES, [listed])


def test_nothing_that_was_sent_stays_on_this_machine(
    account: Account, buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with account.open(buckets.source("internal")) as warehouse:
        warehouse.load_lines(QUOTES, [buckets.put(0, [line(0)])])

    assert list(tmp_path.iterdir()) == []
