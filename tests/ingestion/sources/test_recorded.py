"""The recorded source against an independent reading of the same file."""

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import exchange_calendars
import pandas as pd
import pytest

from ingestion.calendar import Calendar
from ingestion.contracts import envelope
from ingestion.contracts.records import BarMessage, CorporateActionMessage, Message
from ingestion.errors import SourceError
from ingestion.sources.recorded import Recorded
from ingestion.sources.selection import Selection
from ingestion.sources.source import Refused
from ingestion.sources.stocks_csv import HEADER

FIELDS = {
    "Open": "open", "High": "high", "Low": "low", "Close": "close", "Volume": "volume",
    "Adj Close": "adj_close",
}  # fmt: skip


@pytest.fixture(scope="module")
def messages(nyse: Calendar, stocks: Path) -> list[Message | Refused]:
    return list(Recorded(stocks, nyse, "run").messages())


@pytest.fixture(scope="module")
def bars(messages: list[Message | Refused]) -> list[BarMessage]:
    return [message for message in messages if isinstance(message, BarMessage)]


@pytest.fixture(scope="module")
def actions(messages: list[Message | Refused]) -> list[CorporateActionMessage]:
    return [message for message in messages if isinstance(message, CorporateActionMessage)]


@pytest.fixture(scope="module")
def oracle(stocks: Path) -> pd.DataFrame:
    return pd.read_csv(stocks, dtype=str, keep_default_na=False)


