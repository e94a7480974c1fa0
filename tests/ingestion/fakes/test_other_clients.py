"""The real finnhub-python and alpha_vantage against the local servers."""

import asyncio
import json
import warnings
from typing import Any

import pytest
import websockets

from ingestion.fakes.running import Running
from ingestion.fakes.script import Drop, ErrorFrame, Limit, Mute, Refusal, StaleQuote, Status
from tests.ingestion.fakes.conftest import EVENING, MORNING, Serve, control, get

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import finnhub
    from alpha_vantage.timeseries import TimeSeries

NO_LIMITS: dict[str, Any] = {"limits": {"alphavantage": (), "finnhub": ()}}
PREMIUM: dict[str, Any] = {"plans": {"alphavantage": "premium", "finnhub": "premium"}}


def _finnhub(running: Running, key: str = "key") -> Any:
    class Local(finnhub.Client):  # type: ignore[misc]
        API_URL = running.urls["FINNHUB_BASE_URL"]

    return Local(key)


def test_finnhub_quote_of_a_closed_session_is_the_recorded_bar(served: Running) -> None:
    assert _finnhub(served).quote("FB") == {
        "c": 27.25, "d": 0.38, "dp": 1.4142, "h": 27.3, "l": 26.34, "o": 26.84, "pc": 26.87,
        "t": int(EVENING.timestamp()) - 3600,
    }  # fmt: skip


def test_finnhub_quote_follows_the_session(serve: Serve) -> None:
    quote = _finnhub(serve(served_at=MORNING)).quote("AAPL")
    assert quote["l"] <= quote["c"] <= quote["h"]
    assert 0 <= MORNING.timestamp() - quote["t"] < 300


def test_finnhub_gives_zeros_for_an_unknown_symbol(served: Running) -> None:
    quote = _finnhub(served).quote("NOSUCH")
    assert quote == {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}


def test_finnhub_gives_the_day_before_s_close_with_200_when_the_script_says_so(
    serve: Serve,
) -> None:
    running = serve(StaleQuote(provider="finnhub"), served_at=MORNING)
    quote = _finnhub(running).quote("FB")
    assert quote["c"] == 26.87
    assert MORNING.timestamp() - quote["t"] > 12 * 3600


@pytest.mark.parametrize(
    ("status", "script"),
    [
        (401, {"keys": {"finnhub": ("another",)}}),
        (429, {"limits": {"finnhub": (Limit(1, 60.0),)}}),
    ],
)
def test_finnhub_refuses_a_wrong_key_and_a_spent_budget(
    serve: Serve, status: int, script: Any
) -> None:
    client = _finnhub(serve(**script))
    with pytest.raises(finnhub.FinnhubAPIException) as error:
        for _ in range(2):
            client.quote("AAPL")
    assert error.value.status_code == status


def test_finnhub_candles_are_for_those_who_pay(serve: Serve) -> None:
    with pytest.raises(finnhub.FinnhubAPIException) as error:
        _finnhub(serve()).stock_candles("FB", "D", 1361750400, 1362096000)
    assert error.value.status_code == 403
    found = _finnhub(serve(**PREMIUM)).stock_candles("FB", "D", 1361750400, 1362096000)
    assert found["s"] == "ok"
    assert found["c"] == [27.27, 27.39, 26.87, 27.25]
    minutes = _finnhub(serve(**PREMIUM)).stock_candles("FB", "5", 1362060000, 1362096000)
    assert len(minutes["t"]) == 78
    none = _finnhub(serve(**PREMIUM)).stock_candles("FB", "D", 0, 1)
    assert none == {"s": "no_data"}


def test_the_key_may_be_in_a_header(serve: Serve) -> None:
    import httpx

    running = serve(keys={"finnhub": ("key",)})
    url = running.urls["FINNHUB_BASE_URL"] + "/quote?symbol=FB"
    assert httpx.get(url, headers={"X-Finnhub-Token": "key"}).status_code == 200
    assert httpx.get(url).status_code == 401


def test_the_limit_is_in_the_headers(served: Running) -> None:
    first = get(served, "FINNHUB_BASE_URL", "/quote", symbol="FB", token="key")
    again = get(served, "FINNHUB_BASE_URL", "/quote", symbol="FB", token="key")
    assert first.headers["X-Ratelimit-Limit"] == "60"
    assert [one.headers["X-Ratelimit-Remaining"] for one in (first, again)] == ["59", "58"]


def _stream(running: Running, symbols: list[str], seconds: float, key: str = "key") -> list[Any]:
    """Return the frames of a while, and the error that ended them, if one did."""

    async def listen() -> list[Any]:
        found: list[Any] = []
        url = f"{running.urls['FINNHUB_STREAM_URL']}?token={key}"
        async with websockets.connect(url) as socket:
            for symbol in symbols:
                await socket.send(json.dumps({"type": "subscribe", "symbol": symbol}))
            try:
                async with asyncio.timeout(seconds):
                    while True:
                        found.append(json.loads(await socket.recv()))
            except TimeoutError:
                return found
            except websockets.ConnectionClosed as error:
                return [*found, error]

    return asyncio.run(listen())


