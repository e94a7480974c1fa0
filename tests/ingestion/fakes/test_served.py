"""The served market: whose bars, on which days, at which moment."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ingestion import calendar
from ingestion.errors import SettingsError
from ingestion.fakes.running import Running, running
from ingestion.fakes.script import Drop, Truncate
from ingestion.fakes.served import Dating, moment
from ingestion.fakes.site import Options
from ingestion.fakes.universe import FUTURE_SESSIONS, LENT_SESSIONS, canonical, universe
from ingestion.sources import stocks_csv
from ingestion.sources.stocks_csv import Row
from tests.ingestion.fakes.conftest import EVENING, MORNING, Serve, chart, control, get

TEN = ("AAPL", "MSFT", "AMZN", "GOOGL", "META", "NVDA", "TSLA", "JPM", "V", "IBM")
LAST_RECORDED = date(2013, 3, 1)


def test_recorded_symbols_are_the_recorded_bars() -> None:
    rows = [row for row in stocks_csv.read(stocks_csv.packaged_file()) if isinstance(row, Row)]
    for symbol in ("AAPL", "IBM", "MSFT", "GOOG", "FB"):
        series = universe()[symbol]
        own = [row for row in rows if row.symbol == symbol]
        assert series.recorded
        assert [bar.session.session_date.isoformat() for bar in series.bars] == [
            row.session_date for row in own
        ]
        assert [bar.close for bar in series.bars] == [
            round(float(row.close) * 1_000_000) for row in own
        ]
    splits = {
        (symbol, series.bars[at].session.session_date.isoformat(), action.value)
        for symbol, series in universe().items()
        for at, action in series.actions.items()
        if series.recorded and action.type == "split"
    }
    assert splits == {
        ("AAPL", "2000-06-21", 2), ("AAPL", "2005-02-28", 2), ("MSFT", "2003-02-18", 2),
    }  # fmt: skip


def test_the_default_ten_and_more_than_a_hundred_have_two_years() -> None:
    found = universe()
    assert len(found) > 100
    for symbol in TEN:
        assert len(found[symbol].bars) >= LENT_SESSIONS
    lent = [series for series in found.values() if not series.recorded]
    assert {len(series.bars) for series in lent} == {LENT_SESSIONS}
    assert all(series.made_of.startswith("simulated: ") for series in lent)
    assert len({tuple(bar.close for bar in series.bars) for series in lent}) == len(lent)


def test_further_symbols_stay_the_same_when_there_are_more() -> None:
    assert universe(3)["SIM0002"].bars[0].close == universe(500)["SIM0002"].bars[0].close
    assert len(universe(500)) == len(universe()) + 500


def test_a_share_class_is_known_by_either_spelling(served: Running) -> None:
    assert [canonical(text) for text in ("BRK-B", "BRK.B", "BTC-USD", "A")] == [
        "BRK.B", "BRK.B", "BTC-USD", "A",
    ]  # fmt: skip
    assert chart(served, "BRK-B", range="1d", interval="1d")["meta"]["symbol"] == "BRK-B"
    quote = get(served, "FINNHUB_BASE_URL", "/quote", symbol="BRK.B", token="key").json()
    assert quote["t"] > 0


def test_recorded_sessions_stand_on_recent_ones_with_a_future_left() -> None:
    market = calendar.get()
    for today in (date(2026, 6, 30), date(2026, 7, 1), date(2026, 12, 31), date(2027, 11, 30)):
        dating = Dating.of(market, LAST_RECORDED, today)
        last = dating.sessions[dating.position[LAST_RECORDED] + dating.shift]
        future = market.sessions(today + timedelta(days=1), last.session_date)
        assert FUTURE_SESSIONS <= len(future) < LENT_SESSIONS - 252
    assert Dating.of(market, LAST_RECORDED, None).shift == 0
    with pytest.raises(SettingsError, match="ends before"):
        Dating.of(market, LAST_RECORDED, date(2027, 12, 20))


def test_a_day_has_the_same_prices_whenever_the_servers_are_started() -> None:
    market = calendar.get()
    days = date(2026, 7, 1), date(2026, 11, 25), date(2026, 11, 26), date(2026, 12, 31)
    assert len({Dating.of(market, LAST_RECORDED, day).shift for day in days}) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-02-28", datetime(2013, 2, 28, 21, 0, tzinfo=UTC)),
        ("2013-02-28T16:00Z", datetime(2013, 2, 28, 16, 0, tzinfo=UTC)),
        ("2013-02-28T11:00-05:00", datetime(2013, 2, 28, 16, 0, tzinfo=UTC)),
    ],
)
def test_a_moment_is_a_session_s_close_or_has_a_zone(text: str, expected: datetime) -> None:
    assert moment(text, calendar.get()) == expected


@pytest.mark.parametrize("text", ["2013-03-02", "yesterday", "2013-02-28T16:00"])
def test_another_moment_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--served-at"):
        moment(text, calendar.get())


def test_nothing_of_the_future_is_served(serve: Serve) -> None:
    evening = chart(serve(served_at=EVENING), "AAPL", range="max", interval="1d")
    assert max(evening["timestamp"]) < EVENING.timestamp()
    morning = chart(serve(served_at=MORNING), "AAPL", range="1d", interval="1m")
    assert max(morning["timestamp"]) <= MORNING.timestamp()
    assert len(morning["timestamp"]) == 90


def test_a_forming_bar_ends_as_the_recorded_one(served: Running) -> None:
    def set_clock(at: datetime) -> None:
        url = served.urls["CONTROL_URL"] + "/clock"
        assert httpx.post(url, json={"at": at.isoformat()}).status_code == 200

    close = datetime(2013, 2, 28, 21, 0, tzinfo=UTC)
    seen: list[dict[str, Any]] = []
    for at in (MORNING, close - timedelta(milliseconds=1), close):
        set_clock(at)
        [quote] = chart(served, "AAPL", range="1d", interval="1d")["indicators"]["quote"]
        seen.append({name: column[-1] for name, column in quote.items()})
    assert seen[1] == seen[2]
    assert seen[0]["volume"] < seen[2]["volume"]
    assert seen[0]["high"] <= seen[2]["high"]
    assert seen[0]["close"] != seen[2]["close"]


def test_time_goes_on_at_its_speed(serve: Serve) -> None:
    running = serve(served_at=MORNING, speed=3_600.0)
    first, last = control(running, "state"), control(running, "state")
    assert first["session_open"]
    passed = datetime.fromisoformat(last["now"]) - datetime.fromisoformat(first["now"])
    assert passed > timedelta(0)
    assert httpx.post(running.urls["CONTROL_URL"] + "/clock", json={"speed": 0}).status_code == 200
    assert control(running, "state")["now"] == control(running, "state")["now"]


def test_what_is_handed_out_is_noted_with_its_values(served: Running) -> None:
    for _ in range(2):
        found = chart(served, "FB", range="5d", interval="1d")
    noted = control(served, "observations", provider="yahoo", kind="bar.1d")
    [quote], [adjusted] = found["indicators"]["quote"], found["indicators"]["adjclose"]
    columns = [quote[name] for name in ("open", "high", "low", "close", "volume")]
    assert [one["values"] for one in noted] == [
        list(row) for row in zip(*columns, adjusted["adjclose"], strict=True)
    ]
    assert [int(one["time"]) for one in noted] == found["timestamp"]
    assert {(one["symbol"], one["times"]) for one in noted} == {("FB", 2)}
    counts = control(served, "counts")
    assert (counts["observations"], counts["handed_out"]) == (5, 10)


def test_what_did_not_arrive_whole_is_not_noted(serve: Serve) -> None:
    running = serve(
        Truncate(provider="yahoo", at_request=1, requests=1),
        Drop(provider="yahoo", at_request=2, requests=1),
    )
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError):
            chart(running, "FB", range="5d", interval="1d")
    assert control(running, "observations") == []
    httpx.post(running.urls["CONTROL_URL"] + "/reset")
    assert control(running, "counts")["requests"] == {}


def test_the_label_tells_what_is_simulated(served: Running) -> None:
    answer = get(served, "FINNHUB_BASE_URL", "/quote", symbol="FB", token="key")
    assert answer.headers["X-Tapehouse-Simulated"] == "true"
    made = {one["symbol"]: one for one in control(served, "instruments")}
    assert made["AAPL"]["recorded"]
    assert not made["NVDA"]["recorded"]
    meta = chart(served, "NVDA", range="1d", interval="1d")["meta"]
    assert "simulated: " in meta["longName"]


def test_trades_of_one_seed_are_the_same_everywhere() -> None:
    def minutes(seed: int) -> Any:
        with running(Options(served_at=EVENING, speed=0, seed=seed)) as servers:
            return chart(servers, "V", range="1d", interval="5m")["indicators"]

    assert minutes(7) == minutes(7) != minutes(8)


def _start(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ingestion", "fakes", "--port-base", "0", *options]
    root = Path(__file__).parents[3]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=root, env=dict(os.environ), stdout=pipe, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_settings_serves_and_ends_well(number: signal.Signals) -> None:
    with _start("--served-at", "2013-02-28") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(6)]
        settings = dict(line.split("=", 1) for line in lines[:5])
        assert list(settings) == [
            "YAHOO_BASE_URL", "YAHOO_STREAM_URL", "FINNHUB_BASE_URL", "FINNHUB_STREAM_URL",
            "ALPHAVANTAGE_BASE_URL",
        ]  # fmt: skip
        url = settings["FINNHUB_BASE_URL"] + "/quote?symbol=FB&token=key"
        assert json.loads(httpx.get(url).text)["c"] == 27.25
        assert lines[5].startswith("# control: http")
        process.send_signal(number)
        assert process.wait(20) == 0


def test_the_command_serves_one_provider_and_refuses_an_unknown_one() -> None:
    with _start("--provider", "finnhub") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("FINNHUB_BASE_URL=")
        process.terminate()
        assert process.wait(20) == 0
    with _start("--provider", "nobody") as process:
        assert process.wait(20) == 1
