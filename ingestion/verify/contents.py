"""What a row says, as one text that is the same wherever the row is read, and hashes of many.

Both sides of a comparison are written and hashed here, by the same lines: how an engine writes a
number or a document is its own affair.
"""

import hashlib
import heapq
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from math import isfinite
from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder(decimal_format="number", order="sorted")
# What Snowflake keeps of a number as it was written; what is longer, or has an exponent, it keeps
# as a double and shows with sixteen digits, of which fifteen are the number's.
_EXACT = Context(prec=38, Emax=MAX_EMAX, Emin=MIN_EMIN)
_DOUBLE = Context(prec=15, Emax=MAX_EMAX, Emin=MIN_EMIN)


@dataclass(frozen=True)
class Digest:
    """A number of rows and the sum of their hashes (128 bits of SHA-256), whatever their order.

    A row that is there twice counts twice; digests of parts add up to that of the whole.
    """

    rows: int = 0
    total: int = 0

    @classmethod
    def of(cls, text: str) -> "Digest":
        """Return that of one row."""
        return cls(1, int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))

    def __add__(self, other: "Digest") -> "Digest":
        return Digest(self.rows + other.rows, (self.total + other.total) % 2**128)

    def __str__(self) -> str:
        return f"{self.rows} rows with hash {self.total:032x}"


@dataclass
class Samples:
    """The rows with the smallest hashes, ``number`` of them: drawn, and the same at every run."""

    number: int
    _heap: list[tuple[int, str]] = field(default_factory=list)

    def look(self, digest: Digest, text: str) -> None:
        """Keep the row if its hash is among the smallest."""
        if len(self._heap) < self.number:
            heapq.heappush(self._heap, (-digest.total, text))
        elif self._heap and -digest.total > self._heap[0][0]:
            heapq.heapreplace(self._heap, (-digest.total, text))

    def texts(self) -> list[str]:
        """Return them, sorted."""
        return sorted(text for _, text in self._heap)


def row(values: Mapping[str, Any]) -> str:
    """Return a row of typed values as JSON, its columns sorted.

    Whole numbers and decimals are equal where their values are, doubles to the last bit; times are
    as they stand, without a zone.
    """
    return _ENCODER.encode({name: _value(value) for name, value in values.items()}).decode()


def line(raw: str | bytes | None, topic: str, generation: str, partition: int) -> str:
    """Return a bronze line and its place.

    What is no document, and is kept as it came, is equal to the same bytes alone.
    """
    place = {"topic": topic, "generation": generation, "partition": partition}
    text = _text(raw)
    try:
        return row({"v": document(text or ""), **place})
    except (ValueError, RecursionError):  # no JSON, lone surrogates, thousands of levels
        return row({"no document": raw if text is None else text, **place})


def document(text: str) -> Any:  # noqa: ANN401 - whatever a JSON document is
    """Return a JSON document's value, equal where two texts mean the same.

    The order of keys, white space and escapes mean nothing, ``1.50`` is ``1.5``. Numbers are
    compared exactly, but to fifteen digits where they are written with an exponent or with more
    than 38 digits.

    Raises:
        ValueError: it is none.
    """
    return json.loads(text, parse_float=_number, parse_int=_number, parse_constant=_refuse_constant)


def _text(raw: str | bytes | None) -> str | None:
    try:
        return raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError:
        return None


def _number(token: str) -> Decimal:
    digits = len(token.lstrip("-").replace(".", ""))
    is_double = "e" in token.lower() or digits > _EXACT.prec
    return _normal(_DOUBLE.create_decimal(token) if is_double else Decimal(token))


def _value(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    match value:
        case bool():
            return value
        case int():
            return _normal(Decimal(value))
        case Decimal():
            return _normal(value)
        case float():
            # JSON has no NaN; and -0.0 is 0.0.
            return value or 0.0 if isfinite(value) else str(value)
    return value


def _normal(value: Decimal) -> Decimal:
    """Return a number without zeros at its end, and without an exponent where it is whole."""
    if not value:
        return Decimal(0)
    plain = value.normalize(_EXACT)
    exponent = plain.as_tuple().exponent
    is_round = isinstance(exponent, int) and exponent > 0 and plain.adjusted() < _EXACT.prec
    return plain.quantize(Decimal(1), context=_EXACT) if is_round else plain


def _refuse_constant(name: str) -> Any:  # noqa: ANN401 - json's own signature
    raise ValueError(f"{name} is no JSON")
