from datetime import UTC, date, datetime

import pytest

from ingestion import calendar
from ingestion.produce.options import MAX_RUN_ID
from orchestration import words

OPEN = datetime(2026, 11, 25, 14, 30, tzinfo=UTC)


def test_a_fetch_names_sessions_and_symbols() -> None:
    day = date(2026, 11, 25)

    command = words.fetch("yahoo", (day, day), ["AAPL", "MSFT"], "run-1")

    assert " ".join(command) == (
        "ingestion produce yahoo --start 2026-11-25 --end 2026-11-25 "
        "--symbol AAPL --symbol MSFT --run-id run-1"
    )


def test_without_bounds_and_symbols_the_command_decides() -> None:
    assert words.fetch("bars", (None, None), [], "r") == [
        *("ingestion", "produce", "bars", "--run-id", "r")
    ]


@pytest.mark.parametrize(
    ("params", "start", "expected"),
    [
        ({}, OPEN, (date(2026, 10, 15), date(2026, 11, 25))),
        ({"start": None, "end": None}, None, (None, None)),
        ({"start": "2013-02-25", "end": "2013-03-01"}, OPEN, (date(2013, 2, 25), date(2013, 3, 1))),
        ({"start": "2013-02-25"}, OPEN, (date(2013, 2, 25), None)),
        # Thanksgiving: no session, so the last one before it.
        ({}, datetime(2026, 11, 26, 14, 30, tzinfo=UTC), (date(2026, 10, 15), date(2026, 11, 25))),
    ],
)
def test_bounds_are_the_form_s_else_the_interval_s(
    params: dict[str, str], start: datetime | None, expected: tuple[date | None, date | None]
) -> None:
    assert words.bounds(params, start, calendar.get()) == expected


def test_a_recomputation_leaves_compaction_out() -> None:
    assert words.recompute((date(2013, 2, 25), date(2013, 3, 1))) == [
        *("spark_jobs", "run", "bars", "daily-metrics", "window-metrics", "anomalies"),
        *("--start", "2013-02-25", "--end", "2013-03-01"),
    ]


def test_an_audit_excuses_only_what_came_after_the_run() -> None:
    ends = {"t/aa/1": 7, "t/aa/0": 5, "t/aa/2": 0}

    assert words.audit(("bronze", "lake"), ends) == [
        *("audit", "--stage", "bronze", "--stage", "lake", "--allow-behind"),
        *("--until", "t/aa/0=5", "--until", "t/aa/1=7"),
    ]
    assert words.audit((), {}) == ["audit", "--allow-behind"]


def test_each_try_of_a_run_has_a_name_of_its_own_that_a_producer_takes() -> None:
    long = "manual__2026-11-25T14:30:00.123456+00:00" * 3
    names = {
        words.run_name("stock_market_batch_pipeline", run, attempt)
        for run in (long, f"{long}x", "scheduled__2026-11-25T14:30:00+00:00")
        for attempt in (1, 2, 12)
    }

    assert len(names) == 9
    assert all(len(name) <= MAX_RUN_ID for name in names)
    assert all(name.replace("-", "").isalnum() for name in names)
