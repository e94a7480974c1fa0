"""The real yfinance against a scripted server: what comes out is what the server sent."""

import gzip
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yfinance

from ingestion.calendar import Calendar
from ingestion.contracts.records import BarMessage, CorporateActionMessage
from ingestion.sources.fetcher import Unit
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderDownError,
    RateLimitedError,
)
from ingestion.sources.source import Refused
from ingestion.sources.yahoo import session as yahoo_session
from ingestion.sources.yahoo.client import Client
from ingestion.sources.yahoo.fetcher import YahooFetcher, connect
from tests.ingestion.sources.yahoo.conftest import Counting, StandingClock
from tests.ingestion.sources.yahoo.local import LocalYahoo, Reply, Row, asked_days, document, row

YEAR = Unit("bars", "AAPL", date(2025, 1, 2), date(2025, 12, 31), "1d")
WEEK = Unit("bars", "AAPL", date(2025, 12, 22), date(2025, 12, 31), "1d")


def bars(made: list[Any]) -> list[BarMessage]:
    return [one for one in made if isinstance(one, BarMessage)]


def refused(made: list[Any]) -> list[Refused]:
    return [one for one in made if isinstance(one, Refused)]


def week(nyse: Calendar, count: int = 7) -> list[Row]:
    sessions = nyse.sessions(WEEK.start, WEEK.end)[:count]
    return [row(session, 100 + index / 7) for index, session in enumerate(sessions)]


def answering(rows: list[Row], events: dict[str, Any] | None = None, **meta: Any) -> Any:
    return lambda symbol, query: Reply(document(symbol, rows, events or {}, **meta))


def test_a_year_of_bars_has_the_servers_values_null_rows_included(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, clock: StandingClock
) -> None:
    sessions = nyse.sessions(YEAR.start, YEAR.end)
    rows = [row(session, 34.099998474121094 + index / 7) for index, session in enumerate(sessions)]
    rows[7] = row(sessions[7], None)
    rows[9] = row(sessions[9], None, volume=12345)
    rows[11] = row(sessions[11], 1e-05)
    rows[13] = (*rows[13][:5], None, rows[13][6])
    yahoo.script = answering(rows)

    made = fetcher.fetch(YEAR)

    assert len(made) == len(sessions) == 250
    for bar, sent, session in zip(bars(made), rows, sessions, strict=True):
        data = bar.data
        found = (data.open, data.high, data.low, data.close, data.volume, data.adj_close)
        assert [text and float(text) for text in found] == list(sent[1:])
        assert data.session_date == session.session_date.isoformat()
        assert (data.adjustment, data.currency, bar.source) == ("split", "USD", "yahoo")
        assert data.as_of == bar.fetched_at == "2026-01-05T22:00:00.000000Z"
    assert bars(made)[0].data.close == "34.099998474121094"
    assert bars(made)[11].data.close == "0.00001"
    assert bars(made)[13].data.volume is None


