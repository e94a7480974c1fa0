"""Three providers' records, as their adapters emit them, through to gold."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Self

import pytest

from ingestion import calendar
from ingestion.contracts import envelope
from ingestion.sources.alphavantage.fetcher import AlphaVantage
from ingestion.sources.fetch import Http, Key
from ingestion.sources.fetcher import Unit
from ingestion.sources.finnhub.quotes import FinnhubQuotes
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import Unguarded
from ingestion.sources.yahoo.stream import YahooStream
from tests.dbt_stocks.conftest import Project, new_project
from tests.dbt_stocks.raw import action, at, bar
from tests.ingestion.sources.providers import KEY, FakeClock, serving

MONDAY = datetime(2025, 7, 14, 15, 30, tzinfo=UTC)
FRIDAY_CLOSE = datetime(2025, 7, 11, 20, 0, tzinfo=UTC)
EVENING = datetime(2025, 7, 14, 22, 30, tzinfo=UTC)
Quote = dict[str, Any]

FINNHUB = {"c": 211.16, "d": -0.41, "dp": -0.1938, "h": 212.5, "l": 209.86, "o": 210.57}
FINNHUB |= {"pc": 211.57, "t": int(MONDAY.timestamp()) - 2}
ZERO = {"c": 0, "d": None, "dp": None, "h": 0, "l": 0, "o": 0, "pc": 0, "t": 0}
ALPHAVANTAGE = {
    "01. symbol": "BRK-B", "02. open": "475.6000", "03. high": "479.2000", "04. low": "473.1000",
    "05. price": "478.2300", "06. volume": "3124891", "07. latest trading day": "2025-07-14",
    "08. previous close": "475.0000", "09. change": "3.2300", "10. change percent": "0.6800%",
}  # fmt: skip
YAHOO = {
    "id": "MSFT", "price": 503.02, "time": str(int(MONDAY.timestamp() * 1000) - 1500),
    "currency": "USD", "exchange": "NMS", "quote_type": 8, "market_hours": 1,
    "change_percent": -0.0596, "day_volume": "9012345", "day_high": 503.9, "day_low": 501.04,
    "change": -0.3, "open_price": 501.52, "previous_close": 503.32, "last_size": "100",
    "price_hint": "2",
}  # fmt: skip


def finnhub(symbol: str, fields: Mapping[str, Any], now: datetime = MONDAY) -> Quote:
    with serving() as server:
        server.always(json.dumps(fields).encode())
        key = Key(KEY, header="X-Finnhub-Token")
        http = Http("finnhub", server.url, key, Unguarded(), FakeClock(now))
        [made] = FinnhubQuotes(http, Envelopes("finnhub", "run")).fetch(Unit("quote", symbol))
    return encoded(made)


def alphavantage(symbol: str, fields: Mapping[str, Any], now: datetime = MONDAY) -> Quote:
    clock = FakeClock(now)
    with serving() as server:
        server.always(json.dumps({"Global Quote": fields}).encode())
        http = Http("alphavantage", server.url, Key(KEY, parameter="apikey"), Unguarded(), clock)
        adapter = AlphaVantage(http, Envelopes("alphavantage", "run"), calendar.get(), clock)
        [made] = adapter.fetch(Unit("quote", symbol))
    return encoded(made)


class Connection:
    """A stream's connection that decodes to the fields given."""

    simulated = False

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = dict(fields)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None: ...

    def subscribe(self, symbols: list[str]) -> None: ...

    def frame(self, timeout_s: float) -> str:
        return "frame"

    def decode(self, frame: str | bytes) -> dict[str, Any]:
        return self._fields


def yahoo(symbol: str, fields: Mapping[str, Any], now: datetime = MONDAY) -> Quote:
    stream = YahooStream(
        lambda: Connection(fields), Unguarded(), [symbol], calendar.get(), FakeClock(now),
        "run", lambda: False,
    )  # fmt: skip
    return encoded(next(iter(stream.messages())))


def encoded(made: Any) -> Quote:
    found: Quote = json.loads(envelope.encode(made))
    return found


