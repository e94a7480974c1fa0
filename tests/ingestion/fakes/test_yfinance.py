"""The real yfinance, over HTTP and over its WebSockets, against the local Yahoo."""

import asyncio
import logging
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ingestion.fakes.running import Running
from ingestion.fakes.script import NullRow, Restate, Split, Status
from tests.ingestion.fakes.conftest import EVENING, MORNING, Serve, chart, control

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import curl_cffi.requests
    import yfinance as yf
    from yfinance.data import YfData
    from yfinance.exceptions import YFRateLimitError

pytestmark = pytest.mark.filterwarnings("ignore")  # the library warns about itself and pandas

PRICES = ["Open", "High", "Low", "Close"]


class LocalYahoo(curl_cffi.requests.Session):
    """Sends what is meant for yahoo.com to a local server."""

    def __init__(self, base: str) -> None:
        super().__init__(impersonate="chrome")
        self._base = base

    def request(self, method: str, url: str, **options: Any) -> Any:
        parts = urlsplit(url)
        if (parts.hostname or "").endswith("yahoo.com"):
            url = self._base + parts.path + (f"?{parts.query}" if parts.query else "")
        return super().request(method, url, **options)


@pytest.fixture(autouse=True)
def fresh_client(tmp_path: Path) -> Iterator[None]:
    """The client keeps zones on disk, and answers and its session in the process."""
    yf.set_tz_cache_location(str(tmp_path))
    yf.config.debug.hide_exceptions = False
    _forget()
    yield
    _forget()
    yf.config.debug.hide_exceptions = True


def _forget() -> None:
    YfData().cache_get.cache_clear()
    YfData()._cookie = YfData()._crumb = None
    YfData()._set_cookie_strategy("basic")


def _ticker(running: Running, symbol: str) -> Any:
    return yf.Ticker(symbol, session=LocalYahoo(running.urls["YAHOO_BASE_URL"]))


def _history(running: Running, symbol: str, **options: Any) -> Any:
    wanted = {"auto_adjust": False, "actions": True, "keepna": True, "repair": False}
    return _ticker(running, symbol).history(**(wanted | options))


def test_daily_bars_are_those_that_were_recorded(served: Running) -> None:
    frame = _history(served, "FB", start="2013-02-25", end="2013-03-01")
    assert [str(day.date()) for day in frame.index] == [
        "2013-02-25", "2013-02-26", "2013-02-27", "2013-02-28",
    ]  # fmt: skip
    assert [round(float(price), 4) for price in frame.iloc[-1][PRICES]] == [
        26.84, 27.3, 26.34, 27.25,
    ]  # fmt: skip
    assert frame["Volume"].iloc[-1] == 83_027_800
    assert str(frame.index.tz) == "America/New_York"


def test_prices_are_float32_widened_as_the_provider_sends_them(served: Running) -> None:
    frame = _history(served, "FB", start="2013-02-27", end="2013-02-28")
    assert float(frame["Close"].iloc[0]) == 26.8700008392334


def test_a_split_is_in_the_history_and_in_the_events(served: Running) -> None:
    frame = _history(served, "AAPL", start="2005-02-24", end="2005-03-03")
    assert frame["Stock Splits"].tolist() == [0, 0, 2.0, 0, 0]
    # 88.99 was paid on the Friday before; on the new basis it is half of it.
    assert round(float(frame["Close"].iloc[1]), 3) == 44.495
    assert abs(float(frame["Close"].iloc[2]) - 44.86) < 0.01


def test_dividends_lower_the_adjusted_close_before_them(served: Running) -> None:
    frame = _history(served, "IBM", start="2013-02-05", end="2013-02-09")
    assert frame["Dividends"].tolist() == [0, 0.85, 0, 0]
    ratio = float(frame["Adj Close"].iloc[0] / frame["Close"].iloc[0])
    assert ratio == pytest.approx(1 - 0.85 / float(frame["Close"].iloc[0]), abs=1e-6)
    assert float(frame["Adj Close"].iloc[1]) == float(frame["Close"].iloc[1])


def test_download_gives_several_symbols_at_once(served: Running) -> None:
    session = LocalYahoo(served.urls["YAHOO_BASE_URL"])
    frame = yf.download(
        ["AAPL", "IBM", "NVDA"],
        start="2012-03-01",
        end="2013-03-01",
        auto_adjust=False,
        progress=False,
        session=session,
    )
    assert sorted(set(frame.columns.get_level_values("Ticker"))) == ["AAPL", "IBM", "NVDA"]
    assert len(frame) == 250
    assert not frame["Close"].isna().any().any()


