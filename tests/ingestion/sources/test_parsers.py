"""What reads a dead letter's body again, by what the letter says of itself."""

import json

import pytest

from ingestion.contracts.records import BarMessage
from ingestion.sources.message_line import Encoded
from ingestion.sources.parsers import PARSERS, parser_of
from ingestion.sources.source import Refused
from tests.ingestion.contracts.samples import sample


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"source": "partner"}, "message"),
        ({"source": "recorded"}, "recorded"),
        ({"source": "recorded", "parser": "message"}, "message"),
        ({"source": "recorded", "parser": "of-tomorrow"}, None),
        ({}, "message"),
    ],
)
def test_a_letter_names_its_parser_or_its_source_does(
    headers: dict[str, str], name: str | None
) -> None:
    assert parser_of(headers) is (PARSERS[name] if name else None)


def test_a_line_keeps_its_bytes() -> None:
    body = b" " + json.dumps(sample("bar.v1")).encode()

    (passed,), (failed,) = PARSERS["message"](body, {}), PARSERS["message"](body[:-2], {})

    assert isinstance(passed, Encoded)
    assert passed.body == body
    assert isinstance(failed, Refused)
    assert failed.reason == "contract"


def test_a_line_of_bars_gives_the_same_bar_each_time() -> None:
    line = b"IBM,2013-03-01,200.65,202.94,199.36,202.91,3309434,199.1"

    (bar,), (again,) = (PARSERS["recorded"](line, {"run_id": "old"}) for _ in range(2))

    assert isinstance(bar, BarMessage)
    assert bar == again
    assert (bar.symbol, bar.data.close, bar.run_id) == ("IBM", "202.91", "old")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"IBM,2013-03-02,1,1,1,1,1,1", "no_session"),
        (b"IBM", "malformed_row"),
        (b"\xff", "not_utf8"),
    ],
)
def test_a_line_that_is_still_no_bar_says_why(line: bytes, reason: str) -> None:
    (refused,) = PARSERS["recorded"](line, {})

    assert isinstance(refused, Refused)
    assert (refused.body, refused.reason) == (line, reason)