def csv(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / "bars.csv"
    path.write_bytes(b"\n".join([HEADER, *lines, b""]))
    return path


def test_every_bar_has_the_files_own_text(bars: list[BarMessage], oracle: pd.DataFrame) -> None:
    expected = oracle.rename(columns=FIELDS | {"Ticker": "symbol", "Date": "session_date"})
    columns = list(expected.columns)
    found = pd.DataFrame(
        [[b.symbol if c == "symbol" else getattr(b.data, c) for c in columns] for b in bars],
        columns=columns,
    )

    assert len(found) == 12_154
    pd.testing.assert_frame_equal(found, expected)


def test_each_symbol_has_all_its_bars(bars: list[BarMessage]) -> None:
    assert Counter(bar.symbol for bar in bars) == {
        "AAPL": 3270, "IBM": 3270, "MSFT": 3270, "GOOG": 2148, "FB": 196,
    }  # fmt: skip


def test_every_bar_is_of_a_session_of_the_exchange(bars: list[BarMessage]) -> None:
    opens = exchange_calendars.get_calendar("XNYS", start="1999-01-01").opens
    expected = {
        f"{day:%Y-%m-%d}": f"{opened:%Y-%m-%dT%H:%M:%S.%fZ}" for day, opened in opens.items()
    }

    for bar in bars:
        assert bar.data.start == expected[bar.data.session_date]
        assert bar.event_time == bar.data.start


def test_a_bar_is_fetched_fifteen_minutes_after_its_session(bars: list[BarMessage]) -> None:
    half_day = next(bar for bar in bars if bar.data.session_date == "2012-11-23")

    assert half_day.fetched_at == half_day.data.as_of == "2012-11-23T18:15:00.000000Z"
    assert not any(bar.simulated for bar in bars)


def test_everything_fulfils_the_contract(messages: list[Message | Refused]) -> None:
    for message in messages:
        assert not isinstance(message, Refused)
        assert envelope.decode(envelope.encode(message)) == message


def test_every_message_is_an_event_of_its_own(messages: list[Message | Refused]) -> None:
    ids = [message.event_id for message in messages if not isinstance(message, Refused)]

    assert len(set(ids)) == len(ids) == 12_154 + 95


def test_the_splits_are_those_that_happened(actions: list[CorporateActionMessage]) -> None:
    splits = [(a.symbol, a.data.ex_date, a.data.ratio) for a in actions if a.data.type == "split"]

    assert sorted(splits) == [
        ("AAPL", "2000-06-21", "2"),
        ("AAPL", "2005-02-28", "2"),
        ("MSFT", "2003-02-18", "2"),
    ]


def test_the_dividends_are_those_that_were_paid(actions: list[CorporateActionMessage]) -> None:
    paid = {(a.symbol, a.data.ex_date): a.data.amount for a in actions if a.data.amount}

    assert Counter(symbol for symbol, _ in paid) == {"IBM": 52, "MSFT": 37, "AAPL": 3}
    # Microsoft's special dividend, Apple's first three, and ordinary quarters.
    assert paid["MSFT", "2004-11-15"] == "3.08"
    for ex_date in ("2012-08-09", "2012-11-07", "2013-02-07"):
        assert paid["AAPL", ex_date] == "2.65"
    assert paid["MSFT", "2003-02-19"] == "0.08"
    assert paid["IBM", "2008-05-07"] == "0.5"
    assert paid["IBM", "2013-02-06"] == "0.85"
    # Totals of an independent vendor for the same sessions.
    assert sum(Decimal(a) for (s, _), a in paid.items() if s == "IBM") == Decimal("19.84")
    assert sum(Decimal(a) for (s, _), a in paid.items() if s == "MSFT") == Decimal("7.77")


def test_ibm_paid_every_quarter(actions: list[CorporateActionMessage]) -> None:
    days = [date.fromisoformat(a.data.ex_date) for a in actions if a.symbol == "IBM"]

    gaps = [later - earlier for earlier, later in pairwise(days)]
    assert all(timedelta(80) < gap < timedelta(100) for gap in gaps)


def test_the_actions_explain_the_adjusted_closes(
    bars: list[BarMessage], actions: list[CorporateActionMessage]
) -> None:
    """Raw closes and our actions give back the vendor's adjusted closes: none is missing."""
    by_day = {(a.symbol, a.data.ex_date): a.data for a in actions}
    factor = Decimal(1)
    later: BarMessage | None = None
    for bar in reversed(bars):
        if later is None or later.symbol != bar.symbol:
            assert bar.data.close and bar.data.adj_close
            factor = Decimal(bar.data.adj_close) / Decimal(bar.data.close)
        else:
            action = by_day.get((later.symbol, later.data.session_date))
            if action and action.ratio:
                factor /= Decimal(action.ratio)
            elif action and action.amount:
                factor /= 1 + Decimal(action.amount) / Decimal(later.data.close or 0)
        assert bar.data.close and bar.data.adj_close
        ours = Decimal(bar.data.close) * factor
        assert abs(ours / Decimal(bar.data.adj_close) - 1) < Decimal("1e-11")
        later = bar


def selected(nyse: Calendar, stocks: Path, **bounds: object) -> list[Message | Refused]:
    selection = Selection(**bounds)  # type: ignore[arg-type]
    return list(Recorded(stocks, nyse, "run", selection).messages())


def test_the_last_sessions_of_all_symbols(nyse: Calendar, stocks: Path) -> None:
    found = selected(nyse, stocks, last_sessions=2)

    keys = {(m.symbol, m.data.session_date) for m in found if isinstance(m, BarMessage)}
    symbols = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert keys == {(s, d) for s in symbols for d in ("2013-02-28", "2013-03-01")}


def test_a_selection_gives_the_same_events_as_the_whole(
    nyse: Calendar, stocks: Path, messages: list[Message | Refused]
) -> None:
    found = selected(
        nyse, stocks, symbols=frozenset({"MSFT"}), start=date(2003, 2, 18), end=date(2003, 2, 19)
    )

    # Split and dividend of the first days are proven by the day before, which is not selected.
    assert [type(m).__name__ for m in found] == ["CorporateActionMessage", "BarMessage"] * 2
    assert all(message in messages for message in found)


@pytest.mark.parametrize(
    "bounds",
    [
        {"symbols": frozenset({"AAPL", "NOPE"})},
        {"start": date(2014, 1, 1)},
        {"symbols": frozenset({"FB"}), "end": date(2012, 1, 1)},
    ],
)
def test_a_selection_of_nothing_is_an_error(
    nyse: Calendar, stocks: Path, bounds: dict[str, object]
) -> None:
    with pytest.raises(SourceError, match="no bar"):
        selected(nyse, stocks, **bounds)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"AAPL,2013-03-01,1,2,1,2,100", "malformed_row"),
        (b"", "malformed_row"),
        (b"\xff,2013-03-01,1,2,1,2,100,2", "not_utf8"),
        (b"AAPL,2013-03-02,1,2,1,2,100,2", "no_session"),
        (b"AAPL,03/01/2013,1,2,1,2,100,2", "no_session"),
        (b"aapl,2013-03-01,1,2,1,2,100,2", "contract"),
        (b"AAPL,2013-03-01,NaN,2,1,2,100,2", "contract"),
        (b"AAPL,2013-03-01,1,1e999,1,2,100,2", "contract"),
        (b"AAPL,2013-03-01,1,2,1,2,100,x", "contract"),
    ],
)
def test_a_bad_line_is_refused_as_it_is_and_the_rest_goes_on(
    nyse: Calendar, tmp_path: Path, line: bytes, reason: str
) -> None:
    good = b"IBM,2013-03-01,1,2,1,2,100,2"

    found = list(Recorded(csv(tmp_path, line, good), nyse, "run").messages())

    assert isinstance(found[0], Refused)
    assert (found[0].body, found[0].reason) == (line, reason)
    assert found[0].topic == "stock-market-batch"
    assert isinstance(found[1], BarMessage)
    assert len(found) == 2


