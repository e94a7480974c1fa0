"""Each thing that the judge is for, planted once: it must be found, and named."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from drill.hour.facts import decoded
from drill.hour.judge import judge, unplayed
from drill.hour.truth import Ended, Record, Truth, Window

START = 1_700_000_000.0
BODY = b'{"c":NaN}'
KEY = "a-secret-key"
QUOTE = {"c": 200.1, "d": 0.1, "dp": 0.05, "h": 201.0, "l": 199.0, "o": 200.0, "pc": 200.0, "t": 5}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START + seconds, UTC).isoformat()


def observation(
    kind: str, time: str, values: Any, provider: str, identity: str = "", times: int = 1
) -> Any:
    return {
        "provider": provider, "kind": kind, "symbol": "IBM", "time": time, "values": values,
        "identity": identity, "times": times,
    }  # fmt: skip


def request(provider: str, kind: str, seconds: float, observations: int = 0) -> Any:
    return {
        "provider": provider, "kind": kind, "at": at(seconds), "elapsed_s": seconds,
        "observations": observations, "status": "stream" if kind == "stream" else "200",
    }  # fmt: skip


def message(number: int, schema: str, source: str, seconds: float, data: Any, **more: Any) -> Any:
    return {
        "event_id": str(UUID(int=number)), "schema": schema, "source": source, "symbol": "IBM",
        "fetched_at": at(seconds), "event_time": more.get("event_time", at(0)), "data": data,
    }  # fmt: skip


def bar(close: str, adjusted: str) -> dict[str, str]:
    return {
        "session_date": "2013-02-26", "open": "1", "high": "3", "low": "1", "close": close,
        "volume": "100", "adj_close": adjusted,
    }  # fmt: skip


TRADE = {"price": "200.25", "size": "100"}
OBSERVATIONS = [
    observation("trade", "1700000000123", [200.25, 100], "finnhub", "finnhub-1/0/0"),
    observation("trade", "1700000000123", [200.25, 100], "finnhub", "finnhub-1/0/1"),
    observation("quote", "5", list(QUOTE.values()), "finnhub", times=2),
    observation("bar.1d", "1361889000", [1, 3, 1, 2.5, 100, 2.25], "yahoo"),
    observation("bar.1d", "1362061800", [1, 3, 1, 2.5, 100, 2.25], "yahoo"),  # a day too late
    observation(
        "bar.1d.adjusted",
        "2013-02-26",
        ["1.0", "3.0", "1.0", "2.0", "1.5", "100", "0.25", "1.0"],
        "alphavantage",
    ),
    observation("quote", "2013-02-28", ["IBM", "200.0"], "alphavantage"),
]
MESSAGES = [
    message(1, "trade.v1", "finnhub", 1, TRADE, event_time="2023-11-14T22:13:20.123Z"),
    message(2, "trade.v1", "finnhub", 1, TRADE, event_time="2023-11-14T22:13:20.123Z"),
    message(3, "quote.v1", "finnhub", 2, QUOTE),
    message(3, "quote.v1", "finnhub", 4, QUOTE),
    message(4, "bar.v1", "yahoo", 2, bar("2.5", "2.25")),
    message(5, "bar.v1", "alphavantage", 12, bar("2", "1.5")),
    message(
        6, "corporate_action.v1", "alphavantage", 12,
        {"type": "dividend", "ex_date": "2013-02-26", "amount": "0.25", "ratio": None},
    ),
    message(7, "quote.v1", "alphavantage", 22, {"01. symbol": "IBM", "02. open": "200.0"}),
]  # fmt: skip
TRUTH = Truth(
    observations=decoded(json.dumps(OBSERVATIONS)),
    requests=[
        request("yahoo", "chart", 2, 1),
        request("finnhub", "stream", 0, 0),
        request("finnhub", "quote", 2, 1),
        request("finnhub", "quote", 21, 0),
    ],
    violations=[],
    disturbances=[{"sha256": hashlib.sha256(BODY).hexdigest()}],
    counts={},
    limits={"finnhub": [{"requests": 2, "seconds": 1.0}, {"requests": 9, "seconds": 60.0}]},
    days=("2013-02-01", "2013-02-27"),
    speed=10.0,
    dead=[Window("yahoo", START + 10, START + 15)],
    secrets=[KEY],
    grace_s=1.0,
)


def records(messages: Any, *letters: bytes) -> list[Record]:
    made = [Record("stock", json.dumps(one).encode()) for one in messages]
    return [*made, *(Record("stock-market-dlq", body) for body in letters)]


def wrong(truth: Truth = TRUTH, messages: Any = MESSAGES, letters: Any = (BODY,)) -> list[str]:
    return judge(truth, records(messages, *letters), {"log": b"nothing"}).wrong


def changed(number: int, **fields: Any) -> list[Any]:
    return [one | fields if place == number else one for place, one in enumerate(MESSAGES)]


def test_an_hour_in_which_all_is_right_has_nothing_wrong() -> None:
    verdict = judge(TRUTH, records(MESSAGES, BODY), {})

    assert verdict.wrong == []
    assert verdict.figures["observations"] == verdict.figures["events"] == 7
    assert verdict.figures["copies"] == 1


def test_what_did_not_happen_is_named() -> None:
    counts = {"answers": {"yahoo.429": 3}, "withheld": 2}
    refused = request("alphavantage", "quote", 3)
    bodies = [{"kind": "quote"}]
    truth = replace(TRUTH, counts=counts, requests=[*TRUTH.requests, refused], disturbances=bodies)

    assert unplayed(truth) == [
        "a wave of 429 by finnhub",
        "a frame that is none",
        "a producer that was killed",
    ]


@pytest.mark.parametrize("lost", [0, 1, 4, 5, 6, 7])
def test_a_lost_observation_is_found(lost: int) -> None:
    found = wrong(messages=[one for place, one in enumerate(MESSAGES) if place != lost])

    assert any("1 handed out and not in Kafka" in line for line in found)


@pytest.mark.parametrize("place", [0, 2, 4, 6])
def test_an_observation_that_is_there_twice_with_another_id_is_found(place: int) -> None:
    twin = MESSAGES[place] | {"event_id": str(UUID(int=99))}

    assert any("1 never handed out" in line for line in wrong(messages=[*MESSAGES, twin]))


def test_a_value_that_is_not_the_servers_is_found() -> None:
    other = changed(4, data=bar("2.5000000000000001", "2.25"))

    assert ["1 handed out" in line or "1 never" in line for line in wrong(messages=other)] == [
        True,
        True,
    ]


def test_an_id_that_stands_for_two_things_is_found() -> None:
    assert any("1 ids with different" in line for line in wrong(messages=changed(
        1, event_id=MESSAGES[2]["event_id"]
    )))  # fmt: skip


@pytest.mark.parametrize("place", [0, 2, 4, 6])
def test_a_message_that_is_there_twice_is_found(place: int) -> None:
    found = wrong(messages=[*MESSAGES, MESSAGES[place]])

    assert len(found) == 1
    assert "1 messages sent twice for no kill" in found[0]


@pytest.mark.parametrize("place", [0, 2, 4, 6])
def test_a_message_that_was_made_once_more_than_it_was_handed_out_is_found(place: int) -> None:
    found = wrong(messages=[*MESSAGES, MESSAGES[place] | {"fetched_at": at(2.5)}])

    assert any("1 messages more than what they tell was handed out" in line for line in found)


@pytest.mark.parametrize(
    ("ended", "is_wrong"),
    [
        (Ended("trades", "KILL", START + 2), False),
        (Ended("trades", "TERM", START + 2), True),
        (Ended("quotes", "KILL", START + 2), True),
        (Ended("trades", "KILL", START + 0.5), True),  # before it was made
        (Ended("trades", "KILL", START + 7), True),  # long after
    ],
)
def test_only_what_a_killed_process_had_just_sent_may_be_there_twice(
    ended: Ended, is_wrong: bool
) -> None:
    truth = replace(TRUTH, ended=[ended])

    assert bool(wrong(truth, [*MESSAGES, MESSAGES[0]])) is is_wrong
    assert wrong(truth, [*MESSAGES, MESSAGES[0], MESSAGES[0]]) != []


def test_a_request_over_a_limit_is_found() -> None:
    violation = {"provider": "finnhub", "kind": "quote", "at": at(1)}

    assert any("over a limit" in line for line in wrong(replace(TRUTH, violations=[violation])))


@pytest.mark.parametrize(
    ("kind", "seconds", "is_wrong"),
    [("quote", (2.5, 2.9), True), ("stream", (2.5, 2.9), True), ("session", (2.5, 2.9), False),
     ("quote", (2.5, 2.96), False), ("quote", range(4, 11), True), ("quote", range(4, 10), False)],
)  # fmt: skip
def test_a_request_over_a_limit_that_the_servers_did_not_judge_is_found(
    kind: str, seconds: Any, is_wrong: bool
) -> None:
    more = [request("finnhub", kind, second) for second in seconds]
    truth = replace(TRUTH, requests=[*TRUTH.requests, *more])

    assert any("over a limit" in line for line in wrong(truth)) is is_wrong


MUTE = replace(TRUTH, mute=[Window("finnhub", START + 30, START + 100)])


@pytest.mark.parametrize(
    ("opened", "told", "is_right"),
    [
        ([91], 1, True),
        ([], 0, False),  # it did not fire
        ([91], 0, False),  # another reason than the watchdog
        ([], 1, False),  # it fired, and no new connection came
        ([101], 1, False),  # by then the stream was not mute any more
        ([51, 91], 1, False),
    ],
)
def test_a_mute_socket_that_nobody_noticed_is_found(
    opened: list[float], told: int, is_right: bool
) -> None:
    more = [request("finnhub", "stream", seconds) for seconds in opened]
    truth = replace(MUTE, requests=[*TRUTH.requests, *more], mute_told=told)

    assert any("mute connection" in line for line in wrong(truth)) is not is_right


def test_a_connection_of_a_process_that_was_started_anew_is_no_watchdog_s() -> None:
    opened = request("finnhub", "stream", 41)
    truth = replace(
        MUTE, requests=[*TRUTH.requests, opened], ended=[Ended("trades", "KILL", START + 40)]
    )

    assert any("0 new ones" in line for line in wrong(truth))


def test_a_connection_that_was_refused_is_none() -> None:
    refused = request("finnhub", "stream", 91) | {"status": "429"}

    truth = replace(MUTE, requests=[*TRUTH.requests, refused], mute_told=1)

    assert any("0 new ones" in line for line in wrong(truth))


@pytest.mark.parametrize(("place", "seconds"), [(5, 5.0), (5, 17.0), (7, 20.0)])
def test_a_second_source_while_the_first_was_there_is_found(place: int, seconds: float) -> None:
    found = wrong(messages=changed(place, fetched_at=at(seconds)))

    assert any("of alphavantage while" in line and "was there" in line for line in found)


def test_a_first_source_while_it_was_dead_is_found() -> None:
    assert any("while it was dead" in line for line in wrong(messages=changed(
        4, fetched_at=at(12)
    )))  # fmt: skip


def test_in_a_death_s_first_second_either_may_serve() -> None:
    def unfounded(seconds: float) -> bool:
        found = wrong(messages=changed(5, fetched_at=at(seconds)))
        return any("was there" in line for line in found)

    assert (unfounded(9.8), unfounded(10.2)) == (True, False)
    assert wrong(messages=changed(4, fetched_at=at(10.5))) == []
    assert wrong(messages=changed(4, fetched_at=at(11.5))) != []


def test_a_request_that_reaches_a_dead_provider_is_found() -> None:
    truth = replace(TRUTH, requests=[*TRUTH.requests, request("yahoo", "chart", 12)])

    assert wrong(truth) == ["1 requests reached yahoo while it was dead"]


def test_a_death_without_a_second_source_is_found() -> None:
    truth = replace(TRUTH, dead=[*TRUTH.dead, Window("finnhub", START + 30, START + 35)])

    assert wrong(truth) == ["no quotes of alphavantage while finnhub was dead"]


@pytest.mark.parametrize("letters", [(), (BODY, BODY), (BODY + b" ",), (BODY, b"other")])
def test_letters_that_are_not_the_refused_bodies_are_found(letters: tuple[bytes, ...]) -> None:
    assert any("letter" in line for line in wrong(letters=letters))


def test_a_key_that_is_told_is_found() -> None:
    headers = Record("stock-market-dlq", BODY, {"detail": f"?token={KEY}".encode()})
    by_header = judge(TRUTH, [*records(MESSAGES), headers], {}).wrong
    by_log = judge(TRUTH, records(MESSAGES, BODY), {"a.log": KEY.encode()}).wrong

    assert by_header == ["a key is told in ['stock-market-dlq']"]
    assert by_log == ["a key is told in ['a.log']"]


@pytest.mark.parametrize(
    ("ended", "time", "is_wrong"),
    [
        (Ended("trades", "KILL", START + 5), "1700000000123", False),
        (Ended("trades", "KILL", START + 5), "1699999980000", True),  # long before the last
        (Ended("trades", "TERM", START + 5), "1700000000123", True),
        (Ended("trades", "KILL", START - 5), "1700000000123", True),  # another connection
        (Ended("quotes", "KILL", START + 5), "1700000000123", True),
    ],
)
def test_only_what_was_in_flight_to_a_killed_process_may_be_lost(
    ended: Ended, time: str, is_wrong: bool
) -> None:
    lost = decoded(json.dumps(
        [observation("trade", time, [1, 1], "finnhub", "finnhub-1/1/0")]
    ))  # fmt: skip
    truth = replace(TRUTH, ended=[ended], observations=[*TRUTH.observations, *lost])

    assert bool(wrong(truth)) is is_wrong
