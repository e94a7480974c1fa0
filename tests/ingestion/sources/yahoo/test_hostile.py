"""Every hostile payload of the drill, sent by Yahoo: none stops anything, none is lost."""

from datetime import UTC, datetime
from typing import Any

import pytest

from drill import hostile
from ingestion.calendar import Calendar
from ingestion.clock import SystemClock
from ingestion.contracts.records import BarMessage
from ingestion.produce.outgoing import outgoing
from ingestion.sources.provider import MalformedError
from ingestion.sources.source import Refused
from ingestion.sources.yahoo.answer import Answer
from ingestion.sources.yahoo.fetcher import YahooFetcher
from tests.ingestion.sources.test_hostile_answers import PAYLOADS
from tests.ingestion.sources.yahoo.local import LocalYahoo, Reply, document
from tests.ingestion.sources.yahoo.test_fetcher import WEEK, week

HERE = '"HERE"'
# Each one value, small enough to be quoted many times, and no price.
INSIDE = [
    (name, payload)
    for name, payload in PAYLOADS
    if "data alone" not in name and len(payload) <= hostile.MIB and payload not in (b"1", b"null")
]


def test_as_an_answer(fetcher: YahooFetcher, yahoo: LocalYahoo) -> None:
    for name, body in PAYLOADS:
        yahoo.script = lambda symbol, query, body=body: Reply(body)
        with pytest.raises(MalformedError) as found:
            fetcher.fetch(WEEK)
        assert found.value.body == body, name


class Said:
    """Who is asked, and answers with one body whatever is asked."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def chart(self, *_: Any) -> Answer:
        return Answer(self._body, datetime(2026, 1, 5, 22, tzinfo=UTC))

    def close(self) -> None: ...


@pytest.mark.parametrize("where", ["symbol", "timestamp", "close", "split", "dividend"])
def test_inside_an_answer(nyse: Calendar, where: str) -> None:
    refusals = 0
    for name, payload in INSIDE:
        body = around(where, week(nyse)).replace(HERE.encode(), payload)
        try:
            made = YahooFetcher(Said(body), nyse, SystemClock(), "run").fetch(WEEK)
        except MalformedError as error:
            assert error.body == body, name
            continue
        list(outgoing(made, "yahoo", "run", SystemClock()))
        bars = [one for one in made if isinstance(one, BarMessage)]
        refused = [one for one in made if isinstance(one, Refused)]
        refusals += len(refused)
        assert len(bars) + len(refused) == len(made)
        assert len(bars) == (6 if where in ("timestamp", "close") else 7), name
        assert payload.strip() in b",".join(one.body for one in refused), name
    assert (refusals > 10) == (where != "symbol")


def around(where: str, rows: list[Any]) -> bytes:
    """An answer with a place for a payload."""
    if where == "symbol":
        return document("HERE", rows, {})
    if where == "timestamp":
        rows[3] = ("HERE", *rows[3][1:])
    if where == "close":
        rows[3] = (*rows[3][:4], "HERE", *rows[3][5:])
    events = {f"{where}s": {"1": "HERE"}} if where in ("split", "dividend") else {}
    return document("AAPL", rows, events)
