"""JSON numbers as the contract's decimal text: no float lies between."""

from decimal import Context, Decimal, InvalidOperation
from typing import Final

from msgspec import Raw

# The contract's decimals have at most so many digits before and after the point.
_WHOLE_DIGITS: Final = 28
_RESOLUTION: Final = Decimal(1).scaleb(-18)
_CONTEXT: Final = Context(prec=_WHOLE_DIGITS + 18)


def decimal_text(raw: Raw | None) -> str | None:
    """Return the shortest text that equals the number, None for null.

    Digits beyond the contract's 18th decimal, which only prices below a cent of old splits have,
    are rounded half to even. What is no number, or none that the contract can hold, comes back as
    it is, for the contract to refuse.
    """
    text = "null" if raw is None else bytes(raw).decode()
    if text == "null":
        return None
    number = parse(text)
    return text if number is None else shortest(number)


def parse(text: str) -> Decimal | None:
    """Return a JSON number at the contract's resolution, None for all else and for what exceeds it.

    A number that is not 0 does not become 0.
    """
    if not text[:1].isdigit() and not text.startswith("-"):  # Decimal also takes NaN and Infinity
        return None
    try:
        number = Decimal(text)
        if number.adjusted() >= _WHOLE_DIGITS:
            return None
        exponent = number.as_tuple().exponent
        rounded = number if isinstance(exponent, int) and exponent >= -18 else _rounded(number)
    except InvalidOperation:
        return None
    return None if number and not rounded else rounded


def quotient(above: Decimal, below: Decimal) -> Decimal:
    """Divide at the contract's resolution: 1/3 is 0.333333333333333333."""
    return _rounded(_CONTEXT.divide(above, below))


def shortest(number: Decimal) -> str:
    """Return the number without exponent and without zeros that say nothing."""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _rounded(number: Decimal) -> Decimal:
    return number.quantize(_RESOLUTION, context=_CONTEXT)
