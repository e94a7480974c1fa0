"""What an answer of Alpha Vantage is: data, or one of the refusals that come with status 200.

A refusal is an object with ``Information``, ``Note`` or ``Error Message``; which of them says
nothing, the words do. Each pattern is of a text that was published; see the tests for the texts.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from ingestion.errors import ContractError
from ingestion.sources import exact_json
from ingestion.sources.alphavantage import NAME
from ingestion.sources.exact_json import Number
from ingestion.sources.provider import (
    Denied,
    DeniedError,
    MalformedError,
    NoDataError,
    ProviderError,
    RateLimitedError,
    Scope,
)

_REFUSALS: Final = {"Information", "Note", "Error Message"}
_SHOWN: Final = 200


def _limited(scope: Scope) -> Callable[[str, bytes], ProviderError]:
    return lambda text, body: RateLimitedError(text, body, scope=scope)


def _denied(what: Denied) -> Callable[[str, bytes], ProviderError]:
    return lambda text, body: DeniedError(text, body, what)


# The first that fits decides. The words about a burst advertise, in the same breath, the free
# plan's requests per day and the premium endpoints; those about the day may hold the key.
_MEANINGS: Final[tuple[tuple[str, Callable[[str, bytes], ProviderError]], ...]] = (
    (r"apikey is invalid or missing|demo\W* api key is for demo purposes", _denied("key")),
    (r"is a premium (endpoint|feature)", _denied("plan")),
    (r"sparingly|per second|burst pattern", _limited("second")),
    (r"per minute|higher API call (volume|frequency)", _limited("minute")),
    (r"per day|requests/day", _limited("day")),
    (r"invalid API call|no data found", NoDataError),
)


def document(body: bytes, expected: str) -> dict[str, Any]:
    """Return an answer that has the data asked for under the key ``expected``.

    Raises:
        RateLimitedError, DeniedError, NoDataError: a refusal whose meaning is known.
        MalformedError: no JSON object, an unknown refusal, or no such key.
    """
    try:
        found = exact_json.parse(body)
    except ContractError as error:
        raise MalformedError(f"{NAME}: {error}", body) from None
    if not isinstance(found, dict):
        raise MalformedError(f"{NAME}: expected an object, found {exact_json.shown(found)}", body)
    refusals = sorted(_REFUSALS & found.keys())
    if refusals:
        raise _refusal(found[refusals[0]], body)
    if expected not in found:
        names = ", ".join(sorted(map(exact_json.shown, found))[:5])
        raise MalformedError(f"{NAME}: expected {expected!r}, found {names or 'nothing'}", body)
    return found


def text_of(record: dict[str, Any], name: str) -> str:
    """Return a field that is text, as all values here are.

    Raises:
        ContractError: it is missing, or something else.
    """
    value = record.get(name)
    if not isinstance(value, str) or isinstance(value, Number):
        raise ContractError(f"expected text in {name!r}, found {exact_json.shown(value)}")
    return value


def _refusal(words: object, body: bytes) -> ProviderError:
    text = f"{NAME}: {str(words)[:_SHOWN]}"
    if isinstance(words, str):
        for pattern, meaning in _MEANINGS:
            if re.search(pattern, words, re.IGNORECASE):
                return meaning(text, body)
    return MalformedError(f"{NAME}: expected data or a known refusal, found {text!a}", body)
