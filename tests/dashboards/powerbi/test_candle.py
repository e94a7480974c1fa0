"""The page's candles, drawn without Power BI and read back from the picture, against their data."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest

from dashboards.powerbi import candle, preview
from dashboards.powerbi.preview import read_candles, render_svg
from ingestion.errors import SourceError

DAY_MS = 24 * 60 * 60 * 1000
MONDAY = 1_361_802_600_000  # 2013-02-25 14:30 UTC
NUMBER = r"(-?[\d.]+)"
# How Vega writes them: a body as a path along its edges, a wick as a line from where it is moved.
BODY = re.compile(rf"M{NUMBER},{NUMBER}h{NUMBER}v{NUMBER}h-?[\d.]+Z")
MOVED = re.compile(rf"translate\({NUMBER},{NUMBER}\)")

Row = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """A body or a wick: its middle, its ends from the top, and its colours."""

    x: float
    top: float
    bottom: float
    fill: str | None
    stroke: str | None
    fill_opacity: float


def row(start: int, o: float, h: float, low: float, c: float, forming: int = 0) -> Row:
    values = (start, o, h, low, c, 1000, forming)
    return dict(zip(candle.FIELDS, values, strict=True))


def walk(count: int, seed: int = 7) -> list[Row]:
    """Return candles of a random walk with gaps between them; a fifth of them end as they began."""
    rng = random.Random(seed)
    price, rows = 100.0, []
    for number in range(count):
        start = price + rng.choice([0, 0, rng.uniform(-6, 6)])
        end = start if rng.random() < 0.2 else start + rng.uniform(-3, 3)
        high, low = max(start, end) + rng.random(), min(start, end) - rng.random()
        rows.append(row(MONDAY + number * DAY_MS, start, high, low, end))
        price = end
    return rows


def drawn(rows: Sequence[Row]) -> tuple[list[Drawn], list[Drawn]]:
    """Return the bodies and wicks of the picture, from left to right."""
    root = ElementTree.fromstring(render_svg(rows))
    groups = [g for g in root.iter() if "layer_" in g.get("class", "")]
    wicks = [_wick(e) for g in groups if "mark-rule" in g.get("class", "") for e in g]
    bodies = [_body(e) for g in groups if "mark-rect" in g.get("class", "") for e in g]
    return sorted(bodies, key=lambda d: d.x), sorted(wicks, key=lambda d: d.x)


def _body(element: ElementTree.Element) -> Drawn:
    match = BODY.fullmatch(element.get("d", ""))
    assert match, element.get("d")
    x, y, width, height = map(float, match.groups())
    assert width > 1, "a body that cannot be seen"
    opacity = float(element.get("fill-opacity", "1"))
    top, bottom = sorted((y, y + height))
    return Drawn(x + width / 2, top, bottom, element.get("fill"), element.get("stroke"), opacity)


def _wick(element: ElementTree.Element) -> Drawn:
    match = MOVED.fullmatch(element.get("transform", ""))
    assert match, element.attrib
    x, y = map(float, match.groups())
    top, bottom = sorted((y, y + float(element.get("y2", "0"))))
    return Drawn(x, top, bottom, None, element.get("stroke"), 1)


def colour(r: Row) -> str:
    if r["Open"] == r["Close"]:
        return candle.COLOURS["unchanged"]
    return candle.COLOURS["rising" if r["Close"] > r["Open"] else "falling"]


def check_against(rows: Sequence[Row]) -> None:
    """Hold the picture of candles, given from old to new, against them."""
    bodies, wicks = drawn(rows)
    assert len(bodies) == len(wicks) == len(rows)
    # One scale for all: two prices tell where each other has to be.
    prices = [(r["High"], w.top) for r, w in zip(rows, wicks, strict=True)]
    (high, top), (low, bottom) = max(prices), min(prices)
    slope = (bottom - top) / (low - high)
    assert slope < 0, "higher prices are drawn higher"
    for r, body, wick in zip(rows, bodies, wicks, strict=True):
        assert body.x == pytest.approx(wick.x, abs=0.51)
        for price, y in (
            (r["High"], wick.top),
            (r["Low"], wick.bottom),
            (max(r["Open"], r["Close"]), body.top),
            (min(r["Open"], r["Close"]), body.bottom),
        ):
            assert y == pytest.approx(top + (price - high) * slope, abs=0.01)
        assert wick.top <= body.top + 0.001
        assert body.bottom <= wick.bottom + 0.001
        assert body.fill == body.stroke == wick.stroke == colour(r)
        assert body.fill_opacity == pytest.approx(0.25 if r["Forming"] else 1)


def test_bodies_and_wicks_are_where_their_prices_are() -> None:
    rows = walk(60)
    assert {colour(r) for r in rows} == set(candle.COLOURS.values())

    check_against(rows)


def test_the_order_of_the_rows_is_of_no_matter() -> None:
    rows = walk(40)
    shuffled = random.Random(1).sample(rows, len(rows))

    assert drawn(shuffled) == drawn(rows)


def test_a_gap_in_prices_is_a_gap_in_the_picture() -> None:
    rows = [row(MONDAY, 10, 11, 9, 10.5), row(MONDAY + DAY_MS, 20, 21, 19, 20.5)]

    check_against(rows)
    (before, after), _ = drawn(rows)
    assert after.bottom < before.top


def test_closed_days_take_no_room() -> None:
    days = [0, 1, 2, 3, 4, 7, 8, 14]
    rows = [row(MONDAY + d * DAY_MS, 10 + d, 12 + d, 9 + d, 11 + d) for d in days]

    check_against(rows)
    bodies, _ = drawn(rows)
    steps = [b.x - a.x for a, b in pairwise(bodies)]
    assert steps == pytest.approx([steps[0]] * len(steps), abs=0.01)


def test_a_doji_is_a_line_that_is_seen() -> None:
    rows = [row(MONDAY, 10, 11, 9, 10.5), row(MONDAY + DAY_MS, 10, 10.8, 9.4, 10)]

    check_against(rows)
    _, doji = drawn(rows)[0]
    assert doji.top == doji.bottom
    assert doji.stroke == candle.COLOURS["unchanged"]


def test_a_price_that_never_moved_is_drawn() -> None:
    bodies, wicks = drawn([row(MONDAY, 10, 10, 10, 10)])

    assert len(bodies) == len(wicks) == 1


def test_a_forming_candle_is_faint() -> None:
    rows = walk(9)
    rows[-1] |= {"Forming": 1}

    check_against(rows)


def test_the_newest_candles_are_drawn() -> None:
    rows = walk(candle.NEWEST + 30)

    check_against(rows[-candle.NEWEST :])
    assert drawn(rows) == drawn(rows[-candle.NEWEST :])


def test_the_axis_and_the_legend_say_what_is_shown() -> None:
    root = ElementTree.fromstring(render_svg(walk(30)))
    texts = [e.text for e in root.iter() if e.tag.endswith("text")]

    assert set(candle.COLOURS) <= set(texts)
    assert "25 Feb 2013" in texts


def test_colours_are_seen_on_white() -> None:
    assert all(_contrast(c) >= 3 for c in candle.COLOURS.values())


def _contrast(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return 1.05 / (luminance + 0.05)


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    """Gold's candles of two symbols: real and simulated days, and hours."""
    published = tmp_path / "published.duckdb"
    with duckdb.connect(str(published)) as connection:
        connection.execute("create schema gold")
        connection.execute(
            """
            create table gold.gold_candlestick as
            select
                symbol, candle_interval, simulated, not is_forming as is_final,
                timestamp '2013-02-25 14:30' + interval (n) day as bar_start_at,
                cast(10 + n as decimal(18, 6)) as open_price,
                cast(12 + n as decimal(18, 6)) as high_price,
                cast(9 + n as decimal(18, 6)) as low_price,
                cast(11 + n as decimal(18, 6)) as close_price,
                cast(100 as bigint) as volume_shares
            from (
                values ('AAA', '1d', false, false, 0), ('AAA', '1d', false, true, 1),
                ('AAA', '1d', true, false, 2), ('AAA', '1h', false, false, 3),
                ('BBB', '1d', false, false, 4)
            ) as rows (symbol, candle_interval, simulated, is_forming, n)
            """
        )
    return published


def test_the_preview_reads_the_real_days_of_a_symbol(gold: Path) -> None:
    rows = read_candles(gold, "AAA")

    assert rows == [
        row(MONDAY + DAY_MS, 11, 13, 10, 12, forming=1) | {"Candle volume": 100},
        row(MONDAY, 10, 12, 9, 11) | {"Candle volume": 100},
    ]
    check_against(rows[::-1])


def test_the_preview_draws_a_picture(gold: Path, tmp_path: Path) -> None:
    picture = tmp_path / "candles.png"

    preview.render_png(read_candles(gold, "AAA"), picture)

    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_preview_says_what_is_missing(gold: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="daily candles of ZZZ"):
        read_candles(gold, "ZZZ")
    with pytest.raises(SourceError, match="found none at"):
        read_candles(tmp_path / "none.duckdb", "AAA")