def test_yfinances_own_frame_agrees_where_it_has_a_value(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = week(nyse)
    rows[2] = row(nyse.sessions(WEEK.start, WEEK.end)[2], None)
    yahoo.script = answering(rows)
    frames: list[Any] = []
    history = yfinance.Ticker.history

    def kept(self: Any, **options: Any) -> Any:
        frames.append(history(self, **options))
        return frames[-1]

    monkeypatch.setattr(yfinance.Ticker, "history", kept)
    made = bars(fetcher.fetch(WEEK))

    frame = frames[0]
    assert [str(day.date()) for day in frame.index] == [bar.data.session_date for bar in made]
    for name, column in (("close", "Close"), ("open", "Open"), ("adj_close", "Adj Close")):
        ours = [getattr(bar.data, name) for bar in made]
        theirs = [None if value != value else value for value in frame[column]]
        assert [text and float(text) for text in ours] == theirs


def test_a_live_row_takes_the_place_of_the_one_before_it(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    rows = week(nyse)
    last = nyse.sessions(WEEK.start, WEEK.end)[-1]
    live = row(last, 150.5, at=int((last.close_at - timedelta(minutes=3)).timestamp()))
    yahoo.script = answering([*rows, live])

    made = fetcher.fetch(WEEK)

    assert [one.data.session_date for one in bars(made)].count("2025-12-31") == 1
    assert bars(made)[-1].data.close == "150.5"
    assert bars(made)[-1].event_time == "2025-12-31T14:30:00.000000Z"
    (before,) = refused(made)
    assert before.reason == "superseded"
    assert json.loads(before.body)["close"] == rows[-1][4]


def test_a_row_after_the_asked_range_is_kept_apart(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    today = nyse.sessions(date(2026, 1, 5), date(2026, 1, 5))
    yahoo.script = answering([*week(nyse), row(today[0], 7.5)])

    made = fetcher.fetch(WEEK)

    assert len(bars(made)) == 7
    assert [one.reason for one in refused(made)] == ["outside_range"]


def test_a_split_and_a_dividend_come_before_their_days_bars(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    rows = week(nyse)
    events = {
        "splits": {"x": {"date": rows[2][0], "numerator": 3.0, "denominator": 2, "splitRatio": ""}},
        "dividends": {"y": {"date": rows[4][0], "amount": 0.205}},
    }
    yahoo.script = answering(rows, events)

    made = fetcher.fetch(WEEK)

    kinds = [type(one).__name__ for one in made]
    assert kinds[2:4] == ["CorporateActionMessage", "BarMessage"]
    split, dividend = (one for one in made if isinstance(one, CorporateActionMessage))
    assert (split.data.type, split.data.ratio, split.data.amount) == ("split", "1.5", None)
    assert (dividend.data.amount, dividend.data.ex_date) == ("0.205", "2025-12-29")
    assert (dividend.data.currency, dividend.data.ratio) == ("USD", None)


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ({"splits": {"x": {"date": 0, "numerator": 4, "denominator": 1}}}, "no_session"),
        ({"splits": {"x": {"date": "AT", "numerator": 4, "denominator": 1}}}, "no_session"),
        ({"splits": {"x": {"date": 1767018600, "numerator": 4, "denominator": 0}}}, "contract"),
        ({"splits": {"x": {"date": 1767018600, "numerator": "4"}}}, "contract"),
        ({"dividends": {"x": {"date": 1767018600, "amount": "free"}}}, "contract"),
        ({"dividends": {"x": {"date": 1767018600}}}, "contract"),
        ({"dividends": {"x": [1, 2]}}, "no_session"),
        ({"capitalGains": {"x": {"date": 1767018600, "amount": 1}}}, "unknown_action"),
    ],
)
def test_an_action_that_is_none_is_refused_with_its_own_text(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, events: dict[str, Any], reason: str
) -> None:
    yahoo.script = answering(week(nyse), events)

    made = fetcher.fetch(WEEK)

    (found,) = refused(made)
    assert (found.reason, len(bars(made))) == (reason, 7)
    (kept,) = [value for name, value in json.loads(found.body).items() if name != "symbol"]
    assert kept == next(iter(next(iter(events.values())).values()))


def test_the_same_data_fetched_again_is_the_same_events(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, clock: StandingClock
) -> None:
    rows = week(nyse)
    yahoo.script = answering(rows, {"dividends": {"1": {"date": rows[1][0], "amount": 1}}})
    first = fetcher.fetch(WEEK)
    clock.moment += timedelta(hours=1)
    again = fetcher.fetch(WEEK)

    assert [one.event_id for one in first] == [one.event_id for one in again]
    assert bars(first)[0].data.as_of < bars(again)[0].data.as_of
    assert len(yahoo.ranges) == 2, "yfinance's memory of past ranges would have kept it from asking"


def test_a_local_server_says_that_its_data_is_simulated(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    body = document("AAPL", week(nyse), {})
    yahoo.script = lambda symbol, query: Reply(body)
    assert {one.simulated for one in bars(fetcher.fetch(WEEK))} == {False}
    yahoo.script = lambda symbol, query: Reply(body, 200, {"X-Tapehouse-Simulated": "true"})
    assert {one.simulated for one in bars(fetcher.fetch(WEEK))} == {True}


def test_a_restated_bar_is_a_new_event_and_the_others_are_not(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    rows = week(nyse)
    yahoo.script = answering(rows)
    first = bars(fetcher.fetch(WEEK))
    rows[3] = (*rows[3][:5], rows[3][5] + 1, rows[3][6])
    yahoo.script = answering(rows)
    again = bars(fetcher.fetch(WEEK))

    differing = [a.event_id != b.event_id for a, b in zip(first, again, strict=True)]
    assert differing == [False, False, False, True, False, False, False]


@pytest.mark.parametrize(
    "value",
    [
        '"12"',
        "true",
        "1e999",
        "1e28",
        "1e-400",
        "[1, 2]",
        '{"a":{}}',
        "12345678901234567890123456789",
    ],
)
def test_a_value_that_is_no_decimal_refuses_its_row_alone_with_the_rows_own_text(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, value: str
) -> None:
    rows = week(nyse)
    rows[2] = (*rows[2][:4], "HERE", *rows[2][5:])
    body = document("AAPL", rows, {}).replace(b'"HERE"', value.encode())
    yahoo.script = lambda symbol, query: Reply(body)

    made = fetcher.fetch(WEEK)

    (found,) = refused(made)
    assert (found.reason, len(bars(made))) == ("contract", 6)
    assert f'"close":{value}'.encode() in found.body
    assert json.loads(found.body)["timestamp"] == rows[2][0]


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ("34.099998474121094", "34.099998474121094"),
        ("34.0999984741210945", "34.0999984741210945"),
        ("0.100000000000000006", "0.100000000000000006"),
        ("9007199254740993", "9007199254740993"),
        ("34.10", "34.1"),
        ("1.5E+2", "150"),
        ("-0.0", "0"),
    ],
)
def test_a_number_keeps_the_digits_that_no_float_holds(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, sent: str, text: str
) -> None:
    rows = week(nyse)
    rows[2] = (*rows[2][:4], "HERE", *rows[2][5:])
    body = document("AAPL", rows, {}).replace(b'"HERE"', sent.encode())
    yahoo.script = lambda symbol, query: Reply(body)

    assert bars(fetcher.fetch(WEEK))[2].data.close == text


@pytest.mark.parametrize("stamp", [1766847600, 1767191400000, -(10**30), "soon", 1.5, None])
def test_a_row_on_no_session_is_refused(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, stamp: Any
) -> None:
    rows = week(nyse)
    yahoo.script = answering([*rows[:3], (stamp, *rows[3][1:]), *rows[3:]])

    made = fetcher.fetch(WEEK)

    assert [one.reason for one in refused(made)] == ["no_session"]
    assert len(bars(made)) == 7


RESULT = b'{"chart":{"result":[{"meta":{"symbol":"AAPL"},'
HOSTILE = {
    "not json": b"<html>Will be right back</html>",
    "empty": b"",
    "not a number": RESULT + b'"timestamp":[NaN]}],"error":null}}',
    "deep": b'{"chart":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "repeated key": b'{"chart":{"result":[],"error":null,"error":null}}',
    "not utf-8": b'{"chart":{"result":[{"meta":{"symbol":"\xff"}}],"error":null}}',
    "lone surrogate": b'{"chart":{"result":[{"meta":{"symbol":"\\ud800"}}],"error":null}}',
    "byte order mark": b'\xef\xbb\xbf{"chart":{"result":[],"error":null}}',
    "two documents": b'{"chart":{"result":[],"error":null}}{"a":1}',
    "huge integer": b'{"chart":{"result":[{"meta":{"symbol":"AAPL"},"timestamp":['
    + b"9" * 5000
    + b"]}]}}",
    "another shape": b'[{"chart":1}]',
    "path as symbol": document("../../etc/passwd", [], {}),
    "no indicators": RESULT + b'"timestamp":[1]}],"error":null}}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_an_answer_that_is_none_is_kept_whole(
    fetcher: YahooFetcher, yahoo: LocalYahoo, name: str
) -> None:
    yahoo.script = lambda symbol, query: Reply(HOSTILE[name])

    with pytest.raises(MalformedError) as found:
        fetcher.fetch(WEEK)

    assert found.value.body == HOSTILE[name]


def test_arrays_of_two_lengths_are_no_answer(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    whole = json.loads(document("AAPL", week(nyse), {}))
    whole["chart"]["result"][0]["indicators"]["quote"][0]["low"].pop()
    yahoo.script = lambda symbol, query: Reply(json.dumps(whole).encode())

    with pytest.raises(MalformedError, match="expected 7 of low, found 6"):
        fetcher.fetch(WEEK)


@pytest.mark.parametrize(
    ("meta", "text"),
    [
        ({"symbol": "MSFT"}, "expected symbol 'AAPL', found 'MSFT'"),
        ({"dataGranularity": "5m"}, "expected granularity '1d', found '5m'"),
        ({"exchangeTimezoneName": "Europe/London"}, "expected time zone of XNYS"),
    ],
)
def test_an_answer_to_another_question_is_refused_whole(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, meta: dict[str, str], text: str
) -> None:
    yahoo.script = answering(week(nyse), **meta)

    with pytest.raises(MalformedError, match=text) as found:
        fetcher.fetch(WEEK)
    assert found.value.body


def test_another_currency_passes_and_one_that_is_none_is_refused(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    yahoo.script = answering(week(nyse), currency="EUR")
    assert {bar.data.currency for bar in bars(fetcher.fetch(WEEK))} == {"EUR"}
    yahoo.script = answering(week(nyse), currency="GBp")
    with pytest.raises(MalformedError, match=r"no bar among 7 .*currency"):
        fetcher.fetch(WEEK)


def test_a_share_class_is_asked_for_in_yahoos_spelling(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    yahoo.script = answering(week(nyse))

    made = fetcher.fetch(Unit("bars", "BRK.B", WEEK.start, WEEK.end, "1d"))

    assert {one.symbol for one in bars(made)} == {"BRK.B"}
    assert yahoo.ranges[0][0] == "BRK-B"


@pytest.mark.parametrize("symbol", ["../x", "aapl", "A B", "A/B", "A?x=1", "'; DROP TABLE x;--"])
def test_what_is_no_symbol_is_never_asked_for(
    fetcher: YahooFetcher, yahoo: LocalYahoo, symbol: str
) -> None:
    with pytest.raises(NoDataError):
        fetcher.fetch(Unit("bars", symbol, WEEK.start, WEEK.end, "1d"))
    assert yahoo.requests == []


def chart_error(code: str, text: str) -> bytes:
    return json.dumps(
        {"chart": {"result": None, "error": {"code": code, "description": text}}}
    ).encode()


GONE = chart_error("Not Found", "No data found, symbol may be delisted")


@pytest.mark.parametrize(
    ("reply", "error", "text"),
    [
        (Reply(GONE, 404), NoDataError, "may be delisted"),
        (Reply(GONE, 200), NoDataError, "may be delisted"),
        (Reply(chart_error("Unprocessable Entity", "8 days"), 422), NoDataError, "8 days"),
        (Reply(b"no reason", 400), NoDataError, "no reason given"),
        (Reply(b"Too Many Requests", 429, {"Retry-After": "7"}), RateLimitedError, "429"),
        (Reply(b"Edge: busy", 503), ProviderDownError, "503"),
        (Reply(b"Edge: busy", 503, {"Retry-After": "7"}), RateLimitedError, "overloaded"),
        (Reply(b"{}", 418), MalformedError, "418"),
        (Reply(b'{"finance":{"error":{"code":"Unauthorized"}}}', 401), DeniedError, "401"),
        (Reply(b'{"chart":', 200, {"Content-Length": "5000"}), ProviderDownError, "no answer"),
        (Reply(b'{"chart":', 200), MalformedError, "not an answer"),
        (Reply(document("AAPL", [], {})), NoDataError, "without rows"),
    ],
)
def test_a_refusal_is_a_typed_error(
    fetcher: YahooFetcher, yahoo: LocalYahoo, reply: Reply, error: type[Exception], text: str
) -> None:
    yahoo.script = lambda symbol, query: reply

    with pytest.raises(error, match=text):
        fetcher.fetch(WEEK)


@pytest.mark.parametrize("status", [200, 404])
def test_a_reason_of_any_length_fits_into_a_line(
    fetcher: YahooFetcher, yahoo: LocalYahoo, status: int
) -> None:
    body = chart_error("Not Found", "long " * 400_000)
    yahoo.script = lambda symbol, query: Reply(body, status)

    with pytest.raises(NoDataError, match="long long") as found:
        fetcher.fetch(WEEK)
    assert len(str(found.value)) < 400
    assert found.value.body == body


def test_a_currency_of_any_length_fits_into_a_dead_letter(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    yahoo.script = answering(week(nyse), currency="USD" * 700_000)

    with pytest.raises(MalformedError) as found:
        fetcher.fetch(WEEK)
    assert sum(len(value) for _, value in found.value.context) < 500
    assert len(str(found.value)) < 1_000


@pytest.mark.parametrize("after", ["7", "Mon, 05 Jan 2026 22:00:07 GMT"])
def test_how_long_to_wait_is_what_yahoo_says(
    fetcher: YahooFetcher, yahoo: LocalYahoo, after: str
) -> None:
    yahoo.script = lambda symbol, query: Reply(b"Too Many Requests", 429, {"Retry-After": after})

    with pytest.raises(RateLimitedError) as found:
        fetcher.fetch(WEEK)

    assert (found.value.retry_after_s, found.value.body) == (7.0, b"Too Many Requests")


@pytest.mark.parametrize("after", ["soon", "Mon, 05 Jan 2026 22:00:07 +99999999999", "9" * 13])
def test_a_wait_that_is_none_is_still_a_refusal(
    fetcher: YahooFetcher, yahoo: LocalYahoo, after: str
) -> None:
    yahoo.script = lambda symbol, query: Reply(b"Too Many Requests", 429, {"Retry-After": after})

    with pytest.raises(RateLimitedError) as found:
        fetcher.fetch(WEEK)

    assert found.value.retry_after_s is None


def test_a_server_that_is_not_there_is_down(
    fetcher: YahooFetcher, yahoo: LocalYahoo, clock: StandingClock, nyse: Calendar, tmp_path: Path
) -> None:
    with (
        Client(Counting(), clock, tmp_path, "http://127.0.0.1:9", 1.0) as client,
        pytest.raises(ProviderDownError),
    ):
        YahooFetcher(client, nyse, clock, "run").fetch(WEEK)


@pytest.mark.parametrize("name", ["tkr-tz.db", "cookies.db"])
def test_a_damaged_file_of_yfinance_is_told_from_a_dead_server(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, tmp_path: Path, name: str
) -> None:
    (tmp_path / "yfinance" / name).write_bytes(b"no database " * 1000)
    yahoo.script = answering(week(nyse))

    with pytest.raises(ProviderDownError, match="not a database"):
        fetcher.fetch(WEEK)


def test_a_denied_crumb_is_made_anew(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    replies = [Reply(b"{}", 401), Reply(document("AAPL", week(nyse), {}))]
    yahoo.script = lambda symbol, query: replies.pop(0)

    assert len(bars(fetcher.fetch(WEEK))) == 7


def test_a_limited_crumb_does_not_keep_from_asking(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    yahoo.by_path["/v1/test/getcrumb"] = Reply(b"Too Many Requests", 429)
    yahoo.script = answering(week(nyse))

    assert len(bars(fetcher.fetch(WEEK))) == 7


def test_every_request_is_counted_redirects_included(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, guard: Counting
) -> None:
    yahoo.by_path["/"] = Reply(b"", 302, {"Location": "/elsewhere"})
    yahoo.script = answering(week(nyse))

    fetcher.fetch(WEEK)

    assert guard.calls == len(yahoo.requests) >= 5
    assert "/elsewhere" in yahoo.requests


def test_a_symbol_asked_for_again_costs_one_request(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    cookie = {"Set-Cookie": "A3=d=local; Path=/; Max-Age=31557600; HttpOnly"}
    yahoo.by_path["/"] = Reply(b"", 404, cookie)
    yahoo.script = answering(week(nyse))

    fetcher.fetch(WEEK)
    assert len(yahoo.requests) == 4, "cookie, crumb, time zone, chart"
    fetcher.fetch(WEEK)
    assert len(yahoo.requests) == 5


@pytest.mark.parametrize(
    ("url", "folder"),
    [
        ("", "yahoo.com"),
        ("http://127.0.0.1:8610", "127.0.0.1-8610"),
        ("https://user:secret@example.org/x", "example.org"),
    ],
)
def test_what_a_server_says_is_kept_for_that_server_alone(
    nyse: Calendar,
    clock: StandingClock,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    url: str,
    folder: str,
) -> None:
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("TAPEHOUSE_STATE_DIR", str(tmp_path))
    if url:
        monkeypatch.setenv("YAHOO_BASE_URL", url)
    connect(Counting(), nyse, clock, "run").close()

    assert [path.name for path in (tmp_path / "yahoo").iterdir()] == [folder]


@pytest.mark.parametrize(
    "cookie", ["A3=d=local; Path=/", "B=1; Path=/; Max-Age=9", "A3=; Path=/v1"]
)
def test_a_cookie_that_yfinance_cannot_keep_is_asked_for_again(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, cookie: str
) -> None:
    yahoo.by_path["/"] = Reply(b"", 404, {"Set-Cookie": cookie})
    yahoo.script = answering(week(nyse))

    for _ in range(2):
        assert len(bars(fetcher.fetch(WEEK))) == 7


def test_a_body_without_end_is_broken_off(
    fetcher: YahooFetcher, yahoo: LocalYahoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yahoo_session, "MAX_BODY_BYTES", 100_000)
    bomb = gzip.compress(b" " * 10_000_000)
    yahoo.script = lambda symbol, query: Reply(bomb, 200, {"Content-Encoding": "gzip"})

    with pytest.raises(MalformedError, match="at most 100000 bytes"):
        fetcher.fetch(WEEK)


def test_intraday_bars_start_on_their_grid_and_a_snapshot_is_kept_apart(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    (day,) = nyse.sessions(date(2026, 1, 5), date(2026, 1, 5))
    open_at = int(day.open_at.timestamp())
    rows = [row(day, 100 + minute, at=open_at + 60 * minute) for minute in range(5)]
    snapshot = row(day, 104.5, at=rows[-1][0] + 37)
    periods = [[{"start": open_at, "end": open_at + 23400, "timezone": "EST", "gmtoffset": -18000}]]
    yahoo.script = answering([*rows, snapshot], dataGranularity="1m", tradingPeriods=periods)

    made = fetcher.fetch(Unit("bars", "AAPL", day.session_date, day.session_date, "1m"))

    starts = [one.data.start for one in bars(made)]
    assert starts[:2] == ["2026-01-05T14:30:00.000000Z", "2026-01-05T14:31:00.000000Z"]
    assert [one.event_time for one in bars(made)] == starts
    assert {(one.data.interval, one.data.adj_close) for one in bars(made)} == {("1m", None)}
    assert [one.reason for one in refused(made)] == ["off_grid"]


def test_a_day_that_has_not_begun_is_not_asked_for(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar, clock: StandingClock
) -> None:
    """Alone in its request it would be an answer without rows, and fail the days before it."""
    sessions = nyse.sessions(date(2025, 12, 29), date(2026, 1, 2))
    rows = [row(session, 5.25) for session in sessions]
    yahoo.script = answering(rows, dataGranularity="1m", tradingPeriods=[])
    clock.moment = nyse.sessions(date(2026, 1, 5))[0].open_at - timedelta(seconds=1)

    made = fetcher.fetch(Unit("bars", "AAPL", date(2025, 12, 29), date(2026, 1, 5), "1m"))

    assert len(bars(made)) == len(made) == 4
    assert [asked_days(query)[1] for _, query in yahoo.ranges] == [date(2026, 1, 4)]
    with pytest.raises(NoDataError, match="no session has begun"):
        fetcher.fetch(Unit("bars", "AAPL", date(2026, 1, 5), date(2026, 1, 5), "1m"))


def test_an_answer_none_of_whose_rows_is_a_bar_is_a_failure_and_kept_whole(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    """Yahoo appends the live row to any range: of a symbol without a past it is the only one."""
    (today,) = nyse.sessions(date(2026, 1, 5), date(2026, 1, 5))
    body = document("AAPL", [row(today, 7.5)], {})
    yahoo.script = lambda symbol, query: Reply(body)

    with pytest.raises(MalformedError, match=r"no bar among 1 .*outside_range") as found:
        fetcher.fetch(WEEK)

    assert found.value.body == body
    assert dict(found.value.context)["asked_symbol"] == "AAPL"


def test_minutes_are_asked_for_in_weeks(
    fetcher: YahooFetcher, yahoo: LocalYahoo, nyse: Calendar
) -> None:
    def script(symbol: str, query: dict[str, str]) -> Reply:
        sessions = nyse.sessions(*asked_days(query))
        rows = [row(session, 5.25) for session in sessions]
        return Reply(document(symbol, rows, {}, dataGranularity="1m", tradingPeriods=[]))

    yahoo.script = script
    made = fetcher.fetch(Unit("bars", "AAPL", date(2025, 12, 15), date(2026, 1, 5), "1m"))

    asked = [asked_days(query) for _, query in yahoo.ranges]
    assert asked[0] == (date(2025, 12, 15), date(2025, 12, 21))
    assert len(asked) == 4 and asked[-1][1] == date(2026, 1, 5)
    assert len(bars(made)) == len(nyse.sessions(date(2025, 12, 15), date(2026, 1, 5)))


@pytest.mark.parametrize(
    ("interval", "days"), [("1m", 30), ("2m", 60), ("5m", 60), ("15m", 60), ("1h", 730)]
)
def test_what_yahoo_does_not_keep_is_not_asked_for(
    fetcher: YahooFetcher, yahoo: LocalYahoo, interval: str, days: int
) -> None:
    end = date(2026, 1, 5)
    unit = Unit("bars", "AAPL", end - timedelta(days=days - 1), end, interval)

    with pytest.raises(NoDataError, match=f"keeps {interval} bars for {days - 2} days"):
        fetcher.fetch(unit)
    assert yahoo.requests == []


@pytest.mark.parametrize(
    "unit",
    [
        Unit("bars", "AAPL", date(2026, 1, 1), date(2026, 1, 5), "30m"),
        Unit("bars", "AAPL", date(2026, 1, 1), date(2026, 1, 5), "90m"),
        Unit("quote", "AAPL"),
    ],
)
def test_what_yahoo_does_not_have_is_told_without_asking(fetcher: YahooFetcher, unit: Unit) -> None:
    assert not fetcher.serves(unit)


def test_a_range_without_sessions_is_not_asked_for(
    fetcher: YahooFetcher, yahoo: LocalYahoo
) -> None:
    with pytest.raises(NoDataError, match="no session has begun"):
        fetcher.fetch(Unit("bars", "AAPL", date(2026, 1, 3), date(2026, 1, 4), "1d"))
    assert yahoo.requests == []
