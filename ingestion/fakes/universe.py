"""Which symbols the local providers know, and whose recorded bars each is made of.

Recorded are AAPL, IBM, MSFT, GOOG and FB. Every other symbol is served two years of one of them
under another name, from other years: real moves, splits and dividends, but not that company's.
Which ones depends on the symbol's name, and on those before it in the list.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

from ingestion import calendar
from ingestion.calendar import Calendar
from ingestion.sources import corporate_actions, stocks_csv
from ingestion.sources.corporate_actions import Action, Close
from ingestion.sources.daily_bar import UNIT, DailyBar, daily_bars
from ingestion.sources.selection import Selection
from ingestion.sources.stocks_csv import Row

LISTED: Final = Path(__file__).parent / "symbols.txt"
# What is called GOOGL today traded as GOOG in the recorded years.
SAME: Final = {"GOOGL": "GOOG"}
# FB is too short to lend its bars.
DONORS: Final = ("AAPL", "IBM", "MSFT", "GOOG")
# Two years, and the sessions that are kept back so that a running server has a future.
FUTURE_SESSIONS: Final = 21
LENT_SESSIONS: Final = 2 * 252 + FUTURE_SESSIONS


@dataclass(frozen=True)
class Series:
    """One symbol's bars as traded, in order, ending at the last recorded session.

    ``actions`` are by the bar's position; ``made_of`` says whose bars they are.
    """

    symbol: str
    bars: Sequence[DailyBar]
    actions: Mapping[int, Action]
    made_of: str
    recorded: bool


@cache
def universe(more: int = 0, file: Path | None = None) -> Mapping[str, Series]:
    """Return the listed symbols, and ``more`` that are called SIM0001 and so on.

    Raises:
        SourceError: the file of recorded bars cannot be read.
    """
    recorded = _recorded(file or stocks_csv.packaged_file())
    names = [*LISTED.read_text().split(), *(f"SIM{n:04}" for n in range(1, more + 1))]
    taken: set[tuple[str, int]] = set()
    return {name: _series(name, recorded, taken) for name in names}


def canonical(spelling: str) -> str:
    """Return a symbol as the exchange spells it; two providers set off a share class by a dash."""
    head, dash, tail = spelling.rpartition("-")
    return f"{head}.{tail}" if dash and len(tail) == 1 else spelling


@cache
def _recorded(file: Path) -> dict[str, Series]:
    market = calendar.get()
    rows = [row for row in stocks_csv.read(file) if isinstance(row, Row)]
    by_symbol: dict[str, list[Row]] = {}
    for row in rows:
        by_symbol.setdefault(row.symbol, []).append(row)
    return {symbol: _from_rows(symbol, found, market) for symbol, found in by_symbol.items()}


def _from_rows(symbol: str, rows: list[Row], market: Calendar) -> Series:
    bars = list(daily_bars(rows, market, Selection()))
    adjusted = {row.session_date: row.adj_close for row in rows}
    return Series(symbol, bars, dict(_actions(bars, adjusted)), f"recorded {symbol}", recorded=True)


def _actions(bars: list[DailyBar], adjusted: Mapping[str, str]) -> Iterator[tuple[int, Action]]:
    closes = [_close(bar, adjusted) for bar in bars]
    for index in range(1, len(closes)):
        action = corporate_actions.derive(closes[index - 1], closes[index])
        if action is not None:
            yield index, action


def _close(bar: DailyBar, adjusted: Mapping[str, str]) -> Close:
    text = adjusted[bar.session.session_date.isoformat()]
    return Close(bar.close / UNIT, Decimal(text))


def _series(name: str, recorded: Mapping[str, Series], taken: set[tuple[str, int]]) -> Series:
    own = recorded.get(SAME.get(name, name))
    if own is not None:
        return _renamed(name, own, own.bars, 0)
    donor, first = _drawn(name, recorded)
    while (donor.symbol, first) in taken:
        first += 1
    taken.add((donor.symbol, first))
    return _lent(name, donor, first)


def _drawn(name: str, recorded: Mapping[str, Series]) -> tuple[Series, int]:
    drawn = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    donor = recorded[DONORS[drawn % len(DONORS)]]
    # At least two years away from where it is shown, so that it does not move as its donor does.
    return donor, drawn // len(DONORS) % (len(donor.bars) - 3 * LENT_SESSIONS)


def _lent(name: str, donor: Series, first: int) -> Series:
    sessions = [bar.session for bar in donor.bars[-LENT_SESSIONS:]]
    lent = donor.bars[first : first + LENT_SESSIONS]
    bars = [replace(bar, session=session) for bar, session in zip(lent, sessions, strict=True)]
    return _renamed(name, donor, bars, first)


def _renamed(name: str, donor: Series, bars: Sequence[DailyBar], first: int) -> Series:
    actions = {
        position - first: action
        for position, action in donor.actions.items()
        if 0 < position - first < len(bars)
    }
    since = donor.bars[first].session.session_date
    recorded = bars is donor.bars
    made_of = donor.made_of if recorded else f"simulated: {donor.symbol} from {since} on"
    return Series(name, [replace(bar, symbol=name) for bar in bars], actions, made_of, recorded)