def test_a_range_is_counted_from_the_servers_own_moment(served: Running) -> None:
    assert len(_history(served, "AAPL", period="5d")) == 5


def test_while_a_session_is_under_way_the_last_row_comes_twice_and_one_is_kept(
    serve: Serve,
) -> None:
    running = serve(served_at=MORNING)
    frame = _history(running, "AAPL", period="5d")
    assert len({day.date() for day in frame.index}) == len(frame) == 5
    [request] = [
        one
        for one in control(running, "observations", kind="bar.1d")
        if one["time"] == str(int(MORNING.timestamp()) - 90 * 60)
    ]
    assert request["symbol"] == "AAPL"
    assert len(control(running, "observations", kind="bar.1d")) == 6


def test_intraday_bars_come_in_the_exchange_s_time_and_30_minutes_are_resampled(
    served: Running,
) -> None:
    minutes = _history(served, "AAPL", period="1d", interval="1m")
    assert str(minutes.index[0]) == "2013-02-28 09:30:00-05:00"
    assert len(minutes) <= 390
    halves = _history(served, "AAPL", period="1d", interval="30m")
    assert len(halves) == 13
    assert float(halves["High"].max()) == float(minutes["High"].max())
    asked = [one["path"] for one in control(served, "requests")]
    assert "/v8/finance/chart/AAPL" in asked


def test_too_long_a_range_of_minutes_is_refused_with_the_provider_s_reason(served: Running) -> None:
    with pytest.raises(yf.exceptions.YFPricesMissingError, match="Only 8 days worth of 1m"):
        _history(served, "AAPL", start="2013-02-01", end="2013-02-20", interval="1m")
    statuses = [one["status"] for one in control(served, "requests")]
    assert "422" in statuses


def test_an_unknown_symbol_is_an_error_after_every_question_the_client_asks(
    served: Running,
) -> None:
    with pytest.raises(curl_cffi.requests.exceptions.HTTPError, match="404"):
        _history(served, "NOSUCH", start="2013-02-01", end="2013-02-20")
    yf.config.debug.hide_exceptions = True
    assert _ticker(served, "NOSUCH").get_info() == {"trailingPegRatio": None}
    paths = {one["path"] for one in control(served, "requests")}
    assert "/v10/finance/quoteSummary/NOSUCH" in paths


def test_by_default_the_client_hides_an_unknown_symbol_in_an_empty_frame(
    served: Running, caplog: pytest.LogCaptureFixture
) -> None:
    yf.config.debug.hide_exceptions = True
    caplog.set_level(logging.CRITICAL, logger="yfinance")
    assert _history(served, "NOSUCH", start="2013-02-01", end="2013-02-20").empty


def test_a_wave_of_429_becomes_the_client_s_rate_limit_error_and_passes(serve: Serve) -> None:
    running = serve(Status(provider="yahoo", kind="chart", at_request=1, requests=5, status=429))
    with pytest.raises(YFRateLimitError):
        _history(running, "AAPL", period="5d")
    for _ in range(3):
        try:
            frame = _history(running, "AAPL", period="5d")
        except YFRateLimitError:
            continue
        assert len(frame) == 5
        return
    pytest.fail("the wave did not pass")


def test_a_null_row_is_kept_and_later_backfilled(serve: Serve) -> None:
    running = serve(
        NullRow(provider="yahoo", symbol="IBM", session=-1, keep_volume=True, for_s=1.5)
    )
    frame = _history(running, "IBM", start="2013-02-27", end="2013-03-01")
    assert frame["Close"].isna().tolist() == [False, True]
    assert frame["Volume"].iloc[-1] > 0
    _wait(running, 1.6)
    _forget()
    frame = _history(running, "IBM", start="2013-02-27", end="2013-03-01")
    assert not frame["Close"].isna().any()