def without(fields: Mapping[str, Any], *names: str, **changes: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names} | changes


GOOD = [
    finnhub("AAPL", FINNHUB),
    alphavantage("BRK.B", ALPHAVANTAGE),
    yahoo("MSFT", YAHOO),
    yahoo("MSFT", without(YAHOO, "change", time=str(int(EVENING.timestamp() * 1000) - 1),
                          market_hours=2, price=505.5), EVENING),
    yahoo("BRK.B", without(YAHOO, "change", "market_hours", id="BRK-B", price=474.0,
                           previous_close=475.0, day_high=479.0, day_low=476.0, open_price=477.0)),
]  # fmt: skip
BAD = {
    "zero_quote": [
        finnhub("AAPL", ZERO),
        finnhub("ZZZZ", ZERO),
        yahoo("MSFT", without(YAHOO, "price")),
    ],
    "stale": [
        finnhub("AAPL", FINNHUB | {"c": 210.9, "d": -0.67, "t": int(FRIDAY_CLOSE.timestamp())}),
        alphavantage("BRK.B", ALPHAVANTAGE | {"07. latest trading day": "2025-07-11"}),
        yahoo("MSFT", YAHOO | {"time": str(int(FRIDAY_CLOSE.timestamp() * 1000))}),
    ],
    "format": [
        alphavantage("BRK.B", ALPHAVANTAGE | {"05. price": "n/a"}),
        finnhub("AAPL", FINNHUB | {"h": "212.5"}),
        yahoo("MSFT", YAHOO | {"price": "503.02"}),
        # A source whose layout nobody has declared is read as Finnhub's, and has other fields.
        alphavantage("BRK.B", ALPHAVANTAGE) | {"source": "someone"},
    ],
    "not_finite": [alphavantage("BRK.B", ALPHAVANTAGE | {"05. price": "9" * 20})],
    "other_symbol": [yahoo("MSFT", YAHOO) | {"symbol": "AAPL"}],
    "currency": [yahoo("MSFT", YAHOO | {"currency": "EUR"})],
    "implausible_time": [
        alphavantage("BRK.B", ALPHAVANTAGE) | {"event_time": "2025-07-11T13:30:00.000000Z"},
        yahoo("MSFT", YAHOO) | {"event_time": "2025-07-14T14:00:00.000000Z"},
    ],
    "price_range": [
        alphavantage("BRK.B", ALPHAVANTAGE | {"03. high": "478.0000"}),
        yahoo("MSFT", YAHOO | {"day_low": 503.5}),
    ],
    "change": [
        finnhub("AAPL", FINNHUB | {"d": 0.41}),
        alphavantage("BRK.B", ALPHAVANTAGE | {"09. change": "-3.2300"}),
        yahoo("MSFT", YAHOO | {"change": 0.3}),
    ],
    "jump": [finnhub("AAPL", without(FINNHUB, "d", "dp", pc=21.157))],
}

MARTS = ("gold_kpi", "gold_daily_metrics", "gold_candlestick", "gold_treechart",
         "daily_stock_metrics", "dim_instrument", "dim_session",
         "realtime_stock_analytics")  # fmt: skip
SPLIT_WEEK = at(2020, 9, 2, 12)


def renamed(quote: Quote, number: int) -> Quote:
    """Give a quote an identity of its own: what was altered after the adapter had made it."""
    return quote | {"event_id": f"00000000-0000-5000-8000-{number:012d}"}


