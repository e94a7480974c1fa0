"""Bars, actions and quotes of Alpha Vantage, from what it answers to what is sent."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from alpha_vantage.alphavantage import AlphaVantage as Official
from alpha_vantage.timeseries import TimeSeries

from ingestion.calendar import Calendar
from ingestion.contracts import envelope
from ingestion.contracts.records import BarMessage, CorporateActionMessage, QuoteMessage
from ingestion.sources.alphavantage.fetcher import AlphaVantage
from ingestion.sources.fetch import Http, Key
from ingestion.sources.fetcher import Unit
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import (
    DeniedError,
    MalformedError,
    NoDataError,
    RateLimitedError,
    Unguarded,
)
from ingestion.sources.source import Refused
from tests.ingestion.sources.providers import KEY, FakeClock, Reply, Request, Server, sample

NEW_YORK = ZoneInfo("America/New_York")
MAY_2018 = datetime(2018, 5, 26, 12, 0, tzinfo=UTC)
MSFT = Unit("bars", "MSFT", date(2018, 5, 24), date(2018, 5, 25), "1d")
PRICES = ("open", "high", "low", "close")


class World:
    def __init__(
        self, server: Server, calendar: Calendar, premium: bool = False, now: datetime = MAY_2018
    ) -> None:
        self.server = server
        self.clock = FakeClock(now)
        client = Http(
            "alphavantage",
            f"{server.url}/query",
            Key(KEY, parameter="apikey"),
            Unguarded(),
            self.clock,
        )
        envelopes = Envelopes("alphavantage", "run")
        self.adapter = AlphaVantage(client, envelopes, calendar, self.clock, premium)

    def fetch(self, unit: Unit, answer: bytes | Callable[[Request], Reply]) -> list[Any]:
        if isinstance(answer, bytes):
            self.server.always(Reply(answer, 200, {"Content-Type": "application/json"}))
        else:
            self.server.answer = answer
        made = self.adapter.fetch(unit)
        for message in made:
            if not isinstance(message, Refused):
                assert envelope.decode(envelope.encode(message)) == message
        return made


def day(**changes: str) -> dict[str, str]:
    names = ("open", "high", "low", "close", "adjusted close", "volume", "dividend amount",
             "split coefficient")  # fmt: skip
    values = ("10.0000", "11.0000", "9.0000", "10.5000", "5.2500", "1000", "0.0000", "1.0")
    given = dict(zip(names, values, strict=True)) | {
        name.replace("_", " "): value for name, value in changes.items()
    }
    return {f"{i}. {name}": value for i, (name, value) in enumerate(given.items(), 1)}


def daily(rows: dict[str, Any], **meta: str) -> bytes:
    head = {"2. Symbol": "MSFT", "5. Time Zone": "US/Eastern"} | meta
    return json.dumps({"Meta Data": head, "Time Series (Daily)": rows}).encode()


def intraday(
    labels: list[str], interval: str = "5min", zone: str = "US/Eastern", size: str = "Full size"
) -> bytes:
    bar = {"1. open": "1.0", "2. high": "1.2", "3. low": "0.9", "4. close": "1.1", "5. volume": "7"}
    meta = {"2. Symbol": "MSFT", "5. Output Size": size, "6. Time Zone": zone}
    rows = {label: bar for label in labels}
    return json.dumps({"Meta Data": meta, f"Time Series ({interval})": rows}).encode()


def labels(on: str, first: str, last: str, minutes: int = 5) -> list[str]:
    moment = datetime.fromisoformat(f"{on} {first}")
    found = []
    while moment <= datetime.fromisoformat(f"{on} {last}"):
        found.append(f"{moment:%Y-%m-%d %H:%M:%S}")
        moment += timedelta(minutes=minutes)
    return found[::-1]


# Daily.


@pytest.mark.parametrize("premium", [False, True])
def test_a_published_daily_series_has_the_providers_own_text(
    server: Server, nyse: Calendar, premium: bool
) -> None:
    body = sample(f"alphavantage/daily{'-adjusted' if premium else ''}.json")
    made = World(server, nyse, premium).fetch(MSFT, body)

    rows = json.loads(body)["Time Series (Daily)"]
    assert [bar.data.session_date for bar in made] == sorted(rows), "oldest first"
    for bar in made:
        row = rows[bar.data.session_date]
        data = bar.data
        own = {key.split(". ")[1]: value for key, value in row.items()}
        assert [getattr(data, name) for name in PRICES] == [own[name] for name in PRICES]
        assert (data.volume, data.adj_close) == (own["volume"], own.get("adjusted close"))
        assert (data.interval, data.currency, data.adjustment) == ("1d", "USD", "raw")
        assert bar.event_time == data.start == f"{data.session_date}T13:30:00.000000Z"
        assert data.as_of == bar.fetched_at


@pytest.mark.parametrize("premium", [False, True])
def test_the_official_client_reads_the_same(
    server: Server, nyse: Calendar, monkeypatch: pytest.MonkeyPatch, premium: bool
) -> None:
    body = sample(f"alphavantage/daily{'-adjusted' if premium else ''}.json")
    made = World(server, nyse, premium).fetch(MSFT, body)

    monkeypatch.setattr(Official, "_ALPHA_VANTAGE_API_URL", f"{server.url}/query?")
    official = TimeSeries(key=KEY)
    ask = official.get_daily_adjusted if premium else official.get_daily
    theirs, _ = ask("MSFT", outputsize="compact")

    for bar in made:
        for index, name in enumerate(PRICES, 1):
            assert getattr(bar.data, name) == theirs[bar.data.session_date][f"{index}. {name}"]
    ours, official_request = server.asked
    extra = {"datatype": "json"}
    assert ours.path == official_request.path == "/query"
    assert official_request.query == ours.query | extra


def test_only_the_asked_range_is_made(server: Server, nyse: Calendar) -> None:
    unit = Unit("bars", "MSFT", date(2018, 5, 25), date(2018, 5, 25), "1d")
    [bar] = World(server, nyse).fetch(unit, sample("alphavantage/daily.json"))
    assert bar.data.session_date == "2018-05-25"

    with pytest.raises(NoDataError):
        unit = Unit("bars", "MSFT", date(2018, 5, 22), date(2018, 5, 22), "1d")
        World(server, nyse).fetch(unit, sample("alphavantage/daily.json"))


def test_a_free_key_asks_for_what_it_may_have(server: Server, nyse: Calendar) -> None:
    free, paid = World(server, nyse), World(server, nyse, premium=True)
    long_ago = Unit("bars", "MSFT", date(2017, 1, 3), date(2018, 5, 25), "1d")
    minutes = Unit("bars", "MSFT", date(2018, 5, 24), date(2018, 5, 25), "5m")
    hours = Unit("bars", "MSFT", date(2018, 5, 24), date(2018, 5, 25), "1h")

    assert [free.adapter.serves(unit) for unit in (MSFT, long_ago, minutes)] == [True, False, False]
    assert [paid.adapter.serves(unit) for unit in (MSFT, long_ago, minutes)] == [True] * 3
    assert free.adapter.serves(Unit("quote", "MSFT"))
    assert not paid.adapter.serves(hours)
    paid.fetch(long_ago, sample("alphavantage/daily-adjusted.json"))
    free.fetch(MSFT, sample("alphavantage/daily.json"))
    assert [(r.query["function"], r.query["outputsize"]) for r in server.asked] == [
        ("TIME_SERIES_DAILY_ADJUSTED", "full"), ("TIME_SERIES_DAILY", "compact"),
    ]  # fmt: skip


def test_the_compact_answer_reaches_back_a_hundred_sessions(server: Server, nyse: Calendar) -> None:
    sessions = nyse.sessions(date(2017, 1, 1), MAY_2018.date())
    reaches, misses = sessions[-100].session_date, sessions[-101].session_date
    adapter = World(server, nyse).adapter

    assert adapter.serves(Unit("bars", "MSFT", reaches, None, "1d"))
    assert not adapter.serves(Unit("bars", "MSFT", misses, None, "1d"))
    assert not adapter.serves(Unit("bars", "MSFT", None, None, "1d"))


@pytest.mark.parametrize(("n_rows", "is_cut"), [(100, True), (99, False)])
def test_an_answer_that_is_cut_off_within_the_range_is_no_success(
    server: Server, nyse: Calendar, n_rows: int, is_cut: bool
) -> None:
    """As with a clock that is behind; of a new listing there are fewer rows than would be cut."""
    days = nyse.sessions(date(2018, 1, 2), MAY_2018.date())
    assert len(days) > 100
    rows = {session.session_date.isoformat(): day() for session in days[-n_rows:]}
    world = World(server, nyse, now=datetime(2018, 2, 1, 12, 0, tzinfo=UTC))
    unit = Unit("bars", "MSFT", date(2018, 1, 2), None, "1d")
    body = daily(rows, **{"4. Output Size": "Compact"})
    if is_cut:
        with pytest.raises(MalformedError, match="expected rows from 2018-01-02 on, found 100"):
            world.fetch(unit, body)
    else:
        assert len(world.fetch(unit, body)) == n_rows


def test_a_compact_answer_that_reaches_back_is_taken(server: Server, nyse: Calendar) -> None:
    days = nyse.sessions(date(2018, 1, 2), MAY_2018.date())[-100:]
    rows = {session.session_date.isoformat(): day() for session in days}
    unit = Unit("bars", "MSFT", days[0].session_date, None, "1d")
    made = World(server, nyse, premium=True).fetch(
        unit, daily(rows, **{"4. Output Size": "Compact"})
    )
    assert len(made) == 100


def test_a_month_of_which_there_are_a_hundred_rows_is_no_success(
    server: Server, nyse: Calendar
) -> None:
    last_two_days = [
        *labels("2025-07-31", "09:30:00", "15:55:00"),
        *labels("2025-07-30", "14:10:00", "15:55:00"),
    ]
    assert len(last_two_days) == 100
    with pytest.raises(MalformedError, match="expected rows from 2025-07-01"):
        bars_of(server, nyse, intraday(last_two_days, size="Compact"))


def test_splits_and_dividends_come_before_their_days_bar(server: Server, nyse: Calendar) -> None:
    rows = {
        "2018-05-25": day(dividend_amount="0.4200", split_coefficient="2.0"),
        "2018-05-24": day(),
    }
    first, split, dividend, last = World(server, nyse, premium=True).fetch(MSFT, daily(rows))

    assert isinstance(first, BarMessage)
    assert isinstance(last, BarMessage)
    assert isinstance(split, CorporateActionMessage)
    assert isinstance(dividend, CorporateActionMessage)
    assert (split.data.type, split.data.ratio, split.data.amount) == ("split", "2.0", None)
    assert (dividend.data.amount, dividend.data.ratio) == ("0.4200", None)
    assert {split.data.ex_date, dividend.data.ex_date} == {"2018-05-25"}
    assert last.data.adj_close == "5.2500"


def test_the_same_rows_fetched_again_are_the_same_events(server: Server, nyse: Calendar) -> None:
    world = World(server, nyse, premium=True)
    rows = {"2018-05-25": day(dividend_amount="0.42"), "2018-05-24": day()}
    first = world.fetch(MSFT, daily(rows))
    world.clock.sleep(3_600)
    again = world.fetch(MSFT, daily(rows))
    restated = world.fetch(MSFT, daily(rows | {"2018-05-24": day(volume="1001")}))

    ids = [[m.event_id for m in made] for made in (first, again, restated)]
    assert ids[0] == ids[1]
    assert first[0].data.as_of < again[0].data.as_of
    assert ids[2][0] != ids[0][0]
    assert ids[2][1:] == ids[0][1:]


@pytest.mark.parametrize(
    ("label", "row"),
    [
        ("2018-05-26", day()), ("2018-05-28", day()), ("yesterday", day()), ("2018-02-30", day()),
        ("2018-05-25", day(open="None")), ("2018-05-25", day(close="1e5")),
        ("2018-05-25", day(volume="")), ("2018-05-25", {}), ("2018-05-25", []),
        ("2018-05-25", day() | {"1. open": 10.0}), ("2018-05-25", day() | {"1. open": None}),
        ("2018-05-25", day(split_coefficient="x")), ("2018-05-25", day() | {"x": {"y": 1}}),
        ("2018-05-25", day(dividend_amount="nan")), ('2018-05-25"', day()),
    ],
)  # fmt: skip
def test_one_bad_row_is_refused_alone_with_its_own_bytes(
    server: Server, nyse: Calendar, label: str, row: Any
) -> None:
    unit = Unit("bars", "MSFT", date(2018, 5, 24), None, "1d")
    rows = {"2018-05-24": day(), label: row}
    made = World(server, nyse, premium=True).fetch(unit, daily(rows))

    [refused] = [m for m in made if isinstance(m, Refused)]
    assert json.loads(refused.body) == {label: row}
    assert (refused.topic, refused.reason) == ("stock-market-batch", "contract")
    assert [m.data.session_date for m in made if isinstance(m, BarMessage)] == ["2018-05-24"]


def test_a_row_that_repeats_a_key_is_refused_alone(server: Server, nyse: Calendar) -> None:
    body = daily({"2018-05-24": day(), "2018-05-25": "HERE"}).replace(b'"HERE"', b'{"a":1,"a":2}')
    bar, refused = World(server, nyse, premium=True).fetch(MSFT, body)

    assert isinstance(bar, BarMessage)
    assert refused.body == b'{"2018-05-25":{"a":1,"a":2}}'


@pytest.mark.parametrize(
    "body",
    [
        daily({}, **{"2. Symbol": "AAPL"}), daily({}, **{"5. Time Zone": "UTC"}),
        b'{"Time Series (Daily)":{}}', b'{"Meta Data":{},"Time Series (Daily)":{}}',
        daily({})[:-3] + b"[]}", b'{"Time Series (Daily)":{},"Time Series (Daily)":{}}',
        daily({"2018-05-25": "\ud800"}),
        daily({"a": 1}).replace(b'"a": 1', b'"a": 1, "a": 2'),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_to_be_trusted_is_refused_whole(
    server: Server, nyse: Calendar, body: bytes
) -> None:
    with pytest.raises(MalformedError) as caught:
        World(server, nyse, premium=True).fetch(MSFT, body)
    assert caught.value.body == body


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("information-day", RateLimitedError), ("note", RateLimitedError),
        ("information-premium", DeniedError), ("error-message", NoDataError),
    ],
)  # fmt: skip
def test_a_refusal_with_status_200_is_raised_inside_the_guarded_request(
    server: Server, nyse: Calendar, name: str, error: type[Exception]
) -> None:
    body = sample(f"alphavantage/{name}.json")
    world = World(server, nyse)
    for unit in (MSFT, Unit("quote", "MSFT")):
        with pytest.raises(error) as caught:
            world.fetch(unit, body)
        assert caught.value.body == body  # type: ignore[attr-defined]


def test_a_key_that_the_provider_repeats_is_hidden(server: Server, nyse: Calendar) -> None:
    text = sample("alphavantage/information-day-with-key.json")
    with pytest.raises(RateLimitedError) as caught:
        World(server, nyse).fetch(MSFT, text.replace(b"***REDACTED***", KEY.encode()))
    assert KEY not in str(caught.value) + repr(caught.value.body)


def test_a_share_class_is_spelled_their_way_and_named_ours(server: Server, nyse: Calendar) -> None:
    unit = Unit("bars", "BRK.B", date(2018, 5, 24), date(2018, 5, 24), "1d")
    body = daily({"2018-05-24": day(volume="1")}, **{"2. Symbol": "BRK-B"})
    [bar] = World(server, nyse, premium=True).fetch(unit, body)

    assert server.asked[0].query["symbol"] == "BRK-B"
    assert bar.symbol == "BRK.B"


# Intraday. In July New York is UTC-4, in January UTC-5.

STARTS = labels("2025-07-08", "09:30:00", "15:55:00")
ENDS = labels("2025-07-08", "09:35:00", "16:00:00")
HALF_DAY_ENDS = labels("2025-07-03", "09:35:00", "13:00:00")
JULY = Unit("bars", "MSFT", date(2025, 7, 1), date(2025, 7, 31), "5m")
IN_AUGUST = datetime(2025, 8, 1, 12, 0, tzinfo=UTC)


def bars_of(server: Server, nyse: Calendar, body: bytes, unit: Unit = JULY) -> list[Any]:
    return World(server, nyse, premium=True, now=IN_AUGUST).fetch(unit, body)


@pytest.mark.parametrize("found", [STARTS, ENDS])
def test_the_rows_tell_whether_a_label_is_a_start_or_an_end(
    server: Server, nyse: Calendar, found: list[str]
) -> None:
    made = bars_of(server, nyse, intraday(found))

    assert len(made) == 78
    assert made[0].data.start == "2025-07-08T13:30:00.000000Z"
    assert made[-1].data.start == "2025-07-08T19:55:00.000000Z"
    assert {(m.data.interval, m.data.session_date) for m in made} == {("5m", "2025-07-08")}
    assert all(m.event_time == m.data.start for m in made)


def test_a_half_day_tells_too(server: Server, nyse: Calendar) -> None:
    made = bars_of(server, nyse, intraday(HALF_DAY_ENDS))
    assert (made[0].data.start, made[-1].data.start) == (
        "2025-07-03T13:30:00.000000Z",
        "2025-07-03T16:55:00.000000Z",
    )


def test_one_day_that_tells_is_enough_for_all(server: Server, nyse: Calendar) -> None:
    silent = labels("2025-07-09", "10:00:00", "11:00:00")
    made = bars_of(server, nyse, intraday(ENDS + silent))
    assert made[-1].data.start == "2025-07-09T14:55:00.000000Z"


@pytest.mark.parametrize(
    "found", [labels("2025-07-08", "10:00:00", "11:00:00"), STARTS + HALF_DAY_ENDS, []]
)
def test_labels_that_prove_nothing_are_not_guessed_at(
    server: Server, nyse: Calendar, found: list[str]
) -> None:
    with pytest.raises(MalformedError):
        bars_of(server, nyse, intraday(found))


def test_the_published_sample_proves_nothing_and_is_kept(server: Server, nyse: Calendar) -> None:
    """Its two rows are of the middle of a day: the label of 2017 is known from whole answers."""
    body = sample("alphavantage/intraday.json")
    unit = Unit("bars", "MSFT", date(2017, 12, 18), date(2017, 12, 18), "1m")
    with pytest.raises(MalformedError) as caught:
        bars_of(server, nyse, body, unit)
    assert caught.value.body == body

    document = json.loads(body)
    rows = document["Time Series (1min)"]
    rows["2017-12-18 16:00:00"] = rows["2017-12-18 14:56:00"]
    made = bars_of(server, nyse, json.dumps(document).encode(), unit)
    assert [m.data.start[11:16] for m in made] == ["19:54", "19:55", "20:59"]
    assert made[0].data.close == "86.5000"


def test_the_weeks_in_which_the_clocks_change(server: Server, nyse: Calendar) -> None:
    """US clocks went forward on 2025-03-09: the same local open is an hour earlier in UTC."""
    unit = Unit("bars", "MSFT", date(2025, 3, 7), date(2025, 3, 10), "5m")
    found = [
        *labels("2025-03-10", "09:30:00", "15:55:00"),
        *labels("2025-03-07", "09:30:00", "15:55:00"),
    ]
    made = bars_of(server, nyse, intraday(found), unit)
    starts = [m.data.start for m in made]

    assert starts[0] == "2025-03-07T14:30:00.000000Z"
    assert starts[78] == "2025-03-10T13:30:00.000000Z"
    for made_bar, label in zip(made, sorted(found), strict=True):
        local = datetime.fromisoformat(label).replace(tzinfo=NEW_YORK)
        assert datetime.fromisoformat(made_bar.data.start) == local


def test_each_month_of_the_range_is_asked_for_raw_and_in_regular_hours(
    server: Server, nyse: Calendar
) -> None:
    unit = Unit("bars", "MSFT", date(2025, 5, 30), date(2025, 7, 1), "5m")

    def answer(request: Request) -> Reply:
        if request.query["month"] == "2025-05":
            return Reply(sample("alphavantage/error-message.json"))
        on = {"2025-06": "2025-06-02", "2025-07": "2025-07-01"}[request.query["month"]]
        return Reply(intraday(labels(on, "09:30:00", "09:35:00")))

    made = World(server, nyse, premium=True, now=IN_AUGUST).fetch(unit, answer)

    assert [request.query["month"] for request in server.asked] == ["2025-05", "2025-06", "2025-07"]
    wanted = {"adjusted": "false", "extended_hours": "false", "interval": "5min"}
    assert all(wanted.items() <= request.query.items() for request in server.asked)
    assert [m.data.session_date for m in made] == ["2025-06-02"] * 2 + ["2025-07-01"] * 2


def test_a_month_that_is_missing_between_two_others_is_no_success(
    server: Server, nyse: Calendar
) -> None:
    """The provider says "invalid call" to a range that it has not, and when it is unwell."""
    unit = Unit("bars", "MSFT", date(2025, 5, 30), date(2025, 7, 1), "5m")
    refusal = sample("alphavantage/error-message.json")

    def answer(request: Request) -> Reply:
        if request.query["month"] == "2025-06":
            return Reply(refusal)
        on = {"2025-05": "2025-05-30", "2025-07": "2025-07-01"}[request.query["month"]]
        return Reply(intraday(labels(on, "09:30:00", "09:35:00")))

    with pytest.raises(MalformedError) as caught:
        World(server, nyse, premium=True, now=IN_AUGUST).fetch(unit, answer)
    assert caught.value.body == refusal
    assert "2025-06" in str(caught.value)


def test_a_symbol_has_no_months_after_its_last_day(server: Server, nyse: Calendar) -> None:
    unit = Unit("bars", "MSFT", date(2025, 5, 30), date(2025, 7, 1), "5m")

    def answer(request: Request) -> Reply:
        if request.query["month"] != "2025-05":
            return Reply(sample("alphavantage/error-message.json"))
        return Reply(intraday(labels("2025-05-30", "09:30:00", "09:35:00")))

    made = World(server, nyse, premium=True, now=IN_AUGUST).fetch(unit, answer)
    assert [m.data.session_date for m in made] == ["2025-05-30"] * 2


@pytest.mark.parametrize("label", ["2025-07-08 08:00:00", "2025-07-12 10:00:00", "noon"])
def test_a_bar_outside_of_regular_hours_is_refused_alone(
    server: Server, nyse: Calendar, label: str
) -> None:
    made = bars_of(server, nyse, intraday([*STARTS, label]))

    [refused] = [m for m in made if isinstance(m, Refused)]
    assert label in json.loads(refused.body)
    assert len(made) == 79


def test_another_time_zone_is_not_taken_for_new_yorks(server: Server, nyse: Calendar) -> None:
    with pytest.raises(MalformedError):
        bars_of(server, nyse, intraday(STARTS, zone="UTC"))


# Quotes.

QUOTE = Unit("quote", "MSFT")


def test_a_published_quote_passes_as_it_is(server: Server, nyse: Calendar) -> None:
    body = sample("alphavantage/global-quote.json")
    [made] = World(server, nyse).fetch(QUOTE, body)

    assert isinstance(made, QuoteMessage)
    assert made.data == json.loads(body)["Global Quote"]
    assert made.event_time == "2018-10-05T13:30:00.000000Z"
    assert Decimal(made.data["05. price"]) == Decimal("112.1300")


def test_the_official_client_reads_the_same_quote(
    server: Server, nyse: Calendar, monkeypatch: pytest.MonkeyPatch
) -> None:
    [made] = World(server, nyse).fetch(QUOTE, sample("alphavantage/global-quote.json"))
    monkeypatch.setattr(Official, "_ALPHA_VANTAGE_API_URL", f"{server.url}/query?")
    theirs, _ = TimeSeries(key=KEY).get_quote_endpoint("MSFT")
    assert made.data == theirs


def test_the_same_quote_again_is_the_same_event(server: Server, nyse: Calendar) -> None:
    world = World(server, nyse)
    body = sample("alphavantage/global-quote.json")
    [first] = world.fetch(QUOTE, body)
    world.clock.sleep(60)
    [again] = world.fetch(QUOTE, body)
    [other] = world.fetch(QUOTE, body.replace(b"112.1300", b"112.1400"))

    assert first.event_id == again.event_id != other.event_id


def test_an_unknown_symbol_is_no_data(server: Server, nyse: Calendar) -> None:
    with pytest.raises(NoDataError):
        World(server, nyse).fetch(QUOTE, sample("alphavantage/global-quote-unknown-symbol.json"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"MSFT"', b'"AAPL"'), (b'"2018-10-05"', b'"2018-10-06"'), (b'"2018-10-05"', b"null"),
        (b'"112.1300"', b"112.13"), (b'"01. symbol"', b'"symbol"'), (b'"112.1300"', b"[]"),
        (b'"02. open"', b'"01. symbol"'),
    ],
)  # fmt: skip
def test_what_is_no_quote_is_refused_with_its_bytes(
    server: Server, nyse: Calendar, before: bytes, after: bytes
) -> None:
    body = sample("alphavantage/global-quote.json").replace(before, after)
    with pytest.raises(MalformedError) as caught:
        World(server, nyse).fetch(QUOTE, body)
    assert caught.value.body == body


def test_facts_count_what_was_made(server: Server, nyse: Calendar) -> None:
    world = World(server, nyse)
    world.fetch(MSFT, sample("alphavantage/daily.json"))
    assert (world.adapter.name, world.adapter.facts()) == (
        "alphavantage",
        {"messages": 2, "refused": 0},
    )


def test_a_server_that_knows_no_months_gives_each_row_once(server: Server, nyse: Calendar) -> None:
    unit = Unit("bars", "MSFT", date(2025, 6, 1), date(2025, 7, 31), "5m")
    body = intraday([*STARTS, *labels("2025-06-30", "09:30:00", "15:55:00")])
    made = bars_of(server, nyse, body, unit)

    assert len({m.event_id for m in made}) == len(made) == 156
