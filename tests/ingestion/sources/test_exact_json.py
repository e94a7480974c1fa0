"""Numbers come out as they were sent; what readers would disagree about does not come out."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contracts.identity import data_hash
from ingestion.errors import ContractError
from ingestion.sources import exact_json

NUMBERS = [
    "261.74", "261.740", "0.1000000000000000055", "123456789012345678.125", "1E2", "1e+2", "-0",
    "-0.0", "1e-7", "1e22", "5e-324", "9007199254740991", "0", "100.0", "0." + "1" * 400,
]  # fmt: skip


def fields(text: str) -> dict[str, Any]:
    return exact_json.flat(exact_json.parse(b'{"c":%s}' % text.encode()))


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_is_written_digit_for_digit_as_it_was_sent(text: str) -> None:
    written = msgspec.json.encode(exact_json.verbatim(fields(text)))

    assert written == b'{"c":%s}' % text.encode()


@given(st.decimals(allow_nan=False, allow_infinity=False).map(str), st.floats(allow_nan=False,
       allow_infinity=False).map(repr))  # fmt: skip
def test_any_number_survives(decimal: str, number: str) -> None:
    for text in (decimal.replace("E+", "e+"), number):
        written = msgspec.json.encode(exact_json.verbatim(fields(text)))
        assert written == b'{"c":%s}' % text.encode()


def test_a_usual_number_is_a_plain_one() -> None:
    assert exact_json.verbatim(fields("261.74")) == {"c": 261.74}
    assert exact_json.verbatim(fields("1582641000")) == {"c": 1582641000}


@pytest.mark.parametrize("text", ["261.740", "26174e-2", "261.74000000000000001"])
def test_the_same_double_has_the_same_identity(text: str) -> None:
    assert data_hash(exact_json.canonical(fields(text))) == data_hash({"c": 261.74})


@pytest.mark.parametrize("text", ["1e400", "-1e400", "9007199254740992", "9" * 5_000])
def test_a_number_without_a_canonical_form_is_refused(text: str) -> None:
    with pytest.raises(ContractError):
        exact_json.canonical(fields(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("280.235", "280.235"), ("280.50", "280.50"), ("0.011467", "0.011467"), ("2.5e2", "250"),
        ("1e-7", "0.0000001"), ("0", "0"), ("0e999999999", "0"), ("-1.5", "-1.5"),
        ("0.1000000000000000055", "0.1000000000000000055"),
    ],
)  # fmt: skip
def test_a_price_is_its_own_text_without_an_exponent(text: str, expected: str) -> None:
    assert exact_json.decimal_text(fields(text)["c"]) == expected
    assert Decimal(expected) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["1e999999999", "1e-999999999", "1e99999999999999999999", '"5"', "null", "true", "[]"]
)
def test_what_is_no_decimal_is_refused_and_does_not_fill_the_memory(text: str) -> None:
    value = exact_json.parse(b'{"c":%s}' % text.encode())["c"]
    with pytest.raises(ContractError):
        exact_json.decimal_text(value)


@pytest.mark.parametrize("text", ["1.0", "1e3", "9007199254740992", "9" * 5_000, '"1"', "true"])
def test_only_a_whole_number_is_whole(text: str) -> None:
    with pytest.raises(ContractError):
        exact_json.whole(exact_json.parse(text.encode()))
    assert exact_json.whole(exact_json.parse(b"-17")) == -17


@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"{}{}", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 100_000, b'{"a":0200}', b'{"a":"\n"}',
        '{"a":1}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_document_is_refused(body: bytes) -> None:
    with pytest.raises(ContractError):
        exact_json.parse(body)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b'{"a":1,"b":2,"a":1}', "repeats 'a'"), (b'{"a":{"b":1,"b":2}}', "'a'"),
        (b'{"a":[1]}', "'a'"), (b"[]", "an object"), (rb'{"a":"\ud800"}', "surrogate"),
        (rb'{"\udfff":1}', "surrogate"),
    ],
)  # fmt: skip
def test_a_record_has_single_values_and_each_key_once(body: bytes, named: str) -> None:
    with pytest.raises(ContractError, match=named):
        exact_json.flat(exact_json.parse(body))


def test_other_values_are_what_any_reader_finds() -> None:
    body = rb'{"a":null,"b":true,"c":"\u00e9 \ud83d\ude80","d":"1.50"}'
    assert exact_json.verbatim(exact_json.flat(exact_json.parse(body))) == json.loads(body)
