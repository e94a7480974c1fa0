"""A provider's JSON, with each number as the text that was sent.

A float has room for 17 digits and 1e308: a number read as one and written again may be another, or
another text for the same. What must reach Kafka as the provider sent it therefore never is one.
"""

import json
import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

import msgspec

from ingestion.errors import ContractError

# What a decimal of the contract can hold (28 and 18 digits), with room for what is refused by it.
# Written without its exponent, 1e999999999 would fill the memory.
_MAX_EXPONENT: Final = 50
# RFC 8785 knows numbers as doubles; above this not every integer is one.
_MAX_INTEGER: Final = 2**53 - 1
_PLAIN: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")

Scalar = int | float | str | bool | msgspec.Raw | None


class Number(str):
    """A JSON number's text. Any other text of a document is a plain ``str``."""

    __slots__ = ()


class Repeated:
    """Stands for an object in which ``key`` occurs twice: readers would disagree about it."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __repr__(self) -> str:
        return f"an object that repeats {self.key!r}"


def parse(body: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read a document; numbers are `Number`, objects with a repeated key `Repeated`.

    Raises:
        ContractError: not UTF-8, no JSON (NaN is none), or nested too deeply for Python.
    """
    try:
        return _decoder.decode(body.decode())
    except UnicodeDecodeError as error:
        raise ContractError(f"expected UTF-8, found {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ContractError(f"expected JSON, found {error.msg} at {error.pos}") from None
    except RecursionError:
        raise ContractError("expected a document, found nesting without end") from None


def flat(value: object) -> dict[str, Any]:
    """Return an object of single values, as all records of our providers are.

    Raises:
        ContractError: no object, a repeated key, a value of several, or text that is no text.
    """
    if not isinstance(value, dict):
        raise ContractError(f"expected an object, found {shown(value)}")
    for key, item in value.items():
        if isinstance(item, dict | list | Repeated):
            raise ContractError(f"expected a single value in {key!r}, found {shown(item)}")
        for text in (key, item):
            if isinstance(text, str) and not is_text(text):
                raise ContractError(f"expected text, found a lone surrogate in {key!a}")
    return value


def verbatim(fields: dict[str, Any]) -> dict[str, Scalar]:
    """Return a flat object whose numbers msgspec writes digit for digit as they were sent."""
    return {key: _verbatim(value) for key, value in fields.items()}


def canonical(fields: dict[str, Any]) -> dict[str, Scalar]:
    """Return a flat object with its numbers as RFC 8785 understands them, for its identity.

    Raises:
        ContractError: a number that no double holds (1e400), or an integer beyond 2^53.
    """
    return {key: _double(key, value) for key, value in fields.items()}


def decimal_text(value: object) -> str:
    """Return a number as the contract's decimal text: the same value, without an exponent.

    Raises:
        ContractError: not a JSON number, or one that no decimal of the contract holds.
    """
    if not isinstance(value, Number):
        raise ContractError(f"expected a number, found {shown(value)}")
    if _PLAIN.fullmatch(value):
        return str(value)
    try:
        number = Decimal(value)
    except InvalidOperation:  # an exponent that not even a Decimal holds
        number = Decimal("Infinity")
    if not number:
        return "0"
    if not number.is_finite() or abs(number.adjusted()) > _MAX_EXPONENT:
        raise ContractError(f"expected a decimal number, found {shown(value)}")
    return f"{number:f}"


def whole(value: object) -> int:
    """Return a JSON number that is an integer below 2^53.

    Raises:
        ContractError: it is something else.
    """
    # A JSON integer has no leading zeros: its length bounds it.
    if isinstance(value, Number) and re.fullmatch(r"-?[0-9]{1,16}", value):
        number = int(value)
        if abs(number) <= _MAX_INTEGER:
            return number
    raise ContractError(f"expected a whole number, found {shown(value)}")


def is_text(text: str) -> bool:
    """Tell whether text can be written as UTF-8; JSON's escapes also allow half a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(value: object) -> str:
    """Return what a value is, short enough for a message."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = value if isinstance(value, Number) else repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."


def _verbatim(value: Any) -> Scalar:  # noqa: ANN401 - a JSON scalar
    if not isinstance(value, Number):
        plain: Scalar = value
        return plain
    # Plain numbers where they say the same text: that is what other sources' messages hold.
    number = _plain(value)
    text = value.encode()
    return number if msgspec.json.encode(number) == text else msgspec.Raw(text)


def _plain(number: Number) -> int | float:
    return int(number) if re.fullmatch(r"-?[0-9]{1,16}", number) else float(number)


def _double(key: str, value: Any) -> Scalar:  # noqa: ANN401 - a JSON scalar
    if not isinstance(value, Number):
        plain: Scalar = value
        return plain
    is_integer = value.lstrip("-").isdigit()
    number = whole(value) if is_integer else float(value)
    if abs(number) == float("inf"):
        raise ContractError(f"expected a double in {key!r}, found {shown(value)}")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | Repeated:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    return Repeated(Counter(key for key, _ in pairs).most_common(1)[0][0])


def _refuse_constant(text: str) -> NoReturn:
    raise ContractError(f"expected a finite number, found {text}")


_decoder = json.JSONDecoder(
    parse_float=Number,
    parse_int=Number,
    parse_constant=_refuse_constant,
    object_pairs_hook=_object,
)
