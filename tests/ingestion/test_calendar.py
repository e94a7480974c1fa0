from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ingestion import calendar
from ingestion.calendar import Calendar


@pytest.fixture(scope="module")
def nyse() -> Calendar:
    return calendar.get()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "open_at", "close_at", "minutes", "half"),
    [
        (date(2013, 3, 1), "2013-03-01T14:30", "2013-03-01T21:00", 390, False),
        # The day after Thanksgiving ends at 13:00 in New York.
        (date(2012, 11, 23), "2012-11-23T14:30", "2012-11-23T18:00", 210, True),
        (date(2012, 12, 24), "2012-12-24T14:30", "2012-12-24T18:00", 210, True),
        (date(2012, 7, 3), "2012-07-03T13:30", "2012-07-03T17:00", 210, True),
        # The clocks of New York and UTC drift apart on 2013-03-10 and 2012-11-04.
        (date(2013, 3, 8), "2013-03-08T14:30", "2013-03-08T21:00", 390, False),
        (date(2013, 3, 11), "2013-03-11T13:30", "2013-03-11T20:00", 390, False),
        (date(2012, 11, 2), "2012-11-02T13:30", "2012-11-02T20:00", 390, False),
        (date(2012, 11, 5), "2012-11-05T14:30", "2012-11-05T21:00", 390, False),
    ],
)
def test_a_session_opens_and_closes_as_the_exchange_did(
    nyse: Calendar, day: date, open_at: str, close_at: str, minutes: int, half: bool
) -> None:
    session = nyse.session(day)

    assert session is not None
    assert (session.open_at, session.close_at) == (at(open_at), at(close_at))
    assert (session.n_minutes, session.is_half_day) == (minutes, half)


@pytest.mark.parametrize(
    "day",
    [
        date(2012, 10, 29),  # hurricane Sandy
        date(2012, 10, 30),
        date(2001, 9, 11),
        date(2012, 12, 25),
        date(2013, 3, 2),  # a Saturday
    ],
)
def test_a_closed_day_is_no_session(nyse: Calendar, day: date) -> None:
    assert nyse.session(day) is None


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2013-03-01T20:59:59", date(2013, 3, 1)),
        ("2013-03-01T09:00", date(2013, 3, 1)),  # before the open
        ("2013-03-02T00:59", date(2013, 3, 1)),  # the evening before, in New York
        ("2013-03-01T04:59", date(2013, 2, 28)),
        ("2013-03-02T15:00", None),
    ],
)
def test_a_moment_belongs_to_the_session_of_its_local_date(
    nyse: Calendar, moment: str, day: date | None
) -> None:
    session = nyse.session_of(at(moment))

    assert (session.session_date if session else None) == day


def test_sessions_are_bounded_inclusively_and_in_order(nyse: Calendar) -> None:
    found = [s.session_date for s in nyse.sessions(date(2012, 10, 26), date(2012, 10, 31))]

    assert found == [date(2012, 10, 26), date(2012, 10, 31)]


def test_a_year_has_the_sessions_it_had(nyse: Calendar) -> None:
    assert len(nyse.sessions(date(2012, 1, 1), date(2012, 12, 31))) == 250
    assert len(nyse.sessions(date(2024, 1, 1), date(2024, 12, 31))) == 252


def test_a_calendar_from_the_cache_is_the_computed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calendar.get.cache_clear()
    computed = calendar.get("XNYS").sessions()
    calendar.get.cache_clear()
    monkeypatch.setattr(calendar, "compute", lambda name: pytest.fail(f"computed {name} again"))

    assert calendar.get("XNYS").sessions() == computed
    assert {session.n_minutes for session in computed} == {210, 390}