def test_a_split_that_appears_re_bases_the_history(serve: Serve) -> None:
    running = serve(Split(provider="yahoo", symbol="IBM", session=-1, ratio=2, at_s=1.0))
    before = _history(running, "IBM", start="2013-02-06", end="2013-03-01")
    _wait(running, 1.1)
    _forget()
    after = _history(running, "IBM", start="2013-02-06", end="2013-03-01")
    assert (after["Close"] / before["Close"]).round(6).tolist() == [0.5] * 16
    assert after["Stock Splits"].tolist() == [0] * 15 + [2]
    assert (before["Dividends"].iloc[0], after["Dividends"].iloc[0]) == (0.85, 0.425)
    assert (after["Volume"] == 2 * before["Volume"]).all()


def test_a_split_re_bases_the_minutes_before_it(serve: Serve) -> None:
    plain = serve()
    split = serve(Split(provider="yahoo", symbol="IBM", session=-1, ratio=2))
    days = {"start": "2013-02-27", "end": "2013-02-28", "interval": "1m"}
    before = _history(plain, "IBM", **days)
    _forget()
    after = _history(split, "IBM", **days)
    traded = before["Volume"] > 0
    assert 100 < traded.sum() < len(before) == len(after) == 390
    assert (after["Close"] / before["Close"])[traded].round(6).unique().tolist() == [0.5]
    assert (after["Volume"] == 2 * before["Volume"]).all()
    [quote] = chart(plain, "IBM", period1=1361975400, period2=1361998800, interval="1m")[
        "indicators"
    ]["quote"]
    assert [volume is None for volume in quote["volume"]] == (~traded).tolist()


def test_a_restated_bar_has_its_new_values(serve: Serve) -> None:
    running = serve(Restate(provider="yahoo", symbol="IBM", session=-2, close="200.5"))
    frame = _history(running, "IBM", start="2013-02-27", end="2013-03-01")
    assert float(frame["Close"].iloc[0]) == 200.5


def test_the_last_year_is_there_for_a_client_that_knows_only_the_wall_clock(serve: Serve) -> None:
    running = serve(served_at=None, speed=1.0)
    today = datetime.now(UTC).date()
    frame = _history(running, "META", start=str(today - timedelta(days=365)), end=str(today))
    assert 245 <= len(frame) <= 253
    assert today - frame.index[-1].date() <= timedelta(days=5)


def test_the_websocket_decodes_what_the_local_streamer_sends(serve: Serve) -> None:
    running = serve(served_at=MORNING, speed=60.0)
    found: list[dict[str, Any]] = []
    socket = yf.WebSocket(url=running.urls["YAHOO_STREAM_URL"], verbose=False)

    def keep(message: dict[str, Any]) -> None:
        found.append(message)
        if len(found) == 4:
            raise KeyboardInterrupt  # the client's own way out of listen()

    with socket:
        socket.subscribe(["AAPL", "MSFT"])
        socket.listen(keep)
    assert {one["id"] for one in found} <= {"AAPL", "MSFT"}
    first = found[0]
    assert first["quote_type"] == 8
    assert first["market_hours"] == 1
    assert isinstance(first["time"], str)
    assert abs(int(first["time"]) / 1000 - MORNING.timestamp()) < 600
    assert first["day_low"] <= first["price"] <= first["day_high"]
    volumes = [int(one["day_volume"]) for one in found if one["id"] == first["id"]]
    assert volumes == sorted(volumes)
    given = control(running, "observations", provider="yahoo", kind="price")
    assert {one["time"] for one in given} >= {one["time"] for one in found}


def test_the_asynchronous_websocket_too(serve: Serve) -> None:
    running = serve(served_at=MORNING, speed=60.0)

    async def first_message() -> dict[str, Any]:
        found: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        async with yf.AsyncWebSocket(url=running.urls["YAHOO_STREAM_URL"], verbose=False) as socket:
            await socket.subscribe("AAPL")
            listening = asyncio.create_task(
                socket.listen(lambda one: found.done() or found.set_result(one))
            )
            message = await asyncio.wait_for(found, 10)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            return message

    assert asyncio.run(first_message())["id"] == "AAPL"


def _wait(running: Running, elapsed_s: float) -> None:
    left = elapsed_s - running.house.record.elapsed_s()
    threading.Event().wait(max(left, 0.0))


def test_the_year_of_the_default_ten_is_complete(serve: Serve) -> None:
    running = serve(served_at=EVENING)
    ten = ["AAPL", "MSFT", "AMZN", "GOOGL", "META", "NVDA", "TSLA", "JPM", "V", "IBM"]
    for symbol in ten:
        assert len(_history(running, symbol, start="2012-02-29", end="2013-03-01")) == 251, symbol
