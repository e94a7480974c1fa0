"""What the browser works out of live mode: latency, waits between attempts, words."""

from typing import Any

from tests.dashboards.web.node import play


def text(sent_ms: int, kafka_ms: int | None, event_ms: int = 0) -> dict[str, Any]:
    last = None if kafka_ms is None else {"kafka_ms": kafka_ms, "event_ms": event_ms, "price": 2}
    return {"sent_ms": sent_ms, "last": last}


MEASURE = "given => { const of = it.latency(); return given.map(([a, b]) => of(a, b)); }"


def test_latency_needs_no_common_clock() -> None:
    """The browser's clock is an hour ahead, and the way takes 20 ms at least."""
    ahead = 3_600_000
    told = [
        [text(500, 400, 350), 520 + ahead],
        [text(1_000, 900, 850), 1_020 + ahead],
        [text(2_000, 1_950, 1_900), 2_320 + ahead],
        [text(3_000, 1_950, 1_900), 3_020 + ahead],
        [text(4_000, None), 4_020 + ahead],
        [text(5_000, 4_400, 4_350), 5_020 + ahead],
    ]
    # The third was 300 ms longer on its way; the fourth tells of the same trade once more.
    assert play("live.js", MEASURE, told) == [None, 100, 350, None, None, 600]


def test_latency_is_not_the_age_of_a_trade() -> None:
    """The first that is told is old, and so is the one that is the last after a cancellation."""
    told = [
        [text(1_200_000, 100, 50), 1_200_020],
        [text(1_201_000, 1_200_900, 1_200_850), 1_201_020],
        [text(1_202_000, 100, 50), 1_202_020],
        [text(1_203_000, 1_202_800, 1_202_750), 1_203_020],
    ]
    assert play("live.js", MEASURE, told) == [None, 100, None, 200]


def test_attempts_come_ever_slower_and_never_at_once() -> None:
    cases = [[0, 0], [0, 1], [1, 1], [3, 0], [10, 1], [50, 0]]
    found = play("live.js", "given => given.map(([n, r]) => it.waitMs(n, r))", cases)
    assert found == [250, 500, 1_000, 2_000, 30_000, 15_000]


def test_words() -> None:
    cases = [
        ["live", ""],
        ["down", "Kafka: away"],
        ["lost", ""],
        ["off", ""],
    ]
    assert play("live.js", "given => given.map(args => it.label(...args))", cases) == [
        "Live, not yet reconciled",
        "Live: not available: Kafka: away",
        "Live: no server, trying again",
        "",
    ]
    assert play("live.js", "given => given.map(it.lag)", [240, None]) == ["0.2 s behind Kafka", ""]
