"""Dates on which markets go wrong: clock changes, half days, a split, a halt over a weekend."""

from datetime import UTC, date, datetime, timedelta

from spark_jobs.schemas import ANOMALIES, BARS, DAILY_METRICS, TRADE_BARS, TRADES, WINDOW_METRICS
from tests.spark_jobs.conftest import Lake
from tests.spark_jobs.messages import action, bar, trade

# Moments in UTC, and the session of each in New York, if it has one. Its clock was put forward on
# Sunday, 10 March 2024, and back on Sunday, 3 November; Thanksgiving was on 28 November.
SESSIONS = {
    "2024-03-08T14:30:00": "2024-03-08",
    "2024-03-09T00:59:59": "2024-03-08",  # Friday 19:59:59
    "2024-03-09T04:59:59": "2024-03-08",  # Friday 23:59:59
    "2024-03-09T05:00:00": None,  # Saturday
    "2024-03-10T07:30:00": None,
    "2024-03-11T03:59:59": None,  # Sunday 23:59:59, by the new clock
    "2024-03-11T04:00:00": "2024-03-11",
    "2024-03-11T13:30:00": "2024-03-11",
    "2024-03-12T03:59:59": "2024-03-11",
    "2024-11-01T13:30:00": "2024-11-01",
    "2024-11-02T03:59:59": "2024-11-01",  # Friday 23:59:59
    "2024-11-02T04:00:00": None,
    "2024-11-03T06:30:00": None,
    "2024-11-04T04:59:59": None,  # Sunday 23:59:59, by the new clock
    "2024-11-04T05:00:00": "2024-11-04",
    "2024-11-04T14:30:00": "2024-11-04",
    "2024-11-05T00:59:59": "2024-11-04",  # Monday 19:59:59
    "2024-11-28T15:00:00": None,
    "2024-11-29T17:59:59": "2024-11-29",
    "2024-11-29T18:00:00": "2024-11-29",
    "2024-11-30T00:59:59": "2024-11-29",  # Friday 19:59:59
}
FRIDAY, MONDAY = "2020-08-28", "2020-08-31"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_moment_s_session_and_segment_around_clock_changes_and_a_half_day(lake: Lake) -> None:
    lake.send_trades([trade(n, utc(at)) for n, at in enumerate(SESSIONS)])
    lake.compact()
    lake.bars()

    numbers = {n: day for n, day in enumerate(SESSIONS.values()) if day}
    rows = lake.rows(TRADES).select("seq", "session_date").collect()
    assert {row["seq"]: row["session_date"].isoformat() for row in rows} == numbers
    bars = lake.rows(TRADE_BARS).where("interval = '1m'").collect()
    segments = {f"{row['start_at'].astimezone(UTC):%Y-%m-%dT%H:%M}": row["segment"] for row in bars}
    regular = {at for at, segment in segments.items() if segment == "regular"}
    assert regular == {
        *("2024-03-08T14:30", "2024-03-11T13:30", "2024-11-01T13:30", "2024-11-04T14:30"),
        "2024-11-29T17:59",
    }
    assert segments["2024-11-29T18:00"] == "post"
    assert segments["2024-03-11T04:00"] == "pre"
    # A day's bar ends when the session does.
    days = lake.rows(TRADE_BARS).where("interval = '1d'").collect()
    lengths = {row["session_date"].isoformat(): row["end_at"] - row["start_at"] for row in days}
    whole, half = timedelta(hours=6.5), timedelta(hours=3.5)
    assert lengths == dict.fromkeys(
        ("2024-03-08", "2024-03-11", "2024-11-01", "2024-11-04"), whole
    ) | {"2024-11-29": half}