def from_yahoo(
    day: date, prices: tuple[str, ...], volume: int, symbol: str = "AAPL"
) -> dict[str, Any]:
    known = {"as_of": SPLIT_WEEK, "fetched_at": SPLIT_WEEK}
    return bar(symbol, day, prices, volume, source="yahoo", adjustment="split", **known)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """AAPL through its split of 2020, a day of it from the second source; three sources' quotes."""
    made = new_project(tmp_path_factory.mktemp("sources"))
    second = {"source": "alphavantage", "as_of": at(2020, 9, 1, 12)}
    told = {"source": "yahoo", "as_of": SPLIT_WEEK, "fetched_at": SPLIT_WEEK}
    raw = made.raw
    raw.bars(
        [
            from_yahoo(date(2020, 8, 6), ("110.4", "114.4", "109.8", "113.9025"), 400),
            from_yahoo(date(2020, 8, 7), ("113.2", "113.6", "110.3", "111.1125"), 400),
            bar("AAPL", date(2020, 8, 27), ("508.6", "509.9", "495.3", "500.0"), 100, **second),
            from_yahoo(date(2020, 8, 27), ("127.15", "127.475", "123.825", "125.01"), 400),
            bar("AAPL", date(2020, 8, 28), ("504.0", "505.8", "498.3", "499.23"), 100, **second),
            from_yahoo(date(2020, 8, 31), ("127.58", "131.0", "126.0", "129.04"), 500),
            from_yahoo(date(2020, 8, 27), ("436", "459", "428.5", "447.75"), 500, "TSLA"),
        ]
    )
    raw.actions(
        [
            action("AAPL", date(2020, 8, 7), "dividend", "0.205", **told),
            action("AAPL", date(2020, 8, 31), "split", "4", **told),
        ]
    )
    raw.quotes(GOOD)
    made.build("--build-id", "clean")
    return made


@pytest.fixture(scope="module")
def before_and_after(
    project: Project,
) -> tuple[dict[str, list[tuple[object, ...]]], dict[str, list[tuple[object, ...]]]]:
    """Gold without and with what is to be flagged."""
    clean = gold(project)
    raw = project.raw
    raw.batch, raw.offsets = 2, {"stock-quotes": 100}
    bad = [quote for quotes in BAD.values() for quote in quotes]
    raw.quotes([renamed(quote, number) for number, quote in enumerate(bad)])
    project.build("--build-id", "flagged")
    return clean, gold(project)


def gold(project: Project) -> dict[str, list[tuple[object, ...]]]:
    return {
        mart: sorted(
            project.raw.query(f"select columns(lambda c: c <> 'build_id') from gold.{mart}"),
            key=repr,
        )
        for mart in MARTS
    }


def test_three_sources_quotes_have_the_same_columns(project: Project) -> None:
    rows = project.raw.query(
        "select source, symbol, instrument_id, cast(last_price as varchar), "
        "cast(open_price as double), cast(high_price as double), cast(low_price as double), "
        "cast(previous_close_price as double), cast(change_price as double), change_pct, "
        "day_volume_shares, is_extended_hours, session_date from silver.silver_quotes "
        "order by source, event_at, symbol"
    )

    day = date(2025, 7, 14)
    assert rows == [
        ("alphavantage", "BRK.B", "berkshire-hathaway-class-b", "478.230000", 475.6, 479.2, 473.1,
         475.0, 3.23, 0.68, 3124891, False, day),
        ("finnhub", "AAPL", "apple", "211.160000", 210.57, 212.5, 209.86,
         211.57, -0.41, -0.1938, None, False, day),
        ("yahoo", "BRK.B", "berkshire-hathaway-class-b", "474.000000", 477.0, 479.0, 476.0,
         475.0, None, -0.0596, 9012345, True, day),
        ("yahoo", "MSFT", "microsoft", "503.020000", 501.52, 503.9, 501.04,
         503.32, -0.3, -0.0596, 9012345, False, day),
        ("yahoo", "MSFT", "microsoft", "505.500000", 501.52, 503.9, 501.04,
         503.32, None, -0.0596, 9012345, True, day),
    ]  # fmt: skip


def test_the_card_shows_the_price_of_regular_hours(project: Project) -> None:
    rows = project.raw.query(
        "select symbol, source, cast(current_price as double), volume_shares from gold.gold_kpi "
        "where price_kind = 'quote' order by symbol"
    )

    assert rows == [
        ("AAPL", "finnhub", 211.16, None),
        ("BRK.B", "alphavantage", 478.23, 3124891),
        ("MSFT", "yahoo", 503.02, 9012345),
    ]


