"""The timetables against exchange_calendars itself, which they only see through our calendar."""

from datetime import UTC, datetime, timedelta

import exchange_calendars
import pandas as pd
import pendulum
import pytest
from airflow.timetables.base import DataInterval, TimeRestriction, Timetable

from orchestration.timetables import IntradayTimetable, SessionTimetable

DELAY = timedelta(minutes=30)
# Three years with every kind of day: holidays, half days, both clock changes, a day of mourning.
FIRST, LAST = "2024-01-01", "2026-12-31"


@pytest.fixture(scope="module")
def schedule() -> pd.DataFrame:
    return exchange_calendars.get_calendar("XNYS", start=FIRST, end=LAST).schedule


def runs(timetable: Timetable, first: str, last: str) -> list[tuple[datetime, datetime, datetime]]:
    """Every run with catch-up: (interval's start, its end, when it is due)."""
    restriction = TimeRestriction(pendulum.parse(first), pendulum.parse(last), catchup=True)  # type: ignore[arg-type]
    found, interval = [], None
    while info := timetable.next_dagrun_info(
        last_automated_data_interval=interval, restriction=restriction
    ):
        interval = info.data_interval
        assert interval is not None
        found.append((interval.start, interval.end, info.run_after))
    return found


def test_a_run_follows_each_session_and_no_other_day(schedule: pd.DataFrame) -> None:
    found = runs(SessionTimetable("XNYS", DELAY), FIRST, "2027-01-01")

    expected = [
        (row.open.to_pydatetime(), row.close.to_pydatetime(), row.close.to_pydatetime() + DELAY)
        for row in schedule.itertuples()
    ]
    assert found == expected
    assert len(found) > 750


def test_intraday_runs_tile_each_session(schedule: pd.DataFrame) -> None:
    found = runs(IntradayTimetable("XNYS"), FIRST, "2027-01-01")

    expected = [
        (start.to_pydatetime(), min(start + pd.Timedelta("15min"), row.close).to_pydatetime())
        for row in schedule.itertuples()
        for start in pd.date_range(row.open, row.close, freq="15min", inclusive="left")
    ]
    assert [(start, end) for start, end, _ in found] == expected


def test_the_last_interval_of_a_session_may_be_short() -> None:
    found = runs(IntradayTimetable("XNYS", every=timedelta(minutes=45)), "2026-11-27", "2026-11-28")

    # The half day after Thanksgiving: 14:30 to 18:00 UTC.
    lengths = [(end - start).total_seconds() / 60 for start, end, _ in found]
    assert lengths == [45, 45, 45, 45, 30]


def test_without_catch_up_only_the_last_run_that_is_due_is_made_up_for() -> None:
    timetable = SessionTimetable("XNYS", DELAY)
    # Thanksgiving 2026: the exchange is closed, Wednesday's run is the last one due.
    timetable.now = lambda: datetime(2026, 11, 26, 15, tzinfo=UTC)
    restriction = TimeRestriction(pendulum.datetime(2026, 1, 1), None, catchup=False)

    info = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)

    assert info is not None
    assert info.run_after == datetime(2026, 11, 25, 21, 30, tzinfo=UTC)
    then = timetable.next_dagrun_info(
        last_automated_data_interval=info.data_interval, restriction=restriction
    )
    assert then is not None
    assert then.run_after == datetime(2026, 11, 27, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "session"),
    [
        ("2026-11-25T21:29:00Z", "2026-11-24"),  # closed, and not due yet
        ("2026-11-25T21:30:00Z", "2026-11-25"),
        ("2026-11-26T15:00:00Z", "2026-11-25"),  # a holiday
        ("2026-11-29T15:00:00Z", "2026-11-27"),  # a weekend
    ],
)
def test_a_run_by_hand_is_about_the_last_session_that_was_due(moment: str, session: str) -> None:
    at = pendulum.parse(moment)
    assert isinstance(at, pendulum.DateTime)

    interval = SessionTimetable("XNYS", DELAY).infer_manual_data_interval(run_after=at)

    assert interval.start.date().isoformat() == session


@pytest.mark.parametrize(
    "timetable",
    [
        SessionTimetable("XLON", DELAY),
        IntradayTimetable("XNYS", timedelta(minutes=1), timedelta(minutes=5)),
    ],
)
def test_what_the_database_gives_back_is_the_same_timetable(timetable: Timetable) -> None:
    again = type(timetable).deserialize(timetable.serialize())

    assert again.serialize() == timetable.serialize()
    assert again.summary == timetable.summary
    last = DataInterval(pendulum.datetime(2026, 3, 5), pendulum.datetime(2026, 3, 5, 1))
    restriction = TimeRestriction(None, None, catchup=True)
    infos = [
        one.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        for one in (timetable, again)
    ]
    assert infos[0] == infos[1] != None  # noqa: E711 - both, and that there is one
