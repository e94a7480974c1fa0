import hashlib
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestion.contracts.identity import NAMESPACE, TradeIds, data_hash, observation_id, trade_id

DATA: dict[str, Any] = {"close": "27.95", "volume": "34849700", "as_of": "2013-03-01T21:15:00Z"}
AT = "2013-03-01T14:30:00.000000Z"


def bar_id(**changes: Any) -> str:
    return observation_id("recorded", "bar.v1", "MSFT", AT, DATA | changes)


def test_the_same_observation_fetched_again_is_the_same_event() -> None:
    assert bar_id() == bar_id(as_of="2026-01-01T00:00:00Z")


def test_a_restated_observation_is_a_new_event() -> None:
    assert bar_id() != bar_id(volume="34849701")
    assert bar_id() != bar_id(close=None)


def test_the_order_of_fields_does_not_matter() -> None:
    assert data_hash(DATA) == data_hash(dict(reversed(DATA.items())))


@pytest.mark.parametrize(
    "other",
    [
        ("yahoo", "bar.v1", "MSFT", AT),
        ("recorded", "bar.v2", "MSFT", AT),
        ("recorded", "bar.v1", "IBM", AT),
        ("recorded", "bar.v1", "MSFT", "2013-02-28T14:30:00.000000Z"),
    ],
)
def test_each_part_of_the_identity_counts(other: tuple[str, str, str, str]) -> None:
    assert bar_id() != observation_id(*other, DATA)


def test_an_event_id_is_what_any_producer_would_compute() -> None:
    stable = {name: value for name, value in DATA.items() if name != "as_of"}
    digest = hashlib.sha256(
        json.dumps(stable, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
    parts = ["observation", "recorded", "bar.v1", "MSFT", AT, digest]

    assert bar_id() == str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def test_equal_trades_are_two_events_and_one_sent_twice_is_one() -> None:
    assert trade_id("simulator", 7, "AAPL", "2013-03-01", 1) == trade_id(
        "simulator", 7, "AAPL", "2013-03-01", 1
    )
    assert trade_id("simulator", 7, "AAPL", "2013-03-01", 1) != trade_id(
        "simulator", 7, "AAPL", "2013-03-01", 2
    )


def test_parts_do_not_run_into_each_other() -> None:
    assert trade_id("s", "a", "bc") != trade_id("s", "ab", "c")


@given(st.text(), st.lists(st.text(), max_size=5))
def test_an_id_is_the_uuid_5_of_what_identifies(source: str, parts: list[str]) -> None:
    name = "\x1f".join(["trade", source, *parts])

    assert trade_id(source, *parts) == str(uuid.uuid5(NAMESPACE, name))


@given(st.text(), st.lists(st.text(), max_size=5), st.integers())
def test_the_ids_of_a_stream_are_those_of_its_trades(
    source: str, stream: list[str], number: int
) -> None:
    assert TradeIds(source, *stream).of(number) == trade_id(source, *stream, number)
