"""What is served has the shape of what the providers' documents and clients publish.

A shape is the set of paths to values with the types found there; positions in lists and keys that
are data (dates, epochs) do not count. Provenance of each sample: ``samples/PROVENANCE.md``.
"""

import asyncio
import base64
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import websockets

from ingestion.fakes import pricing
from ingestion.fakes.faults import REFUSALS
from ingestion.fakes.running import Running
from ingestion.fakes.script import Limit, NullRow
from tests.ingestion.fakes.conftest import EVENING, MORNING, Serve, chart, get

SAMPLES = Path(__file__).parent / "samples"
PREMIUM: dict[str, Any] = {
    "plans": {"alphavantage": "premium", "finnhub": "premium"},
    "limits": {"alphavantage": ()},
}
_DATA_KEY = re.compile(r"\d{10}|\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d)?")


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def shape(document: Any, path: str = "") -> set[tuple[str, str]]:
    """Return (path, type) of everything in a JSON document; a whole number is a number."""
    if isinstance(document, dict):
        below = [
            shape(value, f"{path}.{'*' if _DATA_KEY.fullmatch(key) else key}")
            for key, value in document.items()
        ]
        return {(path, "object")}.union(*below)
    if isinstance(document, list):
        return {(path, "list")}.union(*(shape(value, f"{path}[]") for value in document))
    return {(path, _type(document))}


