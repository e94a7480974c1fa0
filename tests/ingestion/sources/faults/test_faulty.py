"""Every fault is found again in the stream, by one who does not know how it was made.

The stream with faults is compared with the clean one, and what is found must be exactly the truth.
"""

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from ingestion.calendar import Calendar
from ingestion.contracts import envelope
from ingestion.contracts.records import (
    BarMessage,
    CorporateActionMessage,
    Message,
    QuoteMessage,
    TradeMessage,
)
from ingestion.errors import SettingsError
from ingestion.sources.daily_bar import DailyBar
from ingestion.sources.faults import kinds, truth
from ingestion.sources.faults.faulty import Faulty
from ingestion.sources.faults.truth import Fault, Truth
from ingestion.sources.recorded import Recorded
from ingestion.sources.selection import Selection
from ingestion.sources.simulator import Simulator, SimulatorSettings
from ingestion.sources.source import Refused, Source

Run = tuple[list[Message], list[Message], list[Fault]]
Faults = Callable[..., Run]

SECONDS = 86_400.0
DAYS = ("2013-02-28", "2013-03-01")


@pytest.fixture(scope="module")
def simulated(all_bars: list[DailyBar]) -> Callable[[], Source]:
    bars = [
        bar
        for bar in all_bars
        if bar.session.session_date.isoformat() in DAYS and bar.symbol in ("IBM", "GOOG")
    ]
    return lambda: Simulator(bars, SimulatorSettings(), "run")


@pytest.fixture
def run(simulated: Callable[[], Source], nyse: Calendar, tmp_path: Path) -> Faults:
    """Return the clean messages, those with faults, and the truth."""

    def of(source: Callable[[], Source] = simulated, seed: int = 7, **rates: float) -> Run:
        path = tmp_path / "truth.jsonl"
        faulty = Faulty(source(), rates, seed, nyse, Truth(path))
        return messages(source()), messages(faulty), truth.read(path)

    return of


def messages(source: Source) -> list[Message]:
    return [made for made in source.messages() if not isinstance(made, Refused)]


def by_id(found: list[Message]) -> dict[str, Message]:
    return {message.event_id: message for message in found}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def late_s(message: Message) -> float:
    return (moment(message.fetched_at) - moment(message.event_time)).total_seconds()


def trades_of(found: list[Message]) -> list[TradeMessage]:
    return [message for message in found if isinstance(message, TradeMessage)]


def quotes_of(found: list[Message]) -> list[QuoteMessage]:
    return [message for message in found if isinstance(message, QuoteMessage)]


def test_without_faults_every_byte_is_the_source_s(run: Faults) -> None:
    clean, given, faults = run()

    assert [*map(envelope.encode, given)] == [*map(envelope.encode, clean)]
    assert faults == []


def test_the_same_seed_gives_the_same_faults_and_another_others(run: Faults) -> None:
    rates = dict.fromkeys(kinds.KINDS, 0.01)

    first, again, other = run(**rates), run(**rates), run(seed=8, **rates)

    assert [*map(envelope.encode, first[1])] == [*map(envelope.encode, again[1])]
    assert first[2] == again[2] != other[2]


def test_what_strikes_does_not_depend_on_what_else_is_in_the_stream(
    run: Faults, all_bars: list[DailyBar]
) -> None:
    alone = [b for b in all_bars if b.symbol == "IBM" and str(b.session.session_date) in DAYS]

    both = run(bust=0.01, price_100x=0.01)[2]
    one = run(lambda: Simulator(alone, SimulatorSettings(), "r"), bust=0.01, price_100x=0.01)[2]

    def names(faults: list[Fault]) -> list[tuple[str, str]]:
        return [(fault.fault, fault.event_id) for fault in faults if fault.symbol == "IBM"]

    assert names(both) == names(one) != []


def test_everything_given_still_fulfils_the_contract(run: Faults) -> None:
    rates = dict.fromkeys(kinds.KINDS, 0.02) | {"rename": 1.0}

    for message in run(**rates)[1]:
        assert envelope.decode(envelope.encode(message)) == message
        assert message.simulated


def test_a_duplicate_is_the_same_event_and_a_twin_another(run: Faults) -> None:
    clean, given, faults = run(duplicate=0.01, twin=0.01)

    known, originals = Counter(map(envelope.encode, clean)), by_id(clean)
    repeated = Counter(map(envelope.encode, given)) - known
    new = [m for m in trades_of(given) if m.event_id not in originals]
    duplicates = [fault for fault in faults if fault.fault == "duplicate"]
    twins = {fault.sent_as: fault.event_id for fault in faults if fault.fault == "twin"}
    found = Counter(envelope.decode(body).event_id for body in repeated.elements())
    assert found - Counter(m.event_id for m in new) == Counter(f.event_id for f in duplicates)
    assert {message.event_id for message in new} == twins.keys()
    assert len(twins) > 20 < len(duplicates)
    for message in new:
        original = originals[twins[message.event_id]]
        assert isinstance(original, TradeMessage)
        assert message.event_time == original.event_time
        assert (message.data.price, message.data.size) == (original.data.price, original.data.size)
        assert message.data.seq != original.data.seq