def _trades(frames: list[Any]) -> list[dict[str, Any]]:
    return [one for frame in frames if frame.get("type") == "trade" for one in frame["data"]]


def test_trades_come_several_a_frame_and_each_is_noted_once(serve: Serve) -> None:
    running = serve(served_at=MORNING, speed=600.0)
    frames = _stream(running, ["AAPL", "MSFT"], 2.0)
    trades = _trades(frames)
    assert {one["s"] for one in trades} == {"AAPL", "MSFT"}
    assert any(len(frame.get("data", ())) > 1 for frame in frames)
    assert [one["t"] for one in trades] == sorted(one["t"] for one in trades)
    noted = control(running, "observations", provider="finnhub", kind="trade")
    values = [(one["symbol"], int(one["time"]), *one["values"]) for one in noted]
    assert values[: len(trades)] == [(one["s"], one["t"], one["p"], one["v"]) for one in trades]
    assert {one["times"] for one in noted} == {1}


def test_a_mute_stream_stays_open_and_its_trades_are_lost(serve: Serve) -> None:
    running = serve(
        Mute(provider="finnhub", kind="stream", pings=True),
        served_at=MORNING,
        speed=600.0,
        ping_s=0.3,
    )
    frames = _stream(running, ["AAPL"], 1.5)
    assert frames
    assert {frame["type"] for frame in frames} == {"ping"}
    assert not control(running, "observations", kind="trade")


def test_a_stream_is_dropped_without_goodbye_after_what_was_sent(serve: Serve) -> None:
    running = serve(
        Drop(provider="finnhub", kind="stream", at_s=2.0), served_at=MORNING, speed=600.0
    )
    *frames, error = _stream(running, ["AAPL"], 10.0)
    assert isinstance(error, websockets.ConnectionClosedError)
    assert error.rcvd is None
    assert len(_trades(frames)) == len(control(running, "observations", kind="trade")) > 0


def test_an_error_frame_is_sent_once_a_connection(serve: Serve) -> None:
    running = serve(ErrorFrame(provider="finnhub", kind="stream", text="oh"), served_at=MORNING)
    frames = _stream(running, ["AAPL"], 1.0)
    assert frames == [{"type": "error", "msg": "oh"}]


def test_too_many_symbols_are_refused(serve: Serve) -> None:
    running = serve(served_at=MORNING, max_symbols=2)
    frames = _stream(running, ["AAPL", "MSFT", "IBM"], 0.6)
    assert frames == [{"type": "error", "msg": "Subscribing to too many symbols"}]


def test_a_key_has_one_connection(serve: Serve) -> None:
    running = serve(served_at=MORNING)
    url = f"{running.urls['FINNHUB_STREAM_URL']}?token="

    async def twice() -> None:
        async with websockets.connect(url + "key"):
            with pytest.raises(websockets.InvalidStatus) as error:
                await websockets.connect(url + "key")
            assert error.value.response.status_code == 429
            await (await websockets.connect(url + "another")).close()
        with pytest.raises(websockets.InvalidStatus) as error:
            await websockets.connect(url)
        assert error.value.response.status_code == 401

    asyncio.run(twice())
    # Free again once it is closed.
    assert _stream(running, [], 0.1) == []


def _alpha_vantage(running: Running) -> TimeSeries:
    class Local(TimeSeries):  # type: ignore[misc]
        pass

    from alpha_vantage.alphavantage import AlphaVantage

    AlphaVantage._ALPHA_VANTAGE_API_URL = running.urls["ALPHAVANTAGE_BASE_URL"] + "?"
    return Local(key="key")


@pytest.fixture(autouse=True)
def own_url() -> Any:
    from alpha_vantage.alphavantage import AlphaVantage

    before = AlphaVantage._ALPHA_VANTAGE_API_URL
    yield
    AlphaVantage._ALPHA_VANTAGE_API_URL = before


def test_alpha_vantage_daily_is_as_traded_newest_first_and_text(serve: Serve) -> None:
    data, meta = _alpha_vantage(serve(**NO_LIMITS)).get_daily("FB")
    assert len(data) == 100
    assert next(iter(data.items())) == (
        "2013-02-28",
        {
            "1. open": "26.8400",
            "2. high": "27.3000",
            "3. low": "26.3400",
            "4. close": "27.2500",
            "5. volume": "83027800",
        },
    )
    assert meta["4. Output Size"] == "Compact"
    full, meta = _alpha_vantage(serve(**NO_LIMITS)).get_daily("FB", outputsize="full")
    assert len(full) == 195
    assert meta["4. Output Size"] == "Full size"


