"""``instruments.yml`` as records: who traded under which symbol, and what is fetched by default."""

from collections.abc import Iterable, Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ingestion.contracts.records import Currency, Symbol
from ingestion.errors import InstrumentsError

FILE: Final = Path(__file__).parent / "instruments.yml"

Mic = Annotated[str, Meta(pattern=r"^[A-Z0-9]{4}$", description="market, ISO 10383")]
Slug = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Period(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The symbol that an instrument traded under, from its first session on."""

    symbol: Symbol
    since: date = msgspec.field(name="from")


class Instrument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One share class through all its names.

    ``listed`` says whether ``listed_from`` is the first day of trading, or only a day by which it
    traded; ``listed_to`` is the last session of a name that trades no more.
    """

    id: Slug
    name: str
    mic: Mic
    sector: str
    industry: str
    listed_from: date
    symbols: Annotated[tuple[Period, ...], Meta(min_length=1)]
    listed: Literal["on", "before"] = "on"
    listed_to: date | None = None
    currency: Currency = "USD"

    @property
    def symbol(self) -> str:
        """The last symbol that it traded under."""
        return self.symbols[-1].symbol

    def symbol_on(self, day: date) -> str | None:
        """Return the symbol of a day; None before the first and after the last session."""
        if self.listed_to is not None and day > self.listed_to:
            return None
        return next((p.symbol for p in reversed(self.symbols) if p.since <= day), None)


class Universe(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All instruments, and the symbols that are fetched where nothing else is asked for."""

    defaults: tuple[Symbol, ...]
    instruments: tuple[Instrument, ...]

    def symbols(self, day: date | None = None) -> tuple[str, ...]:
        """Return the symbols that are traded now, or were on a day, in the file's order."""
        return tuple(self._traded(day))

    def instrument(self, symbol: str, day: date | None = None) -> Instrument | None:
        """Return whose symbol it is now, or was on a day; None where nobody's we know."""
        return next((one for one in self.instruments if _symbol(one, day) == symbol), None)

    def _traded(self, day: date | None) -> Iterator[str]:
        for instrument in self.instruments:
            symbol = _symbol(instrument, day)
            if symbol is not None:
                yield symbol


def read(path: Path = FILE) -> Universe:
    """Read a file of instruments.

    Raises:
        InstrumentsError: it cannot be read, a field is missing, unknown or malformed, symbols of
            one instrument are out of order, or a default symbol is no one's.
    """
    try:
        universe = msgspec.yaml.decode(path.read_bytes(), type=Universe)
    except (OSError, msgspec.MsgspecError) as error:
        raise InstrumentsError(f"{path}: {error}") from error
    for fault in _faults(universe):
        raise InstrumentsError(f"{path}: {fault}")
    return universe


@cache
def universe() -> Universe:
    """Return the project's own instruments."""
    return read()


def selected(symbols: Iterable[str] | None = None, named: str = "default") -> tuple[str, ...]:
    """Return the symbols to fetch: those given, each `canonical`, else the universe that is named.

    ``default`` is the list of ten, ``all`` every symbol that is traded now.

    Raises:
        InstrumentsError: there is no such universe, or what is given is no symbol.
    """
    given = tuple(dict.fromkeys(map(canonical, symbols or ())))
    if given:
        return given
    if named == "default":
        return universe().defaults
    if named == "all":
        return universe().symbols()
    raise InstrumentsError(f"--universe: expected default or all, found {named!r}")


def canonical(text: str) -> str:
    """Return the exchange's spelling of a symbol: ``BRK.B`` also for ``brk.b`` and ``BRK-B``.

    Messages carry it, whoever gave them, so that all records of a share meet under one symbol. Only
    a single letter behind a hyphen is a share class: Yahoo's ``BTC-USD`` stays.

    Raises:
        InstrumentsError: no message could carry it.
    """
    symbol = text.strip().upper()
    head, mark, tail = symbol.rpartition("-")
    if mark and len(tail) == 1:
        symbol = f"{head}.{tail}"
    try:
        return msgspec.convert(symbol, Symbol)
    except msgspec.ValidationError:
        raise InstrumentsError(f"expected a symbol such as AAPL or BRK.B, found {text!r}") from None


def _symbol(instrument: Instrument, day: date | None) -> str | None:
    if day is not None:
        return instrument.symbol_on(day)
    return instrument.symbol if instrument.listed_to is None else None


def _faults(universe: Universe) -> Iterator[str]:
    for one in universe.instruments:
        days = [one.listed_from, *(period.since for period in one.symbols[1:])]
        if one.symbols[0].since != one.listed_from or days != sorted(set(days)):
            yield f"{one.id}: expected symbols in order of their days, the first from listed_from"
        if one.listed_to is not None and one.listed_to < days[-1]:
            yield f"{one.id}: expected listed_to after its last symbol's first day"
    missing = set(universe.defaults) - set(universe.symbols())
    if missing:
        yield f"defaults: expected symbols that are traded now, found {', '.join(sorted(missing))}"
