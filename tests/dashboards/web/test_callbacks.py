"""What is drawn for what the browser says, without a browser."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dashboards.web.app import create_app
from dashboards.web.callbacks import Drawn
from dashboards.web.exchange import clock_of
from dashboards.web.health import HealthReader
from dbt_stocks.reader import GoldReader
from ingestion import calendar
from ingestion.clock import SystemClock
from ingestion.settings import KafkaSettings

Draw = Callable[..., Drawn]


def drawing(reader: GoldReader) -> Draw:
    """Return the callback that draws the market view of a gold."""
    exchange = calendar.get()
    health = HealthReader(reader, Path("verdict.json"), KafkaSettings(), exchange)
    found = create_app(reader, health, clock_of(exchange), SystemClock()).callback_map
    [draw] = [one["callback"].__wrapped__ for name, one in found.items() if "kpis.children" in name]

    def drawn(link: str | None, symbol: str | None) -> Drawn:
        answer: Drawn = draw({"symbol": link}, symbol, "1D", "candles", [], "light", None)
        return answer

    return drawn


@pytest.fixture
def draw(reader: GoldReader) -> Draw:
    return drawing(reader)


def said(drawn: Drawn) -> Any:
    [note] = drawn["kpis"]
    return note.children[1].children


def test_a_symbol_that_leaves_gold_is_remembered(draw: Draw) -> None:
    """The picker drops the value that it no longer has, and asks with none."""
    watched = draw("AAA", "GONE")
    assert said(watched) == "Build b1: gold has no price of GONE."
    dropped = draw(watched["link"]["symbol"], None)
    assert said(dropped) == "Build b1: gold has no price of GONE."
    assert dropped["link"] == {"symbol": "GONE"}


def test_what_was_chosen_is_remembered_where_gold_cannot_be_read(tmp_path: Path) -> None:
    found = drawing(GoldReader(tmp_path))("AAA", "BBB")
    assert found["problem"]
    assert found["link"] == {"symbol": "BBB"}
