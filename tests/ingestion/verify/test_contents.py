"""What is called equal: in meaning, to the last digit, and as often."""

import math
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.verify import contents
from ingestion.verify.contents import Digest, Samples

PLACE = ("stock-quotes", "a", 3)


def line(raw: str | bytes) -> str:
    return contents.line(raw, *PLACE)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"a":1,"b":[2,null]}', '{ "b" : [2, null], "a": 1.0 }'),
        ('{"c":261.740}', '{"c":261.74}'),
        ('{"c":1e-7}', '{"c":1.000000000000000e-07}'),
        ('{"c":0.1234567890123456e-4}', '{"c":1.234567890123456e-05}'),
        ('{"c":-0.0}', '{"c":0}'),
        ('{"c":1e2}', '{"c":100}'),
        ('{"t":"\\u00e9\\/"}', '{"t":"é/"}'),
    ],
)
def test_texts_that_mean_the_same_are_equal(one: str, other: str) -> None:
    assert line(one) == line(other.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"c":1}', '{"c":"1"}'),
        ('{"c":true}', '{"c":1}'),
        ('{"c":null}', "{}"),
        ('{"c":[1,2]}', '{"c":[2,1]}'),
        ('{"c":261.74}', '{"c":261.740000000000000000001}'),
        ('{"c":9007199254740993}', '{"c":9007199254740992}'),
        ('{"c":1e-7}', '{"c":1.00000000000001e-7}'),
        ('{"t":"a"}', '{"t":"a "}'),
        ("no json", "no  json"),
        ("NaN", "Infinity"),
        (b"\xff", b"\xfe"),
        ('"\\ud800"', '"\\ud801"'),
        ("[" * 100_000, "[" * 100_001),
    ],
)
def test_texts_that_mean_something_else_differ(one: str | bytes, other: str | bytes) -> None:
    assert line(one) == line(one) != line(other)


def test_a_line_s_place_is_a_part_of_it() -> None:
    places = [PLACE, ("stock-quotes", "a", 4), ("stock-quotes", "b", 3), ("t", "a", 3)]

    assert len({contents.line("{}", *place) for place in places}) == 4


EQUAL: list[tuple[Any, Any]] = [
    (5, Decimal("5.000000")),
    (19_730_300, Decimal("19730300")),
    (Decimal("34.099998474121094000"), Decimal("34.099998474121094")),
    (0.0, -0.0),
    (math.nan, math.nan),
]
DIFFERENT: list[tuple[Any, Any]] = [
    (0.1 + 0.2, 0.3),
    (1, True),
    (0, None),
    ("", None),
    (Decimal("12345678901234567890.123456789012345678"),
     Decimal("12345678901234567890.123456789012345679")),
    (datetime(2013, 3, 1, 0, 0, 0, 1), datetime(2013, 3, 1)),  # noqa: DTZ001 - as warehouses have it
    (date(2013, 3, 1), date(2013, 3, 2)),
    (2**63 - 1, 2**63 - 2),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_values_are_equal_whatever_the_type_that_brings_them(one: Any, other: Any) -> None:
    assert contents.row({"a": one}) == contents.row({"a": other})


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_values_differ_to_the_last_digit(one: Any, other: Any) -> None:
    assert contents.row({"a": one}) != contents.row({"a": other})


def test_a_value_in_another_column_is_another_row() -> None:
    assert contents.row({"a": 1, "b": None}) != contents.row({"a": None, "b": 1})
    assert contents.row({"a": 1, "b": 2}) == contents.row({"b": 2, "a": 1})


def total(texts: list[str]) -> Digest:
    return sum(map(Digest.of, texts), Digest())


@given(st.lists(st.text(max_size=3), max_size=8), st.randoms(use_true_random=False))
def test_an_order_means_nothing_a_number_does(texts: list[str], random: Any) -> None:
    mixed = random.sample(texts, len(texts))

    assert total(texts) == total(mixed) == total(texts[:3]) + total(texts[3:])
    for text in texts[:1]:
        assert total([*texts, text]) != total(texts) != total(texts[1:])


def test_samples_are_the_same_ones_in_any_order() -> None:
    rows = [f"row {number}" for number in range(100)]
    found = []
    for order in (rows, rows[::-1]):
        samples = Samples(3)
        for text in order:
            samples.look(Digest.of(text), text)
        found.append(samples.texts())

    assert found[0] == found[1] and len(found[0]) == 3
    assert Samples(0).texts() == []
