"""An object is believed when its bytes, its lines and its metadata agree."""

import pytest

from ingestion.errors import LoadError
from ingestion.load.bronze import line_file
from ingestion.load.model import Listed
from tests.ingestion.load.objects import key, line, made, stored


def test_lines_end_at_newlines_and_at_nothing_else() -> None:
    odd = '{"offset":0,"value":{"a":"x\u2028y\x85z"}}'.encode()

    found = made(0, [odd, b'{"offset":1}\r'])

    assert found.lines == [odd, b'{"offset":1}\r']
    assert (found.topic, found.generation[-1], found.partition) == ("stock-quotes", "a", 0)


def test_a_gap_has_no_lines() -> None:
    assert made(5, []).lines == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": "3"}, "expected 3 lines, found 2"),
        ({"count": "two"}, "expected a bronze object with a count"),
        ({"sha256": "0" * 64}, f"expected sha256 {'0' * 64}, found"),
    ],
)
def test_a_contradiction_names_the_file_what_was_expected_and_found(
    change: dict[str, str], message: str
) -> None:
    metadata, body = stored([line(0), line(1)])

    with pytest.raises(LoadError, match=message) as caught:
        line_file(Listed(key(0), len(body)), metadata | change, body)

    assert str(caught.value).startswith(key(0))


def test_a_key_of_another_shape_is_refused() -> None:
    metadata, body = stored([line(0)])

    with pytest.raises(LoadError, match="expected a bronze object"):
        line_file(Listed("stock-quotes/notes.txt", len(body)), metadata, body)


def test_a_cut_body_is_refused() -> None:
    metadata, body = stored([line(0)])

    with pytest.raises(LoadError, match=f"expected {len(body)} bytes.*found {len(body) - 1}"):
        line_file(Listed(key(0), len(body)), metadata, body[:-1])


def test_a_body_of_the_same_length_and_other_bytes_is_refused() -> None:
    metadata, body = stored([line(0)])

    with pytest.raises(LoadError, match="sha256"):
        line_file(Listed(key(0), len(body)), metadata, body[:-1] + bytes([body[-1] ^ 1]))