def test_alpha_vantage_adjusted_equals_the_recorded_adjusted_close(serve: Serve) -> None:
    """The recorded file follows the same convention, up to what was paid after its last day."""
    client = _alpha_vantage(serve(**NO_LIMITS, **PREMIUM))
    data, _ = client.get_daily_adjusted("AAPL", outputsize="full")
    assert data["2005-02-28"]["8. split coefficient"] == "2.0"
    assert data["2012-08-09"]["7. dividend amount"] == "2.6500"
    assert data["2005-02-25"]["4. close"] == "88.9900"
    ratio = float(data["2005-02-25"]["5. adjusted close"]) / float(
        data["2013-02-28"]["5. adjusted close"]
    )
    # Adj Close of the file on the two days.
    recorded = _recorded_adjusted("AAPL", "2005-02-25") / _recorded_adjusted("AAPL", "2013-02-28")
    assert ratio == pytest.approx(recorded, rel=1e-9)


def _recorded_adjusted(symbol: str, day: str) -> float:
    from ingestion.sources import stocks_csv
    from ingestion.sources.stocks_csv import Row

    rows = stocks_csv.read(stocks_csv.packaged_file())
    return next(
        float(row.adj_close)
        for row in rows
        if isinstance(row, Row) and (row.symbol, row.session_date) == (symbol, day)
    )


def test_alpha_vantage_intraday_is_labelled_by_its_start(serve: Serve) -> None:
    client = _alpha_vantage(serve(**NO_LIMITS, **PREMIUM))
    data, meta = client.get_intraday("AAPL", interval="5min")
    assert next(iter(data)) == "2013-02-28 15:55:00"
    assert meta["6. Time Zone"] == "US/Eastern"
    assert len(data) == 100


def test_alpha_vantage_quote(serve: Serve) -> None:
    quote, _ = _alpha_vantage(serve(**NO_LIMITS)).get_quote_endpoint("FB")
    assert quote == {
        "01. symbol": "FB",
        "02. open": "26.8400",
        "03. high": "27.3000",
        "04. low": "26.3400",
        "05. price": "27.2500",
        "06. volume": "83027800",
        "07. latest trading day": "2013-02-28",
        "08. previous close": "26.8700",
        "09. change": "0.3800",
        "10. change percent": "1.4142%",
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("day", "25 requests per day"),
        ("burst", "1 request per second"),
        ("premium", "premium endpoint"),
        ("note", "5 calls per minute"),
        ("error", "Invalid API call"),
    ],
)
def test_alpha_vantage_refuses_with_200(serve: Serve, text: Any, expected: str) -> None:
    running = serve(Refusal(provider="alphavantage", text=text, requests=1), **NO_LIMITS)
    client = _alpha_vantage(running)
    with pytest.raises(ValueError, match=expected):
        client.get_daily("FB")
    assert client.get_daily("FB")
    assert control(running, "counts")["answers"] == {"alphavantage.200": 2}


def test_alpha_vantage_s_own_refusals(serve: Serve) -> None:
    client = _alpha_vantage(serve(**NO_LIMITS))
    with pytest.raises(ValueError, match="Invalid API call"):
        client.get_daily("NOSUCH")
    with pytest.raises(ValueError, match="premium endpoint"):
        client.get_daily_adjusted("FB")
    running = serve(**NO_LIMITS)
    query = {"function": "GLOBAL_QUOTE", "symbol": "NOSUCH", "apikey": "key"}
    answer = get(running, "ALPHAVANTAGE_BASE_URL", **query)
    assert (answer.status_code, answer.json()) == (200, {"Global Quote": {}})
    del query["apikey"]
    assert "apikey is invalid" in get(running, "ALPHAVANTAGE_BASE_URL", **query).text


def test_the_free_plan_s_limits_are_kept_by_default(serve: Serve) -> None:
    client = _alpha_vantage(serve())
    client.get_daily("FB")
    with pytest.raises(ValueError, match="1 request per second"):
        client.get_daily("FB")
    day = serve(limits={"alphavantage": (Limit(2, 86_400.0),)})
    client = _alpha_vantage(day)
    client.get_daily("FB")
    client.get_daily("IBM")
    with pytest.raises(ValueError, match="25 requests per day"):
        client.get_daily("FB")
    [violation] = control(day, "violations")
    assert violation["limit"] == {"requests": 2, "seconds": 86_400.0}


def test_a_status_may_say_when_to_come_back(serve: Serve) -> None:
    running = serve(Status(provider="finnhub", status=429, retry_after_s=7, requests=1))
    answer = get(running, "FINNHUB_BASE_URL", "/quote", symbol="FB", token="key")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
