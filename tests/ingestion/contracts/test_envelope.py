import json
from typing import Any

import pytest
from hypothesis import given

from ingestion.contracts import envelope
from ingestion.contracts.records import Message
from ingestion.errors import ContractError
from tests.ingestion.contracts.samples import DATA, messages, sample


def body(schema: str = "quote.v1", **changes: Any) -> bytes:
    return json.dumps(sample(schema) | changes).encode()


def with_data(text: str) -> bytes:
    return body(data="DATA").replace(b'"DATA"', text.encode())


@given(messages)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    assert envelope.decode(envelope.encode(message)) == message


@given(messages)
def test_a_message_is_one_line_that_begins_with_its_schema(message: Message) -> None:
    encoded = envelope.encode(message)

    assert b"\n" not in encoded
    assert next(iter(json.loads(encoded))) == "schema"


@pytest.mark.parametrize("schema", DATA)
def test_what_goes_beside_the_value(schema: str) -> None:
    message = envelope.decode(body(schema))

    assert envelope.key_of(message) == b"BRK.B"
    assert dict(envelope.headers_of(message)) == {
        "schema": schema.encode(),
        "source": b"recorded",
        "run_id": b"run-1",
    }


@pytest.mark.parametrize(
    ("schema", "topic"),
    [
        ("quote.v1", "stock-quotes"),
        ("bar.v1", "stock-market-batch"),
        ("corporate_action.v1", "stock-market-batch"),
        ("trade.v1", "stock-market-realtime"),
    ],
)
def test_each_schema_has_its_topic(schema: str, topic: str) -> None:
    assert envelope.topic_of(envelope.decode(body(schema))) == topic


def test_a_trade_without_an_action_is_new() -> None:
    data = {k: v for k, v in DATA["trade.v1"].items() if k not in ("action", "ref")}

    message = envelope.decode(body("trade.v1", data=data))

    assert getattr(message.data, "action", None) == "new"


@pytest.mark.parametrize("colour", ['"red"', "9" * 5000, "1e999", '{"dark":-' + "1" * 5000 + "}"])
def test_a_new_optional_field_is_a_compatible_change_whatever_it_holds(colour: str) -> None:
    known = body("bar.v1")
    assert envelope.decode(known[:-1] + f',"colour":{colour}}}'.encode()) == envelope.decode(known)


@pytest.mark.parametrize(
    "symbol",
    [
        "AAPL\n", "aapl", "", "../../etc", "A" * 21, "=HYPERLINK(1)", "A B", "\u0410", "AAPL\u202e",
        "'; DROP TABLE x;--", "{{ env_var('X') }}", "-X",
    ],
)  # fmt: skip
def test_a_symbol_outside_the_allow_list_is_refused(symbol: str) -> None:
    with pytest.raises(ContractError, match="symbol"):
        envelope.decode(body(symbol=symbol))


@pytest.mark.parametrize("field", ["event_time", "fetched_at", "source", "event_id"])
def test_a_trailing_newline_is_refused_in_every_patterned_field(field: str) -> None:
    with pytest.raises(ContractError, match=field):
        envelope.decode(body(**{field: sample("quote.v1")[field] + "\n"}))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param('{"c":1,"c":2}', id="repeated key"),
        pytest.param('{"a":{"c":1,"c":2}}', id="repeated key inside"),
        pytest.param('{"c":NaN}', id="NaN"),
        pytest.param('{"c":-Infinity}', id="Infinity"),
        pytest.param('{"c":1e999}', id="1e999"),
        pytest.param('{"c":' + "9" * 5000 + "}", id="5,000 digits"),
        pytest.param('{"c":"\\ud800"}', id="lone surrogate"),
        pytest.param('{"\\udfff":1}', id="lone surrogate in a key"),
        pytest.param('{"c":' + "[" * 5000 + "]" * 5000 + "}", id="5,000 deep"),
        pytest.param('{"c":' + "[" * 511 + "]" * 511 + "}", id="513 deep"),
        pytest.param("[]", id="not an object"),
        pytest.param("null", id="null"),
    ],
)
def test_data_that_engines_disagree_on_is_refused(data: str) -> None:
    with pytest.raises(ContractError):
        envelope.decode(with_data(data))


def test_data_as_deep_as_bronze_takes_it_is_accepted() -> None:
    envelope.decode(with_data('{"c":' + "[" * 510 + "]" * 510 + "}"))


@pytest.mark.parametrize(
    "found",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"not json",
        b"\xff\xfe",
        b"\xef\xbb\xbf" + body(),
        body()[:-1],
        body() + body(),
        body().replace(b"quote.v1", b"quote.v9"),
        body().replace(b'"quote.v1"', b"1"),
        body().replace(b"run-1", b"run-\xc3"),
    ],
)
def test_what_is_no_message_is_refused(found: bytes) -> None:
    with pytest.raises(ContractError):
        envelope.decode(found)


@pytest.mark.parametrize("field", ["open", "volume", "adj_close"])
@pytest.mark.parametrize(
    "value", [27.95, "1e3", "NaN", "Infinity", "+1", "01", "1.", ".5", " 1", ""]
)
def test_a_decimal_is_text_without_exponent(field: str, value: object) -> None:
    with pytest.raises(ContractError, match=field):
        envelope.decode(body("bar.v1", data=DATA["bar.v1"] | {field: value}))


def test_a_missing_field_is_named() -> None:
    data = {k: v for k, v in DATA["bar.v1"].items() if k != "as_of"}

    with pytest.raises(ContractError, match="as_of"):
        envelope.decode(body("bar.v1", data=data))