def test_out_of_order_is_overtaken_within_five_seconds(run: Faults) -> None:
    clean, given, faults = run(out_of_order=0.02)

    before = by_id(clean)
    late = {m.event_id: late_s(m) - late_s(before[m.event_id]) for m in trades_of(given)}
    found = {event_id for event_id, seconds in late.items() if seconds > 0}
    expected = {fault.event_id for fault in faults if fault.schema == "trade.v1"}
    assert found == expected
    assert 0 < max(late.values()) <= 5
    ahead = Counter[str]()
    newest: dict[str, str] = {}
    for message in trades_of(given):
        ahead[message.event_id] += message.event_time < newest.get(message.symbol, "")
        newest[message.symbol] = max(message.event_time, newest.get(message.symbol, ""))
    overtaken = {f.event_id for f in faults if f.schema == "trade.v1" and f.detail["overtaken_by"]}
    assert {event_id for event_id, behind in ahead.items() if behind} <= overtaken
    assert len(overtaken) > 10
    assert sorted(map(envelope.topic_of, given)) == sorted(map(envelope.topic_of, clean))


def test_late_ones_come_minutes_to_days_after_the_fact(run: Faults) -> None:
    clean, given, faults = run(late=0.01)

    found = {m.event_id: late_s(m) for m in trades_of(given) if late_s(m) > 50}
    expected = {fault.event_id for fault in faults if fault.schema == "trade.v1"}
    assert found.keys() == expected
    assert min(found.values()) >= 60
    assert 2 * SECONDS < max(found.values()) < 3 * SECONDS + 60
    assert len(given) == len(clean)
    fetched = [message.fetched_at for message in given if late_s(message) > 50]
    assert fetched == sorted(fetched)
    assert fetched[-1] > max(message.fetched_at for message in clean)


def test_corrections_and_busts_name_their_trade_and_come_after_it(run: Faults) -> None:
    _, given, faults = run(correct=0.01, bust=0.01)

    place = {message.event_id: number for number, message in enumerate(given)}
    found = set()
    for message in trades_of(given):
        if message.data.action != "new":
            assert message.data.ref is not None
            kind = {"correct": "correct", "cancel": "bust"}[message.data.action]
            found.add((kind, message.data.ref, message.event_id))
            original = given[place[message.data.ref]]
            assert isinstance(original, TradeMessage)
            assert place[message.data.ref] < place[message.event_id]
            assert original.event_time < message.event_time
            assert (message.data.price != original.data.price) == (kind == "correct")
            assert Decimal(message.data.price) > 0
    assert found == {(fault.fault, fault.event_id, fault.sent_as) for fault in faults}
    assert {kind for kind, *_ in found} == {"correct", "bust"}


def test_a_zero_quote_is_all_zeros_at_the_epoch(run: Faults) -> None:
    _, given, faults = run(zero_quote=0.02)

    zeros = [quote for quote in quotes_of(given) if quote.data["c"] == 0]
    assert len(zeros) == len(faults) > 10
    assert {zero.event_id for zero in zeros} == {fault.sent_as for fault in faults}
    assert {zero.event_time for zero in zeros} == {"1970-01-01T00:00:00.000000Z"}


def test_a_stale_quote_is_an_earlier_session_s_last(run: Faults) -> None:
    clean, given, faults = run(stale_quote=0.05)

    stale = [q for q in quotes_of(given) if q.event_time[:10] < q.fetched_at[:10]]
    assert Counter(quote.event_id for quote in stale) == Counter(f.sent_as for f in faults)
    assert len(stale) > 10
    last = {q.symbol: q.event_id for q in quotes_of(clean) if q.event_time < "2013-03-01"}
    assert {quote.event_id for quote in stale} == set(last.values())


def test_a_hundredfold_price_stands_out(run: Faults) -> None:
    clean, given, faults = run(price_100x=0.01)

    known = {message.symbol: Decimal(message.data.price) for message in trades_of(clean)}
    trades = {t.event_id for t in trades_of(given) if Decimal(t.data.price) > 50 * known[t.symbol]}
    quotes = {q.event_id for q in quotes_of(given) if q.data["c"] > 50 * known[q.symbol]}
    assert trades | quotes == {fault.sent_as for fault in faults}
    assert trades
    assert quotes
    for quote in quotes_of(given):
        assert quote.data["d"] == pytest.approx(quote.data["c"] - quote.data["pc"], abs=0.011)


def test_a_missing_minute_has_no_trade(run: Faults) -> None:
    clean, given, faults = run(missing_minute=0.02)

    left = {message.event_id for message in given}
    gone = {message.event_id for message in clean} - left
    assert gone == {fault.event_id for fault in faults} != set()
    minutes = {(fault.symbol, fault.event_time[:16]) for fault in faults}
    assert len(minutes) > 10
    assert not minutes & {(trade.symbol, trade.event_time[:16]) for trade in trades_of(given)}
    assert quotes_of(given) == quotes_of(clean)


