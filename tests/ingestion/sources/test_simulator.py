from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ingestion.calendar import Calendar
from ingestion.contracts import envelope
from ingestion.contracts.records import BarMessage, Message, QuoteMessage, TradeMessage
from ingestion.sources.daily_bar import UNIT, DailyBar
from ingestion.sources.market import Market
from ingestion.sources.simulator import Simulator, SimulatorSettings
from ingestion.sources.tape import shares

LAST = ("2013-02-28", "2013-03-01")


@pytest.fixture(scope="module")
def last_bars(all_bars: list[DailyBar]) -> list[DailyBar]:
    return [bar for bar in all_bars if bar.session.session_date.isoformat() in LAST]


@pytest.fixture(scope="module")
def messages(last_bars: list[DailyBar]) -> list[Message]:
    return list(Simulator(last_bars, SimulatorSettings(), "run").messages())


@pytest.fixture(scope="module")
def trades(messages: list[Message]) -> list[TradeMessage]:
    return [message for message in messages if isinstance(message, TradeMessage)]


@pytest.fixture(scope="module")
def quotes(messages: list[Message]) -> list[QuoteMessage]:
    return [message for message in messages if isinstance(message, QuoteMessage)]


def by_session(found: list[TradeMessage]) -> dict[tuple[str, str], list[TradeMessage]]:
    grouped = defaultdict(list)
    for trade in found:
        grouped[trade.symbol, trade.event_time[:10]].append(trade)
    return grouped


def test_the_defaults_make_some_tens_of_thousands_of_trades(trades: list[TradeMessage]) -> None:
    assert 30_000 < len(trades) < 60_000


def test_trades_as_messages_honour_the_bars(
    trades: list[TradeMessage], last_bars: list[DailyBar]
) -> None:
    grouped = by_session(trades)

    assert len(grouped) == len(last_bars) == 10
    for bar in last_bars:
        found = grouped[bar.symbol, bar.session.session_date.isoformat()]
        prices = [Decimal(trade.data.price) * UNIT for trade in found]
        assert (prices[0], prices[-1]) == (bar.open, bar.close)
        assert (max(prices), min(prices)) == (bar.high, bar.low)
        total = sum(int(trade.data.size) for trade in found)
        assert total == shares(bar.volume, Decimal("0.04")) == int(bar.volume * Decimal("0.04"))
        assert [trade.data.seq for trade in found] == list(range(1, len(found) + 1))


def test_no_trade_lies_outside_its_session(
    trades: list[TradeMessage], last_bars: list[DailyBar]
) -> None:
    sessions = {bar.session.session_date.isoformat(): bar.session for bar in last_bars}

    for trade in trades:
        session = sessions[trade.event_time[:10]]
        assert session.open_at <= datetime.fromisoformat(trade.event_time) < session.close_at


def test_everything_is_labelled_simulated_and_fulfils_the_contract(
    messages: list[Message],
) -> None:
    for message in messages:
        assert message.simulated
        assert message.source == "simulator"
        assert envelope.decode(envelope.encode(message)) == message


def test_every_trade_is_an_event_of_its_own(trades: list[TradeMessage]) -> None:
    assert len({trade.event_id for trade in trades}) == len(trades)


def test_the_clock_is_simulated(messages: list[Message]) -> None:
    for message in messages:
        event, fetched = (
            datetime.fromisoformat(text) for text in (message.event_time, message.fetched_at)
        )
        assert event <= fetched < event + timedelta(hours=1)


def test_messages_come_in_the_order_of_their_time(trades: list[TradeMessage]) -> None:
    moments = [trade.event_time for trade in trades]

    assert moments == sorted(moments)


def test_the_same_settings_give_the_same_bytes_whatever_is_selected(
    messages: list[Message], last_bars: list[DailyBar]
) -> None:
    alone = [bar for bar in reversed(last_bars) if bar.symbol == "IBM"]

    again = Simulator(alone, SimulatorSettings(), "run").messages()

    expected = [envelope.encode(m) for m in messages if m.symbol == "IBM"]
    assert [envelope.encode(message) for message in again] == expected


def test_quotes_are_what_the_trades_had_shown(
    quotes: list[QuoteMessage], trades: list[TradeMessage], last_bars: list[DailyBar]
) -> None:
    grouped = by_session(trades)
    previous = {(b.symbol, b.session.session_date.isoformat()): b for b in last_bars}

    assert len(quotes) == 10 * 390
    for quote in quotes[::7]:
        key = quote.symbol, quote.event_time[:10]
        polled = quote.fetched_at[:17] + "00.000000Z"
        seen = [trade for trade in grouped[key] if trade.event_time <= polled]
        prices = [float(trade.data.price) for trade in seen]
        data, close = quote.data, previous[key].previous_close
        assert set(data) == {"c", "d", "dp", "h", "l", "o", "pc", "t"}
        assert (data["c"], data["o"]) == (prices[-1], prices[0])
        assert (data["h"], data["l"]) == (max(prices), min(prices))
        assert close is not None
        assert data["pc"] == close / 10**6
        assert data["d"] == pytest.approx(data["c"] - data["pc"], abs=1e-4)
        assert data["dp"] == pytest.approx(100 * (data["c"] / data["pc"] - 1), abs=1e-4)
        last = datetime.fromisoformat(seen[-1].event_time)
        assert data["t"] == int(last.timestamp())
        assert datetime.fromisoformat(quote.event_time) == datetime.fromtimestamp(data["t"], UTC)