def test_what_is_flagged_is_in_quarantine_under_its_rule_and_gold_is_as_it_was(
    project: Project,
    before_and_after: tuple[dict[str, list[tuple[object, ...]]], ...],
) -> None:
    found = project.raw.query("select rule, count(*) from quarantine.quarantine_quotes group by 1")

    assert dict(found) == {rule: len(quotes) for rule, quotes in BAD.items()}
    clean, flagged = before_and_after
    for mart in MARTS:
        assert flagged[mart] == clean[mart], mart
    assert clean["gold_kpi"] and clean["gold_daily_metrics"]


def test_a_day_of_the_second_source_disturbs_no_return(project: Project) -> None:
    rows = project.raw.query(
        "select session_date, source, cast(close_price as double), volume_shares, "
        "cast(dividend_amount as double), cast(split_ratio as double), price_return_1d, return_1d "
        "from gold.gold_daily_metrics where symbol = 'AAPL' order by session_date"
    )

    assert [row[:6] for row in rows] == [
        (date(2020, 8, 6), "yahoo", 455.61, 100, 0.0, 1.0),
        (date(2020, 8, 7), "yahoo", 444.45, 100, 0.82, 1.0),
        (date(2020, 8, 27), "yahoo", 500.04, 100, 0.0, 1.0),
        (date(2020, 8, 28), "alphavantage", 499.23, 100, 0.0, 1.0),
        (date(2020, 8, 31), "yahoo", 129.04, 500, 0.0, 4.0),
    ]
    returns = [row[6:] for row in rows]
    assert returns[1] == pytest.approx((444.45 / 455.61 - 1, 444.45 / (455.61 - 0.82) - 1))
    assert returns[3] == pytest.approx((499.23 / 500.04 - 1,) * 2)
    assert returns[4] == pytest.approx((129.04 * 4 / 499.23 - 1,) * 2)


def test_two_sources_of_one_day_are_compared_as_traded(project: Project) -> None:
    rows = project.raw.query(
        "select session_date, source_a, source_b, status, cast(close_price_a as double), "
        "cast(close_price_b as double), close_diff_bp, volume_ratio "
        "from gold.gold_source_reconciliation"
    )

    [(*named, difference, ratio)] = rows
    assert named == [date(2020, 8, 27), "yahoo", "alphavantage", "agree", 500.04, 500.0]
    assert (difference, ratio) == pytest.approx(((500.04 / 500 - 1) * 10_000, 1))


def test_the_daily_table_shows_the_same_bars(project: Project) -> None:
    rows = project.raw.query(
        "select date, source, cast(daily_open as double), cast(daily_close as double), "
        "daily_volume from gold.daily_stock_metrics where symbol = 'AAPL' and date >= '2020-08-27' "
        "order by date"
    )

    assert rows == [
        (date(2020, 8, 27), "yahoo", 508.6, 500.04, 100),
        (date(2020, 8, 28), "alphavantage", 504.0, 499.23, 100),
        (date(2020, 8, 31), "yahoo", 127.58, 129.04, 500),
    ]


def test_a_split_that_is_told_later_reaches_the_days_before_it(
    project: Project,
    before_and_after: tuple[dict[str, list[tuple[object, ...]]], ...],
) -> None:
    raw = project.raw
    close = (
        "select cast(daily_close as double), daily_volume from gold.daily_stock_metrics "
        "where symbol = 'TSLA' union all select cast(close_price as double), volume_shares "
        "from gold.gold_daily_metrics where symbol = 'TSLA'"
    )
    assert raw.query(close) == [(447.75, 500)] * 2

    raw.batch, raw.offsets = 3, {"stock-market-batch": 100}
    told = {"source": "yahoo", "as_of": at(2020, 9, 3), "fetched_at": at(2020, 9, 3)}
    raw.actions([action("TSLA", date(2020, 8, 31), "split", "5", **told)])
    project.build("--build-id", "told")

    assert raw.query(close) == [(2238.75, 100)] * 2
