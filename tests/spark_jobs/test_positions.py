"""Positions as snapshot properties."""

import pytest

from ingestion.errors import LakeError
from spark_jobs import positions
from spark_jobs.positions import Chain

ONE, OTHER = Chain("t", "g", 0), Chain("t", "g", 11)


def test_the_property_is_canonical_json() -> None:
    text = positions.encode({OTHER: 5, ONE: 2**40})
    assert text == '{"t":{"g":{"0":1099511627776,"11":5}}}'
    assert positions.decode(text) == {ONE: 2**40, OTHER: 5}


def test_no_property_is_no_position() -> None:
    assert positions.decode(None) == {}


@pytest.mark.parametrize("text", ["[]", '{"t":1}', "{", '{"t":{"g":{"x":1}}}'])
def test_a_broken_property_is_an_error(text: str) -> None:
    with pytest.raises(LakeError, match="expected positions"):
        positions.decode(text)


def test_a_merge_never_goes_back() -> None:
    assert positions.merge({ONE: 5}, {ONE: 3, OTHER: 1}) == {ONE: 5, OTHER: 1}


def test_the_lowest_position_counts_tables_that_have_none() -> None:
    assert positions.lowest([{ONE: 5}, {}], ONE) == 0
    assert positions.lowest([{ONE: 5}, {ONE: 3}], ONE) == 3
