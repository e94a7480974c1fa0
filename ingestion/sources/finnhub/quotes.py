"""One poll of ``/quote``: ``{"c":261.74,"d":0.35,"dp":0.1339,"h":263.31,...,"t":1582641000}``.

The answer names no symbol: the envelope does. ``t`` (epoch seconds) is the event time whatever it
says. A quote of zeros, the answer to an unknown symbol, has ``t`` 0 and so the event time 1970,
which silver quarantines as a quote of zero, just as it does a stale one.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ingestion.clock import rfc3339
from ingestion.contracts.records import Message
from ingestion.errors import ContractError
from ingestion.sources import asked, exact_json
from ingestion.sources.fetch import Answer, Http
from ingestion.sources.fetcher import Unit
from ingestion.sources.finnhub import NAME
from ingestion.sources.message_line import Encoded
from ingestion.sources.observed import Envelopes
from ingestion.sources.provider import MalformedError
from ingestion.sources.source import Refused

SCHEMA = "quote.v1"


class FinnhubQuotes:
    """Finnhub's ``/quote``, one request a unit. Bars need a paid plan and are not asked for."""

    def __init__(self, http: Http, envelopes: Envelopes) -> None:
        self._http = http
        self._envelopes = envelopes
        self._made: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return NAME

    def serves(self, unit: Unit) -> bool:
        return unit.kind == "quote"

    def fetch(self, unit: Unit) -> list[Message | Refused]:
        parameters = {"symbol": unit.symbol}
        quote = self._http.get("/quote", parameters, partial(self._read, unit.symbol))
        self._made["quotes"] += 1
        return [quote]

    def facts(self) -> Mapping[str, object]:
        return {"quotes": self._made["quotes"]}

    def _read(self, symbol: str, answer: Answer) -> Message:
        try:
            return message(symbol, answer, self._envelopes)
        except ContractError as error:
            text = f"{NAME}: quote of {symbol}: {error}"
            malformed = MalformedError(text, answer.body)
        unit = Unit("quote", symbol)
        malformed.context = asked.context(unit, answer.fetched_at, answer.simulated)
        raise malformed


def message(symbol: str, answer: Answer, envelopes: Envelopes) -> Message:
    """Return the quote that an answer holds.

    Raises:
        ContractError: it holds none.
    """
    fields = exact_json.flat(exact_json.parse(answer.body))
    missing = [name for name in ("c", "t") if name not in fields]
    if missing:
        raise ContractError(f"expected a quote, found no {' and no '.join(missing)}")
    return replace(envelopes, simulated=answer.simulated).observation(
        SCHEMA,
        symbol,
        event_time(fields["t"]),
        answer.fetched_at,
        exact_json.verbatim(fields),
        exact_json.canonical(fields),
    )


def parse(body: bytes, headers: Mapping[str, str]) -> list[Message | Encoded | Refused]:
    """Read a dead letter's body again.

    Raises:
        ContractError: it is no quote, or its headers do not tell whose.
    """
    was = asked.of(headers)
    answer = Answer(body, was.fetched_at, was.simulated)
    return [message(was.unit.symbol, answer, Envelopes(NAME, was.run_id))]


def event_time(seconds: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return an epoch second as the contract's timestamp.

    Raises:
        ContractError: no whole number, or beyond the year 9999.
    """
    number = exact_json.whole(seconds)
    try:
        return rfc3339(datetime.fromtimestamp(number, UTC))
    except (ValueError, OverflowError, OSError):
        raise ContractError(f"expected epoch seconds in t, found {number}") from None
