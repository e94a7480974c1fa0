"""The stream's state without Spark: order, lateness, copies, corrections, and what is written."""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from spark_jobs.transforms.forming import Share
from spark_jobs.transforms.moments import Trade
from spark_jobs.transforms.packets import Reading
from spark_jobs.transforms.segments import CLOSING, OPENING, POST, PRE, REGULAR
from spark_jobs.transforms.sitting import Arrival, Key, News

OPEN = datetime(2013, 2, 28, 14, 30, tzinfo=UTC)
CLOSE = OPEN + timedelta(hours=6, minutes=30)
DAY = 15_764
LATENESS = 15 * 60 * 1_000_000
MINUTE = 60_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


OPEN_US, CLOSE_US = us(OPEN), us(CLOSE)


class Dictionaries:
    """``forming.Memory`` in dictionaries."""

    def __init__(self) -> None:
        self.kept: bytes | None = None
        self.books: dict[str, bytes] = {}
        self.minutes: dict[tuple[str, int, Key], bytes] = {}

    def head(self) -> bytes | None:
        return self.kept

    def keep_head(self, head: bytes) -> None:
        self.kept = head

    def symbols(self) -> list[str]:
        return [*self.books]

    def symbol(self, name: str) -> bytes | None:
        return self.books.get(name)

    def keep_symbol(self, name: str, state: bytes) -> None:
        self.books[name] = state

    def drop_symbol(self, name: str) -> None:
        self.books.pop(name, None)

    def trades(self, name: str, day: int, key: Key) -> bytes | None:
        return self.minutes.get((name, day, key))

    def keep_trades(self, name: str, day: int, key: Key, trades: bytes) -> None:
        self.minutes[name, day, key] = trades

    def drop_trades(self, name: str, day: int, key: Key) -> None:
        self.minutes.pop((name, day, key), None)


class Stream:
    """Batches one after the other over one memory, and what they told."""

    def __init__(self, headless: frozenset[int] = frozenset()) -> None:
        self.headless = headless
        self.memory = Dictionaries()
        self.counts: Counter[str] = Counter()
        self.told: list[News] = []
        self._offset = 0

    def take(self, *arrivals: Arrival, clock: datetime | None = None) -> list[News]:
        clocks: dict[int, Reading] = {}
        for one in arrivals:
            trade = one.trade
            shown = Reading(trade.fetched, trade.offset, trade.fetched)
            clocks[trade.partition] = shown.joined(clocks.get(trade.partition, shown))
        if clock is not None:
            shown = Reading(us(clock), 10**9, us(clock))
            clocks[0] = shown.joined(clocks.get(0, shown))
        share = Share(self.memory, LATENESS, self.headless)
        told = [*share.take(arrivals, clocks)]
        self.counts += share.counts
        self.told += told
        return told

    def minutes(self, symbol: str = "AAPL", day: int = DAY) -> dict[Key, Any]:
        """Return the minutes as they were told last, without those that have lost all trades."""
        last = next(n for n in reversed(self.told) if (n.symbol, n.day) == (symbol, day))
        return {key: one for key, one in last.session.minutes.items() if one.n}


def sent(
    number: int,
    at: datetime,
    price: float = 10.0,
    size: float = 1.0,
    action: str = "new",
    ref: int | None = None,
    **changes: Any,
) -> Arrival:
    """A trade or a revision; its number is its identity, its seq and, from 1000 on, its offset."""
    fetched = changes.pop("fetched", at)
    trade = Trade(
        at=us(at),
        seq=number,
        partition=changes.pop("partition", 0),
        offset=1000 + number,
        price=round(price * 1_000_000),
        size=round(size * 1_000_000),
        event_id=str(number),
        fetched=us(fetched),
        simulated=changes.pop("simulated", False),
    )
    fields = {
        **{"opening": False, "closing": False, "symbol": "AAPL", "sent": us(fetched)},
        **{"day": DAY, "open_at": OPEN_US, "close_at": CLOSE_US},
        **{"action": action, "ref": None if ref is None else str(ref), "trade": trade},
    }
    return Arrival(**fields | changes)


