"""The lake and the edge judge a message alike: hostile examples, fed to both."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from ingestion.contracts import envelope
from ingestion.contracts.topics import BATCH, REALTIME, TOPIC_OF_SCHEMA
from ingestion.errors import ContractError
from spark_jobs.model import MODEL
from spark_jobs.transforms.decode import Judge
from tests.spark_jobs.folder_bronze import value_line
from tests.spark_jobs.messages import OPEN, action, bar, trade

JUDGE = Judge(MODEL)


def dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def without(message: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != name}


def changed(message: dict[str, Any], **data: Any) -> dict[str, Any]:
    return message | {"data": message["data"] | data}


def texts() -> dict[str, bytes]:
    good = dump(trade())
    return {
        "spaces and another order": json.dumps(dict(reversed(list(trade().items())))).encode(),
        "an unknown field": dump(trade() | {"extra": 1}),
        "an unknown data field": dump(changed(trade(), venue="X")),
        "escaped text": good.replace(b'"AAPL"', b'"\\u0041APL"'),
        "a repeated key": good.replace(b'"simulated":true', b'"simulated":true,"simulated":true'),
        "a repeated data key": good.replace(b'"seq":0', b'"seq":0,"seq":1'),
        "a constant": good.replace(b'"seq":0', b'"seq":NaN'),
        "a final newline in a symbol": good.replace(b'"AAPL"', b'"AAPL\\n"'),
        "an integer as float": good.replace(b'"seq":0', b'"seq":0.0'),
        "a float": good.replace(b'"seq":0', b'"seq":0.5'),
        "5,000 digits in an unknown field": good[:-1] + b',"x":' + b"9" * 5000 + b"}",
        "5,000 digits": good.replace(b'"seq":0', b'"seq":' + b"9" * 5000),
        "deep nesting": dump(trade())[:-1] + b',"x":' + b"[" * 600 + b"]" * 600 + b"}",
    }


def documents() -> dict[str, Any]:
    return {
        "a bar": bar(),
        "an action": action(),
        "a trade": trade(),
        "null prices": bar(open=None, high=None, low=None, close=None, volume=None),
        "no action": without(trade(), "x") | {"data": without(trade()["data"], "action")},
        "no event_id": without(bar(), "event_id"),
        "no as_of": bar() | {"data": without(bar()["data"], "as_of")},
        "null symbol": bar() | {"symbol": None},
        "lower-case symbol": bar(symbol="aapl"),
        "path symbol": bar(symbol="../x"),
        "formula symbol": bar(symbol="=1+1"),
        "number price": bar(open=444.05),
        "exponent": bar(open="1e3"),
        "plus sign": bar(open="+1"),
        "leading zero": bar(open="01"),
        "no digits": bar(open="."),
        "full-width digits": bar(open="\uff11"),
        "NaN": bar(open="NaN"),
        "Infinity": bar(open="Infinity"),
        "empty price": bar(open=""),
        "zero": bar(open="0"),
        "negative": bar(open="-1.5"),
        "text simulated": bar() | {"simulated": "false"},
        "number simulated": bar() | {"simulated": 0},
        "offset instead of Z": bar() | {"event_time": "2013-02-28T14:30:00+00:00"},
        "nanoseconds": bar() | {"event_time": "2013-02-28T14:30:00.123456789Z"},
        "date only": bar() | {"event_time": "2013-02-28"},
        "epoch": bar() | {"event_time": 1362061800},
        "short run_id": bar() | {"run_id": ""},
        "long run_id": bar() | {"run_id": "x" * 65},
        "adjustment": bar(adjustment="none"),
        "currency": bar(currency="usd"),
        "interval": bar(interval="1y"),
        "type": action(type="merger"),
        "trade action": trade(action="delete"),
        "ref": trade(ref="x"),
        "conditions text": trade(conditions="1"),
        "conditions numbers": trade(conditions=[1]),
        "conditions null": trade(conditions=None),
        "seq text": trade() | changed(trade(), seq="0"),
        "seq true": changed(trade(), seq=True),
        "upper-case uuid": bar() | {"event_id": bar()["event_id"].upper()},
        "source with space": bar() | {"source": "a b"},
        "no data": without(bar(), "data"),
        "data list": bar() | {"data": []},
        "schema number": bar() | {"schema": 1},
        "schema unknown": bar() | {"schema": "bar.v2"},
        "schema missing": without(bar(), "schema"),
        "a list": [1],
        "null": None,
        "text": "x",
    }


CASES = {**{name: dump(value) for name, value in documents().items()}, **texts()}


def at_the_edge(body: bytes) -> str | None:
    try:
        envelope.decode(body)
    except ContractError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", CASES)
def test_the_lake_accepts_what_the_edge_accepts(name: str) -> None:
    body = CASES[name]
    try:
        schema = json.loads(body, parse_int=str).get("schema")
    except (AttributeError, RecursionError, ValueError):
        schema = None
    topic = TOPIC_OF_SCHEMA.get(schema, BATCH) if isinstance(schema, str) else BATCH

    verdict = JUDGE.value(body, topic)

    assert (verdict.message is not None) == (at_the_edge(body) is None), verdict
    assert (verdict.reason is None) == (verdict.message is not None)


def test_there_are_enough_of_both_kinds() -> None:
    accepted = [name for name, body in CASES.items() if at_the_edge(body) is None]
    assert 8 <= len(accepted) <= len(CASES) - 30


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (dump(bar() | {"schema": "bar.v2"}), "unknown_schema"),
        (dump(without(bar(), "schema")), "unknown_schema"),
        (dump([1]), "not_an_object"),
        (b"null", "not_an_object"),
        (b"{", "invalid_json"),
        (dump(trade()), "wrong_topic"),
        (dump(trade(price=1)), "wrong_topic"),
        (dump(bar(open=1)), "contract"),
    ],
)
def test_each_fault_has_its_reason(body: bytes, reason: str) -> None:
    assert JUDGE.value(body, BATCH).reason == reason


def test_a_trade_fills_its_columns_with_typed_values() -> None:
    line = value_line(7, trade(4, conditions=["1", "12"]), timestamp=1_700_000_000_123)

    assert JUDGE.row(line, REALTIME) == {
        **{"offset": 7, "kafka_timestamp": 1_700_000_000_123_000, "kind": "trades"},
        **{"schema": "trade.v1", "event_id": trade(4)["event_id"], "source": "simulator"},
        **{"simulated": True, "symbol": "AAPL", "run_id": "r1"},
        **{"event_at": micros(OPEN), "fetched_at": micros(OPEN)},
        **{"price": Decimal("440.1"), "size": Decimal(100), "exchange": "Q", "seq": 4},
        **{"conditions": ["1", "12"], "action": "new", "ref": None},
    }


def test_bars_and_actions_fill_their_own_columns() -> None:
    row = JUDGE.row(value_line(0, bar()), BATCH)
    opened = micros(datetime(2013, 2, 28, 14, 30, tzinfo=UTC))
    assert (row["kind"], row["bar_session"], row["start_at"]) == ("bars", date(2013, 2, 28), opened)
    assert (row["volume"], row["adj_close"]) == (11518400, Decimal("437.123456789012345"))
    row = JUDGE.row(value_line(0, action(amount="1")), BATCH)
    assert (row["kind"], row["ex_date"]) == ("corporate_actions", date(2013, 2, 28))
    assert (row["ratio"], row["amount"]) == (Decimal(2), Decimal(1))
    assert (row["type"], row["as_of"]) == ("split", opened)


@pytest.mark.parametrize(
    ("value", "detail"),
    [
        (trade(price="0.0000001"), "does not fit exactly: price"),
        (trade(price="999999999999.999999", size="1000000000000"), "does not fit exactly: size"),
        (trade() | {"data": trade()["data"] | {"seq": 2**63}}, "does not fit exactly: seq"),
        (bar(volume="1.5", open="1" + 20 * "0"), "does not fit exactly: open, volume"),
        (bar(start="2013-02-29T14:30:00Z"), "no such time or date: start"),
        (bar(session_date="2013-13-01", volume="0.5"), "no such time or date: session_date"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_named(value: dict[str, Any], detail: str) -> None:
    topic = TOPIC_OF_SCHEMA[value["schema"]]
    row = JUDGE.row(value_line(0, value), topic)
    assert row["detail"] == detail
    assert row["reason"] == ("contract" if detail.startswith("no such") else "number_range")
    assert row["raw"] == value_line(0, value).decode()
    assert row["kind"] is None


@pytest.mark.parametrize(("text", "number"), [("12.0", 12), ("-0", 0), (str(2**63 - 1), 2**63 - 1)])
def test_a_whole_number_is_one_however_it_is_written(text: str, number: int) -> None:
    assert JUDGE.row(value_line(0, bar(volume=text)), BATCH)["volume"] == number


@pytest.mark.parametrize("milliseconds", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_a_kafka_time_that_no_calendar_has_is_none(milliseconds: int) -> None:
    assert JUDGE.row(value_line(0, bar(), milliseconds), BATCH)["kafka_timestamp"] is None


@pytest.mark.parametrize("offset", [-1, 2**63, 10**40])
def test_an_offset_that_kafka_cannot_have_makes_no_bronze_line(offset: int) -> None:
    lines = [value_line(offset, bar()), value_line(2**63 - 1, bar())]
    found = JUDGE.columns(pa.array(lines), BATCH)
    assert found["offset"].to_pylist() == [None, 2**63 - 1]
    assert found["reason"].to_pylist() == ["invalid_json", None]


def micros(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)