def _type(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    return "number" if isinstance(value, int | float) else "text"


def test_each_sample_has_its_provenance_beside_it() -> None:
    told = re.findall(r"`([^`]+)`", (SAMPLES / "PROVENANCE.md").read_text())
    files = {path.name for path in SAMPLES.glob("*/*")}
    assert len(files) > 30
    assert files <= {name.rpartition("/")[2] for name in told}


def test_a_shape_tells_names_types_and_nesting_apart() -> None:
    assert shape({"a": [1]}) == {("", "object"), (".a", "list"), (".a[]", "number")}
    different: list[Any] = [{"b": [1]}, {"a": ["1"]}, {"a": [[1]]}, {"a": [None]}, {"a": 1}]
    assert all(shape(other) != shape({"a": [1]}) for other in different)
    assert shape({"2013-02-28": 1}) == shape({"2013-03-01": 2.5})


def _yahoo_body(running: Running, symbol: str, **query: Any) -> Any:
    return get(running, "YAHOO_BASE_URL", f"/v8/finance/chart/{symbol}", **query).json()


def test_yahoo_daily_chart_with_split_and_dividend(served: Running) -> None:
    # MSFT paid a dividend and was split on neighbouring days of February 2003.
    body = _yahoo_body(
        served, "MSFT", period1=1045000000, period2=1046000000, interval="1d", events="div,splits"
    )
    assert shape(body) == shape(sample("yahoo/chart-1d-split-dividend.json"))


def test_yahoo_empty_range_of_minutes(served: Running) -> None:
    saturday = int(EVENING.timestamp()) - 5 * 86_400
    body = _yahoo_body(served, "AAPL", period1=saturday, period2=saturday + 3_600, interval="1m")
    assert shape(body) == shape(sample("yahoo/chart-1m-empty.json"))


def test_yahoo_meta_of_minutes(served: Running) -> None:
    found = chart(served, "NVDA", range="1d", interval="1m")
    assert shape(found["meta"]) == shape(sample("yahoo/chart-1m-meta.json"))
    assert set(found["indicators"]) == {"quote"}
    assert len(found["timestamp"]) == 390


def test_yahoo_columns_are_parallel_and_null_where_nothing_was_traded(serve: Serve) -> None:
    null = NullRow(provider="yahoo", symbol="FB", session=-1, keep_volume=False)
    found = chart(serve(null), "FB", range="5d", interval="1d")
    [quote], [adjusted] = found["indicators"]["quote"], found["indicators"]["adjclose"]
    for column in (*quote.values(), adjusted["adjclose"]):
        assert len(column) == len(found["timestamp"]) == 5
        assert [value is None for value in column] == [False] * 4 + [True]


def test_yahoo_errors(served: Running) -> None:
    unknown = get(served, "YAHOO_BASE_URL", "/v8/finance/chart/NOSUCH", interval="1d")
    assert (unknown.status_code, unknown.json()) == (404, sample("yahoo/error-404.json"))
    end = int(EVENING.timestamp())
    query = {"interval": "1m", "period1": end - 20 * 86_400, "period2": end}
    refused = get(served, "YAHOO_BASE_URL", "/v8/finance/chart/FB", **query)
    assert refused.status_code == 422
    published = sample("yahoo/error-422.json")
    assert shape(refused.json()) == shape(published)

    def words(document: Any) -> str:
        # The published text is older: since 2024 it is eight days.
        return re.sub(r"\d+", "#", document["chart"]["error"]["description"])

    assert words(refused.json()) == words(published)


@pytest.mark.parametrize(("interval", "days"), [("1m", 30), ("5m", 60), ("1h", 730)])
def test_yahoo_keeps_what_is_within_sessions_for_so_long(
    served: Running, interval: str, days: int
) -> None:
    for age, status in ((days - 1, 200), (days + 1, 422)):
        start = int(EVENING.timestamp()) - age * 86_400
        query = {"interval": interval, "period1": start, "period2": start + 86_400}
        answer = get(served, "YAHOO_BASE_URL", "/v8/finance/chart/IBM", **query)
        assert answer.status_code == status
    assert f"within the last {days} days" in answer.json()["chart"]["error"]["description"]


def test_yahoo_429(serve: Serve) -> None:
    running = serve(limits={"yahoo": (Limit(1, 60.0),)})
    for _ in range(2):
        answer = get(running, "YAHOO_BASE_URL", "/v8/finance/chart/FB", range="1d")
    assert answer.status_code == 429
    assert answer.text.strip() == (SAMPLES / "yahoo/error-429.txt").read_text().strip()
    assert answer.headers["content-type"] == "text/plain"


def test_the_published_stream_message_is_what_our_encoder_makes_of_its_values() -> None:
    values = sample("yahoo/stream-decoded.json")
    whole = {name: int(value) if name in _WHOLE else value for name, value in values.items()}
    assert pricing.encode(whole) == base64.b64decode(sample("yahoo/stream.json")["message"])


_WHOLE = {"time", "day_volume", "last_size", "price_hint", "vol_24hr", "vol_all_currencies"}


def test_yahoo_stream_frame(serve: Serve) -> None:
    running = serve(served_at=MORNING, speed=60.0)
    subscribe = json.dumps({"subscribe": ["AAPL"]})
    frame = _first_frame(running.urls["YAHOO_STREAM_URL"], subscribe)
    assert shape(frame) == shape(sample("yahoo/stream.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from yfinance.live import BaseWebSocket
    decoded = BaseWebSocket()._decode_message(frame["message"])
    published = shape(sample("yahoo/stream-decoded.json"))
    # The published frame is of a currency, a share has no 24-hour volume but a close before.
    assert shape(decoded) - published == {(".previous_close", "number")}
    assert {path for path, _ in published - shape(decoded)} == {
        ".vol_24hr", ".vol_all_currencies", ".from_currency", ".circulating_supply", ".market_cap",
    }  # fmt: skip


def _first_frame(url: str, *messages: str) -> Any:
    async def first() -> str:
        async with websockets.connect(url) as socket:
            for message in messages:
                await socket.send(message)
            async with asyncio.timeout(10):
                return str(await socket.recv())

    return json.loads(asyncio.run(first()))


def test_finnhub_quote(serve: Serve) -> None:
    for moment in (MORNING, EVENING):
        running = serve(served_at=moment)
        found = get(running, "FINNHUB_BASE_URL", "/quote", symbol="FB", token="key").json()
        assert shape(found) == shape(sample("finnhub/quote.json"))
        assert shape(found) > shape(sample("finnhub/quote-documentation.json"))
        assert list(found) == list(sample("finnhub/quote.json"))


def test_finnhub_unknown_symbol(served: Running) -> None:
    found = get(served, "FINNHUB_BASE_URL", "/quote", symbol="NOSUCH", token="key")
    assert found.status_code == 200
    assert found.json() == sample("finnhub/quote-unknown-symbol.json")


def test_finnhub_errors(serve: Serve) -> None:
    running = serve(limits={"finnhub": (Limit(1, 60.0),)})
    query = {"symbol": "FB", "token": "key"}
    free = get(running, "FINNHUB_BASE_URL", "/stock/candle", **query)
    spent = get(running, "FINNHUB_BASE_URL", "/quote", **query)
    nobody = get(running, "FINNHUB_BASE_URL", "/quote", symbol="FB")
    found = {answer.status_code: answer.json() for answer in (free, spent, nobody)}
    assert found == {n: sample(f"finnhub/error-{n}.json") for n in (403, 429, 401)}


def test_finnhub_candles(serve: Serve) -> None:
    running = serve(**PREMIUM)
    query = {"symbol": "FB", "resolution": "D", "from": 1361750400, "to": 1362096000}
    found = get(running, "FINNHUB_BASE_URL", "/stock/candle", token="key", **query).json()
    assert shape(found) == shape(sample("finnhub/candle.json"))
    query["to"] = query["from"] = 1
    none = get(running, "FINNHUB_BASE_URL", "/stock/candle", token="key", **query).json()
    assert none == sample("finnhub/candle-no-data.json")


def test_finnhub_stream_frames(serve: Serve) -> None:
    running = serve(served_at=MORNING, speed=600.0)
    url = running.urls["FINNHUB_STREAM_URL"] + "?token=key"
    frame = _first_frame(url, '{"type":"subscribe","symbol":"AAPL"}')
    # Conditions may be null: published samples show them as a list, or leave them out.
    null = {(".data[].c", "None")}
    assert shape(frame) - null == shape(sample("finnhub/trades.json"))
    assert shape(frame) > shape(sample("finnhub/trades-documentation.json"))
    url = serve(ping_s=0.1).urls["FINNHUB_STREAM_URL"] + "?token=key"
    assert _first_frame(url) == sample("finnhub/ping.json")
    url = serve(max_symbols=1).urls["FINNHUB_STREAM_URL"] + "?token=key"
    subscribe = '{"type":"subscribe","symbol":"%s"}'
    assert _first_frame(url, subscribe % "A", subscribe % "B") == sample(
        "finnhub/stream-error.json"
    )


@pytest.mark.parametrize(
    ("name", "query"),
    [
        ("global-quote", {"function": "GLOBAL_QUOTE"}),
        ("daily", {"function": "TIME_SERIES_DAILY"}),
        ("daily-adjusted", {"function": "TIME_SERIES_DAILY_ADJUSTED", "outputsize": "full"}),
        ("intraday", {"function": "TIME_SERIES_INTRADAY", "interval": "1min"}),
    ],
)
def test_alpha_vantage_answers(serve: Serve, name: str, query: dict[str, str]) -> None:
    query = query | {"symbol": "MSFT", "apikey": "key"}
    body = get(serve(**PREMIUM), "ALPHAVANTAGE_BASE_URL", **query).json()
    published = sample(f"alphavantage/{name}.json")
    assert shape(body) == shape(published)
    assert list(body) == list(published)
    series = [key for key in body if key.startswith("Time Series")]
    for key in series:
        assert list(body[key]) == sorted(body[key], reverse=True)
        pattern = re.sub(r"\d", "0", next(iter(published[key])))
        assert re.sub(r"\d", "0", next(iter(body[key]))) == pattern


def test_alpha_vantage_prices_have_the_published_digits(serve: Serve) -> None:
    query = {"function": "TIME_SERIES_DAILY", "symbol": "MSFT", "apikey": "key"}
    body = get(serve(**PREMIUM), "ALPHAVANTAGE_BASE_URL", **query).json()
    for document in (body, sample("alphavantage/daily.json")):
        bar = next(iter(document["Time Series (Daily)"].values()))
        assert all(re.fullmatch(r"\d+\.\d{4}", bar[name]) for name in list(bar)[:4])
        assert re.fullmatch(r"\d+", bar["5. volume"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("day", "information-day"),
        ("burst", "information-burst"),
        ("premium", "information-premium"),
        ("note", "note"),
        ("error", "error-message"),
        ("empty", "global-quote-unknown-symbol"),
    ],
)
def test_alpha_vantage_refusals_are_the_published_ones(text: str, name: str) -> None:
    assert REFUSALS[text] == sample(f"alphavantage/{name}.json")


def test_alpha_vantage_wrong_key(served: Running) -> None:
    answer = get(served, "ALPHAVANTAGE_BASE_URL", function="GLOBAL_QUOTE", symbol="FB")
    assert answer.json() == sample("alphavantage/error-key.json")