def test_a_renamed_symbol_never_comes_back(run: Faults) -> None:
    clean, given, faults = run(rename=1.0)

    assert {m.symbol for m in given if m.fetched_at < DAYS[1]} == {"IBM", "GOOG"}
    renamed = [message for message in given if message.symbol.endswith("Z")]
    assert {message.symbol for message in renamed} == {"IBMZ", "GOOGZ"}
    assert len(renamed) == sum(message.fetched_at > DAYS[1] for message in given)
    assert [fault.sent_as for fault in faults] == [message.event_id for message in renamed]
    assert {fault.symbol for fault in faults} == {"IBM", "GOOG"}
    assert {fault.event_id for fault in faults} <= by_id(clean).keys()


def test_after_a_change_of_the_clock_the_old_offset_is_an_hour_off(
    run: Faults, all_bars: list[DailyBar]
) -> None:
    spring, autumn = date(2012, 3, 12), date(2012, 11, 5)
    days = spring, autumn, date(2012, 3, 13), date(2012, 3, 9)
    bars = [b for b in all_bars if b.session.session_date in days and b.symbol == "IBM"]

    clean, given, faults = run(lambda: Simulator(bars, SimulatorSettings(), "run"), dst=1.0)

    moved = Counter[tuple[str, float]]()
    for before, after in zip(clean, given, strict=True):
        by = (moment(after.event_time) - moment(before.event_time)).total_seconds()
        assert after.fetched_at == before.fetched_at
        moved[before.fetched_at[:10], by] += 1
        if isinstance(after, QuoteMessage):
            assert moment(after.event_time).timestamp() == after.data["t"]
    assert {key for key in moved if key[1]} == {("2012-03-12", 3600.0), ("2012-11-05", -3600.0)}
    assert sum(count for key, count in moved.items() if key[1]) == len(faults)
    assert {key[0] for key in moved if not key[1]} == {"2012-03-09", "2012-03-13"}


@pytest.fixture
def recorded(stocks: Path, nyse: Calendar) -> Callable[[], Source]:
    selection = Selection(frozenset({"AAPL"}), date(2005, 1, 3), date(2005, 12, 30))
    return lambda: Recorded(stocks, nyse, "run", selection)


def test_recorded_bars_lose_their_prices_and_are_called_simulated(
    run: Faults, recorded: Callable[[], Source]
) -> None:
    clean, given, faults = run(recorded, null_ohlc=0.05)

    empty = [bar for bar in given if isinstance(bar, BarMessage) and bar.data.close is None]
    assert {bar.event_id for bar in empty} == {fault.sent_as for fault in faults} != set()
    volumes = {m.event_time: m.data.volume for m in clean if isinstance(m, BarMessage)}
    for bar in empty:
        assert bar.data.volume == volumes[bar.event_time]
    assert {m.event_id for m in given if m.simulated} == {bar.event_id for bar in empty}


def test_a_missed_split_leaves_the_jump_and_no_action(
    run: Faults, recorded: Callable[[], Source]
) -> None:
    clean, given, faults = run(recorded, missed_split=1.0)

    splits = [m for m in clean if isinstance(m, CorporateActionMessage) and m.data.type == "split"]
    assert [fault.event_id for fault in faults] == [split.event_id for split in splits]
    assert [fault.detail for fault in faults] == [{"ratio": "2"}]
    assert [*by_id(clean).keys() - by_id(given).keys()] == [splits[0].event_id]


def test_a_fault_is_in_the_file_before_its_event_is_given_on(
    simulated: Callable[[], Source], nyse: Calendar, tmp_path: Path
) -> None:
    """Whoever is killed in the middle has sent nothing whose fault nobody knows of."""
    found = Truth(tmp_path / "truth.jsonl")
    faulty = Faulty(simulated(), {"price_100x": 0.2, "twin": 0.2}, 7, nyse, found)
    for number, _ in zip(range(200), faulty.messages(), strict=False):
        assert len(truth.read(found.path)) == found.counts.total(), number
    assert found.counts.total() > 10


def test_the_rate_is_kept(run: Faults) -> None:
    clean, _, faults = run(bust=0.05)

    assert len(faults) / len(trades_of(clean)) == pytest.approx(0.05, abs=0.01)


def test_the_facts_count_the_faults(
    simulated: Callable[[], Source], nyse: Calendar, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "truth.jsonl"
    faulty = Faulty(simulated(), {"bust": 0.01}, 3, nyse, Truth(path))

    messages(faulty)

    facts = faulty.facts()
    assert facts["fault_bust"] == len(truth.read(path)) > 0
    assert facts["fault_seed"] == 3
    assert facts["trades"] == simulated_trades(simulated)


def simulated_trades(simulated: Callable[[], Source]) -> int:
    return len(trades_of(messages(simulated())))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latee=0.1", "found 'latee'"),
        ("late", "expected a rate"),
        ("late=x", "expected a rate"),
        ("late=0", "expected a rate"),
        ("late=1.5", "expected a rate"),
        ("late=nan", "expected a rate"),
    ],
)
def test_a_rate_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        kinds.rates([text])


def test_rates_may_stand_together() -> None:
    assert kinds.rates(["late=0.1,bust=1", "twin=0.5"]) == {"late": 0.1, "bust": 1.0, "twin": 0.5}