def test_the_split_of_2020_08_31_is_one_where_it_was_told(lake: Lake) -> None:
    """Apple's, four for one; told of AAPL, not told of MISS."""
    prices = {
        FRIDAY: {"open": "504.05", "high": "505.77", "low": "498.31", "close": "499.23"},
        MONDAY: {"open": "127.58", "high": "131.00", "low": "126.00", "close": "129.04"},
    }
    symbols = ("AAPL", "MISS")
    opens = {FRIDAY: utc(f"{FRIDAY}T13:30:00"), MONDAY: utc(f"{MONDAY}T13:30:00")}
    lake.send_batch(
        [
            *(bar(day, symbol, **prices[day]) for symbol in symbols for day in prices),
            action(MONDAY, "AAPL", ratio="4"),
            bar(MONDAY, "STRAY", **prices[MONDAY]) | {"event_time": "2020-08-30T13:30:00Z"},
        ]
    )
    lake.send_trades(
        [
            trade(n, opens[day] + timedelta(minutes=n), price, "10", symbol)
            for symbol in symbols
            for n, (day, price) in enumerate(
                (day, one[name]) for day, one in prices.items() for name in ("open", "low", "close")
            )
        ]
    )
    lake.compact()
    lake.daily()
    lake.bars()
    lake.anomalies()

    assert lake.rows(BARS).count() == 4, "no bar of a Sunday"
    daily = lake.rows(DAILY_METRICS).where("symbol = 'AAPL'").orderBy("session_date").collect()
    found = [(row["session_date"].isoformat(), str(row["daily_close"])) for row in daily]
    assert found == [(FRIDAY, "499.230000"), (MONDAY, "129.040000")]
    days = lake.rows(TRADE_BARS).where("interval = '1d' and symbol = 'AAPL'")
    ends = [
        (str(row["open"]), str(row["low"]), str(row["close"]))
        for row in days.orderBy("session_date").collect()
    ]
    # As traded, and no bar has both.
    assert ends == [
        ("504.050000", "498.310000", "499.230000"),
        ("127.580000", "126.000000", "129.040000"),
    ]
    jumps = lake.rows(ANOMALIES).where("rule = 'session_jump'").collect()
    assert [(row["symbol"], row["subject"]) for row in jumps] == [("MISS", MONDAY)]


def test_a_halt_from_friday_to_monday_leaves_no_bar_and_no_return_behind(lake: Lake) -> None:
    """From 15:10 on 1 November 2024 to 10:45 on the 4th, the clock put back in between."""
    before, after = utc("2024-11-01T19:09:00"), utc("2024-11-04T15:45:00")
    moments = [
        *(before - timedelta(minutes=n) for n in range(30)),
        *(after + timedelta(minutes=n) for n in range(30)),
    ]
    prices = [f"{(8 if at <= before else 5) + n % 3 / 100:.2f}" for n, at in enumerate(moments)]
    lake.send_trades([trade(n, at, prices[n]) for n, at in enumerate(moments)])
    lake.compact()
    lake.bars()
    lake.windows()

    ones = lake.rows(TRADE_BARS).where("interval = '1m'").orderBy("start_at").collect()
    assert [row["start_at"].astimezone(UTC) for row in ones] == sorted(moments)
    assert {row["session_date"] for row in ones} == {date(2024, 11, 1), date(2024, 11, 4)}
    found = {
        row["window_end_at"].astimezone(UTC): row for row in lake.rows(WINDOW_METRICS).collect()
    }
    assert len(found) == 2 * 78
    # Friday's last window still sees minutes before the halt, Monday's first ones see nothing.
    assert found[utc("2024-11-01T20:00:00")]["n_obs_1h"] == 10
    halted = [row for at, row in found.items() if utc("2024-11-04T14:30:00") < at <= after]
    assert len(halted) == 15
    assert {(row["n_obs_1h"], row["ma_1h"], row["coverage_1h"]) for row in halted} == {(0, None, 0)}
    first = found[after + timedelta(minutes=5)]
    assert (first["n_obs_15m"], first["n_obs_1h"]) == (5, 5)
    # Four returns: none leads from Friday's 8 to Monday's 5.
    assert first["return_volatility_1h"] < 0.01
    assert first["ma_5_periods"] is None, "means of bars begin anew, too"
