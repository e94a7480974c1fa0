"""The lake and the edge judge a message alike: hostile examples, fed to both."""

import json
from typing import Any

import pytest

from ingestion.contracts import envelope
from ingestion.contracts.topics import BATCH, REALTIME, TOPIC_OF_SCHEMA
from ingestion.errors import ContractError
from spark_jobs.transforms import decode
from tests.spark_jobs.folder_bronze import value_line
from tests.spark_jobs.messages import action, bar, trade


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
        schema = json.loads(body).get("schema")
    except (AttributeError, RecursionError, ValueError):
        schema = None
    topic = TOPIC_OF_SCHEMA.get(schema, BATCH) if isinstance(schema, str) else BATCH

    verdict = decode.value(body, topic)

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
    assert decode.value(body, BATCH).reason == reason


def test_a_row_has_every_column_in_its_place() -> None:
    path = f"file:/b/{REALTIME}/g=ab/p=00003/{0:020d}.jsonl.zst"
    line = value_line(7, trade(4, conditions=["1", "12"]), key="AAPL")

    found = dict(zip(decode.COLUMNS, decode.row(line, path), strict=True))

    expected = {"topic": REALTIME, "generation": "ab", "partition": 3, "offset": 7, "seq": "4"}
    assert expected.items() <= found.items()
    assert found["conditions"] == ["1", "12"]
    assert found["raw"] == line.decode()
    assert found["open"] is None
    assert found["ref"] is None
    assert found["action"] == "new"


def test_bars_and_actions_fill_their_own_columns() -> None:
    path = f"/b/{BATCH}/g=ab/p=00000/0.jsonl.zst"
    rows = [decode.row(value_line(0, value), path) for value in (bar(), action(amount="1"))]
    first, second = (dict(zip(decode.COLUMNS, row, strict=True)) for row in rows)
    data = bar()["data"]
    for name in ("open", "high", "low", "close", "volume", "adj_close", "adjustment", "as_of"):
        assert first[name] == data[name]
    assert first["bar_session"] == "2013-02-28"
    assert (first["ratio"], first["price"]) == (None, None)
    data = action(amount="1")["data"]
    for name in ("type", "ex_date", "ratio", "amount", "currency", "as_of"):
        assert second[name] == data[name]
    assert (second["open"], second["price"]) == (None, None)