def test_a_halt_is_a_bar_without_prices(nyse: Calendar, tmp_path: Path) -> None:
    path = csv(tmp_path, b"IBM,2013-03-01,,,,,0,")

    (bar,) = Recorded(path, nyse, "run").messages()

    assert isinstance(bar, BarMessage)
    assert (bar.data.open, bar.data.close, bar.data.adj_close) == (None, None, None)
    assert bar.data.volume == "0"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"2013-02-27,1,2,1,20,9,10", b"2013-03-01,1,2,1,10,9,10", id="over a gap"),
        pytest.param(b"2013-02-28,1,2,1,20,9,10.1", b"2013-03-01,1,2,1,20,9,10.3", id="no cents"),
        pytest.param(b"2013-02-28,1,2,1,20,9,10", b"2013-03-01,1,2,1,20,9,9", id="factor fell"),
        pytest.param(b"2013-02-28,1,2,1,20,9,10", b"2013-03-01,1,2,1,20,9,20", id="no price fall"),
        pytest.param(b"2013-02-28,1,2,1,0,9,0", b"2013-03-01,1,2,1,10,9,10", id="zero close"),
        pytest.param(b"2013-02-28,1,2,1,NaN,9,1", b"2013-03-01,1,2,1,10,9,10", id="not a number"),
    ],
)
def test_an_action_that_is_not_proven_is_not_sent(
    nyse: Calendar, tmp_path: Path, before: bytes, after: bytes
) -> None:
    path = csv(tmp_path, b"IBM," + before, b"IBM," + after)

    found = list(Recorded(path, nyse, "run").messages())

    assert not any(isinstance(message, CorporateActionMessage) for message in found)


@pytest.mark.parametrize("content", [b"", b"a,b,c\n", HEADER[:-1]])
def test_a_file_of_another_format_is_an_error(
    nyse: Calendar, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "bars.csv"
    path.write_bytes(content)

    with pytest.raises(SourceError, match="header"):
        list(Recorded(path, nyse, "run").messages())


def test_a_file_that_cannot_be_read_is_an_error(nyse: Calendar, tmp_path: Path) -> None:
    broken = tmp_path / "bars.csv.gz"
    broken.write_bytes(b"not gzip")

    for path in (tmp_path / "none.csv", broken):
        with pytest.raises(SourceError, match="cannot be read"):
            list(Recorded(path, nyse, "run").messages())