def at(minutes: float) -> datetime:
    return OPEN + timedelta(minutes=minutes)


def whole(trades: Iterable[Arrival]) -> dict[Key, Any]:
    """Return what one batch makes of all of them."""
    stream = Stream()
    stream.take(*trades)
    return stream.minutes()


def almost_equal(found: dict[Key, Any], expected: dict[Key, Any]) -> bool:
    """Compare minutes: counts, sums and extremes exactly, the rest to 1e-12."""
    if found.keys() != expected.keys():
        return False
    for key, one in found.items():
        mine, theirs = (
            {name: getattr(row, name) for name in row.__struct_fields__}
            for row in (one, expected[key])
        )
        for name in ("mean", "ss", "rmean", "rss", "dv"):
            assert mine.pop(name) == pytest.approx(theirs.pop(name), rel=1e-12, abs=1e-15)
        assert mine == theirs
    return True


def test_a_minute_has_the_moments_of_its_trades() -> None:
    trades = [sent(1, at(0.1), 10, 2), sent(2, at(0.5), 11, 3), sent(3, at(1.2), 9.5, 1)]

    found = whole(trades)

    first, second = found[REGULAR, 0], found[REGULAR, 1]
    assert (first.open, first.high, first.low, first.close) == (
        10**7,
        11 * 10**6,
        10**7,
        11 * 10**6,
    )
    assert (first.n, first.volume, first.mean, first.ss, first.dv) == (2, "5.000000", 0.5, 0.5, 3.0)
    assert (first.rn, second.rn) == (1, 1)
    assert first.rmean == pytest.approx(0.09531017980432486, rel=1e-15)
    assert second.rmean == pytest.approx(-0.14660347419187537, rel=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_in_any_batches_is_the_same_session(seed: int) -> None:
    draw = random.Random(seed)
    trades = [
        sent(i, at(draw.random() * 14), 10 + draw.randrange(100) / 100, draw.randrange(9))
        for i in range(200)
    ]
    revisions = [
        sent(
            500 + i, at(14), 20 + i / 10, 3, draw.choice(["correct", "cancel"]), draw.randrange(200)
        )
        for i in range(20)
    ]
    chained = [
        sent(600, at(14.2), 33, 1, "correct", 505),
        sent(601, at(14.1), 44, 1, "correct", 600),
    ]
    records = [*trades, *revisions, *chained]
    stream = Stream()

    shuffled = draw.sample(records, len(records))
    while shuffled:
        count = draw.randrange(1, 40)
        stream.take(*shuffled[:count])
        shuffled = shuffled[count:]

    assert almost_equal(stream.minutes(), whole(records))
    assert not stream.counts


def test_the_price_before_a_minute_reaches_over_gaps_and_changes_with_it() -> None:
    stream = Stream()
    stream.take(sent(1, at(0), 10), sent(2, at(5), 11))
    stream.take(sent(3, at(3), 20))
    assert almost_equal(
        stream.minutes(), whole([sent(1, at(0)), sent(3, at(3), 20), sent(2, at(5), 11)])
    )

    stream.take(sent(4, at(6), 0, 0, "cancel", 3))
    assert almost_equal(stream.minutes(), whole([sent(1, at(0)), sent(2, at(5), 11)]))


def test_what_comes_after_its_minute_was_closed_is_counted_and_changes_nothing() -> None:
    stream = Stream()
    stream.take(sent(1, at(0.5)), sent(2, at(10)))
    # Minute 0 ends at 1: with the clock at 16 it is closed, a microsecond earlier it is not.
    stream.take(sent(3, at(16) - timedelta(microseconds=1)))
    stream.take(sent(4, at(0.7), 99, fetched=at(15)))
    assert stream.minutes()[REGULAR, 0].n == 2
    stream.take(sent(5, at(16)))

    stream.take(sent(6, at(0.8), 99, fetched=at(16)), sent(7, at(1), 98, fetched=at(16)))

    assert stream.counts == {"late": 1}
    assert stream.minutes()[REGULAR, 0].n == 2
    assert stream.minutes()[REGULAR, 1].n == 1
    assert (REGULAR, 0) not in {key for _, _, key in stream.memory.minutes}


def test_a_copy_counts_once_while_its_minute_forms_and_is_late_afterwards() -> None:
    stream = Stream()
    stream.take(sent(1, at(0)), sent(1, at(0)))
    stream.take(sent(1, at(0)))
    assert stream.counts == {"duplicate": 2}
    assert stream.minutes()[REGULAR, 0].n == 1

    stream.take(sent(2, at(20)))
    stream.take(sent(1, at(0)))

    assert stream.counts == {"duplicate": 2, "late": 1}


def test_equal_trades_with_different_ids_stay_two() -> None:
    stream = Stream()
    stream.take(sent(1, at(0)), sent(2, at(0)))
    assert stream.minutes()[REGULAR, 0].n == 2


def test_a_correction_waits_for_its_trade_and_a_late_one_is_counted() -> None:
    stream = Stream()
    stream.take(sent(9, at(1), 12, 5, "correct", 1))
    stream.take(sent(1, at(0), 10))
    assert stream.minutes()[REGULAR, 0].close == 12 * 10**6
    assert stream.minutes()[REGULAR, 0].volume == "5.000000"

    stream.take(sent(2, at(20)))
    stream.take(sent(10, at(20.5), 13, 5, "correct", 1), sent(11, at(20.5), 0, 0, "cancel", 77))
    assert stream.minutes()[REGULAR, 0].close == 12 * 10**6
    assert not stream.counts
    stream.take(sent(3, at(37)))

    assert stream.counts == {"unmatched": 2}


@pytest.mark.parametrize(("day", "close"), [(DAY - 1, 10), (DAY, 12), (DAY + 7, 12), (DAY + 8, 10)])
def test_a_correction_is_stamped_in_its_trade_s_session_or_days_later(day: int, close: int) -> None:
    stream = Stream()
    stream.take(
        sent(1, at(0)),
        sent(2, at(1), 12, 5, "correct", 1, day=day),
        sent(3, at(1), 13, 5, "correct", 99),
    )
    assert stream.minutes()[REGULAR, 0].close == close * 10**6


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_of_several_changes_the_one_fetched_last_counts(order: tuple[int, ...]) -> None:
    changes = [
        sent(10, at(1), 11, 1, "correct", 1),
        sent(11, at(3), 12, 2, "correct", 10),
        sent(12, at(2), 0, 0, "cancel", 1),
    ]
    stream = Stream()
    stream.take(sent(1, at(0)))
    for index in order:
        stream.take(changes[index])

    one = stream.minutes()[REGULAR, 0]
    assert (one.close, one.volume, one.as_of) == (12 * 10**6, "2.000000", us(at(3)))


def test_a_minute_that_loses_all_its_trades_is_told_as_nothing() -> None:
    stream = Stream()
    stream.take(sent(1, at(0)), sent(2, at(1), 11))
    (told,) = stream.take(sent(3, at(2), 0, 0, "cancel", 1))

    gone = told.session.minutes[REGULAR, 0]
    assert (gone.n, gone.close, gone.volume) == (0, None, "0.000000")
    assert told.session.minutes[REGULAR, 1].rn == 0
    assert told.changed_from == OPEN_US


def test_segments_and_auctions_have_minutes_of_their_own() -> None:
    trades = [
        sent(1, at(-30)),
        sent(2, at(-1.5), opening=True),
        sent(3, at(-1.5)),
        sent(4, at(-2.5), opening=True),
        sent(5, at(0), opening=True),
        sent(6, CLOSE - timedelta(microseconds=1)),
        sent(7, CLOSE + timedelta(seconds=48), closing=True),
        sent(8, CLOSE + timedelta(seconds=48)),
        sent(9, CLOSE + timedelta(minutes=3), closing=True),
    ]
    found = whole(trades)

    assert {key: one.n for key, one in found.items()} == {
        **{(PRE, -30): 1, (OPENING, -2): 1, (PRE, -2): 1, (PRE, -3): 1, (REGULAR, 0): 1},
        **{(REGULAR, 389): 1, (CLOSING, 390): 1, (POST, 390): 1, (POST, 393): 1},
    }
    # Returns are within a segment.
    assert [found[key].rn for key in [(REGULAR, 0), (REGULAR, 389), (POST, 390)]] == [0, 1, 0]


def test_news_name_what_has_changed_and_what_has_become_final() -> None:
    stream = Stream()
    (first,) = stream.take(sent(1, at(7.5)))
    # The session's first trade in regular hours makes all its windows.
    assert first.changed_from == OPEN_US
    (second,) = stream.take(sent(2, at(9.5)))
    assert second.changed_from == us(at(9))

    assert stream.take(clock=at(19)) == []
    (final,) = stream.take(clock=at(24.5))

    assert final.changed_from is None
    assert (final.final_from, final.final_to) == (us(at(-5.5)), us(at(9.5)))
    # A window without a trade of its own becomes final too; between two ends there is nothing.
    assert len(stream.take(clock=at(26))) == 1
    assert [told.final_to for told in stream.take(clock=at(31))] == [us(at(16))]
    assert stream.take(clock=at(34)) == []
    assert [final.wants(us(at(end))) for end in (0, 5, 8, 9.5, 10)] == [
        True,
        True,
        True,
        True,
        False,
    ]


def test_a_closing_print_changes_the_last_regular_bar() -> None:
    stream = Stream()
    stream.take(sent(1, CLOSE - timedelta(minutes=1)))
    (told,) = stream.take(sent(2, CLOSE + timedelta(seconds=40), closing=True))
    assert told.changed_from == CLOSE_US - MINUTE


def test_a_simulated_trade_marks_every_window_of_its_session() -> None:
    stream = Stream()
    stream.take(sent(1, at(1)))
    (told,) = stream.take(sent(2, at(8), simulated=True))
    assert told.changed_from == OPEN_US


def test_a_partition_s_own_clock_says_what_is_late() -> None:
    """A backlog is read at different speeds: the fast partition must not close the slow one."""
    stream = Stream()
    stream.take(sent(1, at(0), symbol="SLOW", partition=1), sent(2, at(0), symbol="FAST"))
    stream.take(sent(3, at(200), symbol="FAST"))

    stream.take(sent(4, at(2), symbol="SLOW", partition=1))

    assert not stream.counts
    assert stream.minutes("SLOW")[REGULAR, 2].n == 1
    # Final is what the source's newest clock has passed, as in batch.
    assert stream.told[-1].final_to == us(at(185))


def opened(days: int) -> dict[str, Any]:
    start = OPEN_US + days * 24 * 60 * MINUTE
    return {"day": DAY + days, "open_at": start, "close_at": start + 390 * MINUTE}


def test_a_session_is_forgotten_when_its_day_is_over_and_does_not_come_back() -> None:
    stream, later = Stream(), OPEN + timedelta(days=5)
    stream.take(sent(1, at(0), symbol="OLD"))
    stream.take(sent(2, later, symbol="NEW", **opened(5)))
    assert [*stream.memory.books] == ["NEW"]
    assert {key[0] for key in stream.memory.minutes} == {"NEW"}

    assert stream.take(sent(3, at(1), symbol="OLD", fetched=later)) == []

    assert stream.counts == {"late": 1}
    assert [*stream.memory.books] == ["NEW"]


@pytest.mark.parametrize("days", [5, 11, 1000])
def test_another_partition_s_clock_takes_no_session_away(days: int) -> None:
    first = [sent(1, at(0), 10, partition=1), sent(2, at(0.5), 12, partition=1)]
    then = [sent(3, at(0.7), 11, partition=1), sent(4, at(3), 11, partition=1)]
    stream = Stream()
    stream.take(*first)
    stream.take(sent(5, OPEN + timedelta(days=days), symbol="NEW", **opened(days)))
    stream.take(clock=OPEN + timedelta(days=days + 1))

    stream.take(*then)

    assert almost_equal(stream.minutes(), whole([*first, *then]))
    assert not stream.counts


def test_a_session_that_was_forgotten_does_not_begin_anew_in_a_partition_that_lags() -> None:
    stream = Stream()
    stream.take(sent(1, at(0), symbol="OLD"))
    stream.take(sent(2, OPEN + timedelta(days=5), symbol="NEW", **opened(5)))

    told = stream.take(sent(3, at(0.5), symbol="OLD", partition=1))

    assert told == []
    assert stream.counts == {"late": 1}
    # A later one does.
    (told_then,) = stream.take(sent(4, at(24 * 60), symbol="OLD", partition=1, **opened(1)))
    assert told_then.day == DAY + 1


def test_a_session_of_which_kafka_has_lost_the_beginning_is_left_to_the_batch() -> None:
    """Its rows are there already, perhaps: made of all trades, not of those that are left."""
    stream = Stream(headless=frozenset({1}))
    # Partition 0 is whole.
    told = stream.take(sent(1, at(200), partition=1), sent(2, at(200), symbol="IBM"))
    assert [news.symbol for news in told] == ["IBM"]
    told = stream.take(sent(3, at(300), partition=1), sent(4, at(-300), partition=1))
    assert [news.symbol for news in told] == ["IBM"]
    assert stream.counts == {"beheaded": 3}

    # The next one is whole, and stays so in the batches that follow.
    for minute in (0, 5):
        told = stream.take(sent(5 + minute, at(24 * 60 + minute), partition=1, **opened(1)))
        assert [news.day for news in told if news.symbol == "AAPL"] == [DAY + 1]
    assert stream.counts == {"beheaded": 3}


def test_the_same_batch_over_the_same_state_tells_the_same() -> None:
    first, second = Stream(), Stream()
    for stream in (first, second):
        stream.take(*(sent(i, at(i / 10), 10 + i / 100) for i in range(100)))
        stream.take(sent(200, at(30)), sent(201, at(12), fetched=at(30)))
    assert first.told == second.told
    assert first.memory.minutes == second.memory.minutes
    assert first.memory.books == second.memory.books


def test_volumes_beyond_64_bits_and_prices_without_digits_to_lose_are_exact() -> None:
    huge = 999_999_999_999  # whole: as a float its millionths would not be
    (one,) = whole([sent(i, at(0), 1_000_000 + (i % 3) / 100, huge) for i in range(30)]).values()
    assert one.volume == "29999999999970.000000"
    offsets = [(i % 3) / 100 for i in range(30)]
    mean = sum(offsets) / 30
    assert one.ss == pytest.approx(sum((o - mean) ** 2 for o in offsets), rel=1e-12)


@pytest.mark.parametrize(("price", "size"), [(0, 1), (-1, 1), (1, -1)])
def test_absurd_trades_enter_no_minute_until_corrected(price: float, size: float) -> None:
    stream = Stream()
    stream.take(sent(1, at(0)), sent(2, at(0.5), price, size))
    assert stream.minutes()[REGULAR, 0].n == 1
    stream.take(sent(3, at(1), 12, 2, "correct", 2))
    assert stream.minutes()[REGULAR, 0].n == 2


def test_a_batch_without_events_does_nothing() -> None:
    stream = Stream()
    assert stream.take() == []
    assert stream.memory.kept is None
