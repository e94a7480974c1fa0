"""What is said of a letter, whatever it holds and whatever its headers say."""

import random
from typing import Final

import pytest

from drill import hostile
from ingestion.clock import SystemClock
from ingestion.produce.redrive.letters import Letter
from ingestion.produce.redrive.verdict import Verdict, judge

CLOCK = SystemClock()
QUESTION: Final = {
    "asked_kind": "bars",
    "asked_symbol": "AAPL",
    "asked_interval": "1d",
    "fetched_at": "2025-07-08T21:00:00.000000Z",
    "simulated": "false",
    "run_id": "run",
}
PLACE: Final = QUESTION | {"connection": "c", "frame": "1", "first_seq": "0"}
# For each header what no source of ours writes.
STRANGE: Final = {
    "asked_kind": ("", "trades"),
    "asked_symbol": ("", "../x", "\x00"),
    "asked_interval": ("7m", "5m", "-1m", ""),
    "asked_start": ("x", "9999-12-31", "2025-07-01"),
    "fetched_at": (
        "2025-07-08", "2025-07-08T21:00:00", "x", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59Z",
    ),
    "run_id": ("", "\udc80"),
    "frame": ("-5", "9" * 30, "x"),
    "first_seq": ("9" * 30, "x"),
    "index": ("0", "9" * 30),
    "label_shift_s": ("0", "-300", "9" * 12, "9" * 30),
    "premium": ("true",),
    "month": ("2025-07", "x"),
    "currency": ("USD", ""),
}  # fmt: skip
BODIES: Final = [
    b"", b"null", b"0", b"[]", b"{}",
    b'{"symbol":"AAPL","timestamp":1,"open":1}',
    b'{"symbol":"AAPL","split":{"date":1598880600,"numerator":1,"denominator":0}}',
    b'{"symbol":"AAPL","split":5}',
    b'{"2025-07-03":{"1. open":"x"}}', b'{"2025-07-03 16:00:00":{}}',
    b'{"Global Quote":5}', b'{"c":1e999,"t":99999999999999999999}',
    b'{"type":"trade","data":[{"s":"A","p":1,"v":1,"t":1e99}]}',
    b"AAPL,9999-12-31,1,1,1,1,1,1", b",,,,,,,", b"A,2013-02-28,1e999999,,,,,",
    *(record.value or b"" for record in hostile.records() if len(record.value or b"") < 100_000),
]  # fmt: skip


def verdict(body: bytes, **headers: str) -> Verdict:
    encoded = tuple((name, value.encode(errors="replace")) for name, value in headers.items())
    return judge(Letter("0/1", 0, body, encoded), "redrive-run", CLOCK)


@pytest.mark.parametrize("parser", ["message", "recorded", "yahoo", "finnhub", "alphavantage"])
def test_whatever_a_letter_says_it_stops_no_other(parser: str) -> None:
    draw = random.Random(parser)
    for _ in range(1_500):
        headers = PLACE if draw.random() < 0.2 else QUESTION
        for name in draw.sample(sorted(STRANGE), draw.randrange(4)):
            headers = headers | {name: draw.choice(STRANGE[name])}
        found = verdict(draw.choice(BODIES), parser=parser, **headers)
        assert found.passes is bool(found.records)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"type":"ping"}', {"source": "finnhub"} | PLACE),
        (b'{"type":"trade","data":[]}', {"source": "finnhub"} | PLACE),
        (b'{"symbol":"AAPL","something":"new"}', {"source": "yahoo"} | QUESTION),
    ],
)
def test_a_letter_that_gives_nothing_is_not_done_with(body: bytes, headers: dict[str, str]) -> None:
    assert verdict(body, **headers).reason == "nothing"
