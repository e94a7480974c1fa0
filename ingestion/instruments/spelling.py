"""How providers spell a symbol. Messages carry the exchange's spelling, whoever gave them."""

from typing import Final

# A share class is set off by a dot (`BRK.B`) by the exchange and by Finnhub.
_CLASS_MARK: Final = {"yahoo": "-", "alphavantage": "-"}


def spelled(symbol: str, provider: str) -> str:
    """Return a symbol as a provider wants it: ``BRK.B`` is ``BRK-B`` to Yahoo."""
    return symbol.replace(".", _CLASS_MARK.get(provider, "."))


def canonical(text: str, provider: str) -> str:
    """Return the exchange's spelling of a provider's symbol: the inverse of ``spelled``.

    Only a single class letter behind the mark is one: Yahoo's ``BTC-USD`` stays.
    """
    mark = _CLASS_MARK.get(provider, ".")
    head, found, tail = text.rpartition(mark)
    return f"{head}.{tail}" if found and len(tail) == 1 else text
