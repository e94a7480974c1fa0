"""Generated bars: what every bar promises, and that it depends on (seed, symbol, session) alone."""

from datetime import date

import pytest

from ingestion.calendar import Calendar, Session
from ingestion.sources.daily_bar import CENT, DailyBar
from ingestion.sources.market import Market, made_up

START, END = date(2012, 10, 1), date(2012, 12, 31)


@pytest.fixture(scope="module")
def bars(nyse: Calendar) -> list[DailyBar]:
    return [*Market(7, ("AAA", "BBB"), nyse).bars(START, END)]


def test_every_session_of_the_range_has_a_bar_of_each(bars: list[DailyBar], nyse: Calendar) -> None:
    sessions = nyse.sessions(START, END)

    # The exchange was closed for a storm on 29 and 30 October; 23 November was a half day.
    assert len(sessions) == 62
    for symbol in ("AAA", "BBB"):
        assert [bar.session for bar in bars if bar.symbol == symbol] == sessions
    assert any(bar.session.is_half_day for bar in bars)


def test_every_bar_can_be_traded(bars: list[DailyBar]) -> None:
    for bar in bars:
        assert bar.is_consistent()
        assert all(price % CENT == 0 for price in (bar.open, bar.high, bar.low, bar.close))
        assert bar.volume >= 20_000


def test_the_previous_close_is_the_bar_before(bars: list[DailyBar]) -> None:
    for symbol in ("AAA", "BBB"):
        closes = [bar.close for bar in bars if bar.symbol == symbol]
        assert [bar.previous_close for bar in bars if bar.symbol == symbol][1:] == closes[:-1]


def test_the_first_session_of_all_has_none_before_it(nyse: Calendar) -> None:
    first = next(Market(7, ("AAA",), nyse).bars())

    assert first.session.session_date == date(1998, 1, 2)
    assert first.previous_close is None


@pytest.mark.parametrize("symbols", [("BBB", "AAA"), ("AAA",), ("ZZZ", "AAA", "CCC")])
def test_a_bar_does_not_depend_on_what_else_is_asked_for(
    bars: list[DailyBar], nyse: Calendar, symbols: tuple[str, ...]
) -> None:
    later = Market(7, symbols, nyse).bars(date(2012, 11, 1), date(2013, 6, 28))

    found = {(bar.symbol, bar.session.session_date): bar for bar in later}
    shared = [bar for bar in bars if (bar.symbol, bar.session.session_date) in found]
    assert len(shared) == 41 * len({"AAA", "BBB"} & set(symbols))
    for bar in shared:
        assert found[bar.symbol, bar.session.session_date] == bar


def test_a_longer_calendar_adds_bars_and_changes_none(bars: list[DailyBar], nyse: Calendar) -> None:
    shorter = Calendar("XNYS", str(nyse.zone), _until(nyse.sessions(), END))

    assert [*Market(7, ("AAA", "BBB"), shorter).bars(START)] == bars


def _until(sessions: list[Session], day: date) -> list[Session]:
    return [session for session in sessions if session.session_date <= day]


def test_another_seed_or_symbol_is_another_path(bars: list[DailyBar], nyse: Calendar) -> None:
    closes = {s: [bar.close for bar in bars if bar.symbol == s] for s in ("AAA", "BBB")}
    other = [bar.close for bar in Market(8, ("AAA",), nyse).bars(START, END)]

    assert len({tuple(closes["AAA"]), tuple(closes["BBB"]), tuple(other)}) == 3


def test_three_decades_stay_plausible(nyse: Calendar) -> None:
    closes = [bar.close / 10**6 for bar in Market(7, made_up(40), nyse).bars()]

    assert min(closes) >= 1
    assert max(closes) < 10_000


def test_made_up_symbols_are_nobody_s() -> None:
    assert made_up(3) == ("SIM0001", "SIM0002", "SIM0003")
    assert made_up(3, ["IBM", "IBM"]) == ("IBM", "SIM0001", "SIM0002")
    assert made_up(1, ["IBM", "AAPL"]) == ("IBM",)
