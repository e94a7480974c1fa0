from datetime import date, timedelta
from itertools import combinations
from pathlib import Path

import pytest

from ingestion.errors import InstrumentsError
from ingestion.instruments import reader
from ingestion.instruments.reader import Instrument, Universe

FAR = date(9999, 12, 31)


@pytest.fixture(scope="module")
def universe() -> Universe:
    return reader.universe()


def periods(one: Instrument) -> list[tuple[str, date, date]]:
    starts = [period.since for period in one.symbols]
    ends = [*(day - timedelta(days=1) for day in starts[1:]), one.listed_to or FAR]
    return [(p.symbol, p.since, end) for p, end in zip(one.symbols, ends, strict=True)]


def test_about_a_hundred_names_of_every_sector(universe: Universe) -> None:
    assert len(universe.symbols()) == 114
    assert len({one.sector for one in universe.instruments}) == 11
    assert len({one.id for one in universe.instruments}) == len(universe.instruments) == 123


def test_no_symbol_is_anybody_s_twice_on_one_day(universe: Universe) -> None:
    held = [period for one in universe.instruments for period in periods(one)]

    for (left, since, until), (right, other_since, other_until) in combinations(held, 2):
        assert left != right or until < other_since or other_until < since


@pytest.mark.parametrize(
    ("symbol", "day", "expected"),
    [
        ("FB", "2022-06-08", "meta-platforms"),
        ("META", "2022-06-09", "meta-platforms"),
        ("GOOG", "2014-04-02", "alphabet-class-a"),
        ("GOOG", "2014-04-03", "alphabet-class-c"),
        ("CB", "2016-01-14", "chubb-corporation"),
        ("CB", "2016-01-15", "chubb-limited"),
        ("ANTM", "2020-01-02", "elevance"),
        ("PCLN", "2018-02-26", "booking"),
        ("UTX", "2020-04-02", "rtx"),
        ("TWTR", "2022-10-27", "twitter"),
    ],
)
def test_a_symbol_is_resolved_by_its_day(
    universe: Universe, symbol: str, day: str, expected: str
) -> None:
    found = universe.instrument(symbol, date.fromisoformat(day))

    assert found is not None
    assert found.id == expected


@pytest.mark.parametrize(
    ("symbol", "day"),
    [
        ("META", date(2022, 6, 8)),
        ("FB", date(2022, 6, 9)),
        ("FB", None),
        ("TWTR", date(2022, 10, 28)),
        ("TWTR", None),
        ("TSLA", date(2010, 6, 28)),
    ],
)
def test_a_symbol_is_nobody_s_on_other_days(
    universe: Universe, symbol: str, day: date | None
) -> None:
    assert universe.instrument(symbol, day) is None


def test_the_universe_of_a_day_has_the_dead_and_not_the_unborn(universe: Universe) -> None:
    then = universe.symbols(date(2007, 1, 3))

    assert {"LEH", "BSC", "SUNW", "YHOO", "GOOG"} <= set(then)
    assert not {"META", "FB", "TSLA", "V"} & set(then)


def test_what_is_fetched() -> None:
    assert len(reader.selected()) == 10
    assert reader.selected(["IBM", "FB", "IBM"]) == ("IBM", "FB")
    assert "BRK.B" in reader.selected(named="all")
    with pytest.raises(InstrumentsError, match="expected default or all, found 'nasdaq'"):
        reader.selected(named="nasdaq")


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BRK-B", "BRK.B"),
        ("brk.b", "BRK.B"),
        (" aapl ", "AAPL"),
        ("XYZ-A", "XYZ.A"),  # nobody's, and spelled alike
        ("BTC-USD", "BTC-USD"),
        ("^GSPC", "^GSPC"),
    ],
)
def test_a_symbol_is_spelled_as_the_exchange_does(text: str, symbol: str) -> None:
    assert reader.canonical(text) == symbol
    assert reader.selected([text, symbol]) == (symbol,)


def test_every_known_symbol_is_canonical(universe: Universe) -> None:
    for symbol in {period.symbol for one in universe.instruments for period in one.symbols}:
        assert reader.canonical(symbol) == symbol


@pytest.mark.parametrize(
    "text", ["", "../../etc", "A B", "BRK/B", "AAPL\nMSFT", "=HYPERLINK()", "Å"]
)
def test_what_no_message_could_carry_is_refused(text: str) -> None:
    with pytest.raises(InstrumentsError, match="expected a symbol such as AAPL"):
        reader.selected([text])


GOOD = """
defaults: [A]
instruments:
  - id: one
    name: One
    mic: XNYS
    sector: S
    industry: I
    listed_from: 2000-01-03
    symbols: [{symbol: B, from: 2000-01-03}, {symbol: A, from: 2001-01-02}]
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2001-01-02", "1999-01-04", "symbols in order"),
        ("B, from: 2000-01-03", "B, from: 2000-01-04", "the first from listed_from"),
        ("mic: XNYS", "mic: nyse", "mic"),
        ("mic: XNYS", "mic: XNYS\n    ticker: A", "ticker"),
        ("    sector: S\n", "", "sector"),
        ("defaults: [A]", "defaults: [B]", "traded now, found B"),
        ("industry: I", "industry: I\n    listed_to: 2000-06-01", "listed_to after"),
        ("symbol: A", "symbol: NO", "symbol"),  # YAML's own trap: a boolean
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "instruments.yml"
    path.write_text(GOOD)
    assert reader.read(path).symbols() == ("A",)
    assert old in GOOD

    path.write_text(GOOD.replace(old, new))

    with pytest.raises(InstrumentsError, match=said):
        reader.read(path)