def test_the_previous_close_is_the_recorded_one(quotes: list[QuoteMessage]) -> None:
    first = next(q for q in quotes if q.symbol == "MSFT" and q.event_time >= "2013-03-01")

    assert first.data["pc"] == 27.8


def test_a_quote_is_never_fetched_before_what_it_tells(quotes: list[QuoteMessage]) -> None:
    for quote in quotes:
        assert quote.data["t"] <= datetime.fromisoformat(quote.fetched_at).timestamp()


def test_a_repeated_observation_is_the_same_event(quotes: list[QuoteMessage]) -> None:
    seen: dict[str, QuoteMessage] = {}
    repeated = 0
    for quote in quotes:
        first = seen.setdefault(quote.event_id, quote)
        assert (first.data, first.event_time) == (quote.data, quote.event_time)
        repeated += first is not quote

    assert repeated > 0


def test_the_interval_is_kept_and_zero_means_no_quotes(last_bars: list[DailyBar]) -> None:
    def quotes_with(interval: timedelta | None) -> int:
        simulator = Simulator(last_bars[:1], SimulatorSettings(quote_interval=interval), "run")
        return sum(isinstance(message, QuoteMessage) for message in simulator.messages())

    assert quotes_with(timedelta(minutes=10)) == 39
    assert quotes_with(None) == 0


def test_without_a_previous_close_there_is_no_quote(all_bars: list[DailyBar]) -> None:
    first = next(bar for bar in all_bars if bar.symbol == "FB")
    assert first.previous_close is None

    found = list(Simulator([first], SimulatorSettings(), "run").messages())

    assert found
    assert all(isinstance(message, TradeMessage) for message in found)


def test_a_half_day_is_polled_until_its_close(all_bars: list[DailyBar]) -> None:
    half = next(
        b
        for b in all_bars
        if b.symbol == "FB" and b.session.session_date.isoformat() == "2012-11-23"
    )

    found = list(Simulator([half], SimulatorSettings(), "run").messages())

    assert sum(isinstance(message, QuoteMessage) for message in found) == 210
    assert max(m.event_time for m in found) < "2012-11-23T18:00:00"


def test_the_facts_count_what_was_made(last_bars: list[DailyBar]) -> None:
    simulator = Simulator(last_bars[:1], SimulatorSettings(seed=3), "run")
    made = list(simulator.messages())

    facts = simulator.facts()

    assert facts["trades"] == sum(isinstance(m, TradeMessage) for m in made)
    assert facts["quotes"] == sum(isinstance(m, QuoteMessage) for m in made)
    assert (facts["seed"], facts["volume_fraction"]) == (3, "0.04")


@pytest.fixture(scope="module")
def generated(nyse: Calendar) -> list[Message]:
    bars = Market(7, ("IBM", "SIM0001"), nyse).bars(date(2013, 2, 28), date(2013, 3, 1))
    return list(Simulator(bars, SimulatorSettings(is_generated=True), "run").messages())


def test_a_generated_market_s_bars_come_after_their_sessions_and_are_what_was_traded(
    generated: list[Message],
) -> None:
    bars = [message for message in generated if isinstance(message, BarMessage)]
    grouped = by_session([message for message in generated if isinstance(message, TradeMessage)])

    assert len(bars) == len(grouped) == 4
    for bar in bars:
        prices = [Decimal(t.data.price) for t in grouped[bar.symbol, bar.data.session_date]]
        assert [bar.data.open, bar.data.close] == [f"{prices[0]}", f"{prices[-1]}"]
        assert [bar.data.high, bar.data.low] == [f"{max(prices)}", f"{min(prices)}"]
    fetched = [message.fetched_at for message in generated if message.fetched_at < "2013-03-01"]
    assert fetched[-2:] == ["2013-02-28T21:15:00.000000Z"] * 2 == sorted(fetched)[-2:]
    for message in generated:
        assert message.simulated
        assert envelope.decode(envelope.encode(message)) == message


def test_a_generated_trade_is_never_the_same_event_as_one_in_a_recorded_bar(
    generated: list[Message], trades: list[TradeMessage]
) -> None:
    assert {message.symbol for message in generated} == {"IBM", "SIM0001"}
    assert not {message.event_id for message in generated} & {t.event_id for t in trades}


def test_a_session_that_nobody_can_trade_is_counted_and_empty(last_bars: list[DailyBar]) -> None:
    source = Simulator([replace(last_bars[0], volume=50)], SimulatorSettings(), "run")

    assert not list(source.messages())
    assert source.facts()["skipped_bars"] == 1
