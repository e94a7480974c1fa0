"""What the chart is given: times of the exchange, adjusted prices, marks."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dashboards.web import chart, theme, views
from dashboards.web.exchange import clock_of
from dashboards.web.gold import Candle, Candles, kpis
from dbt_stocks.reader import GoldReader
from ingestion import calendar

ZONE = ZoneInfo("America/New_York")


def candle(start_at: datetime, is_final: bool = True, **lines: float | None) -> Candle:
    day, end = start_at.date(), start_at + timedelta(minutes=1)
    return Candle(
        "recorded", "USD", 10.0, 11.0, 9.0, 10.5, 100.0, 1, 1, is_final, day, start_at, end, lines
    )


def drawn(candles: Candles, *studies: str, style: str = "candles") -> dict[str, Any]:
    found = chart.props(candles, style, studies, "dark", ZONE)
    return {one["id"]: one for one in found["series"]}


@pytest.mark.parametrize(
    "day", [date(2013, 3, 8), date(2013, 3, 11), date(2013, 11, 1), date(2013, 11, 4)]
)
def test_both_changes_of_the_clock_leave_the_open_at_half_past_nine(day: date) -> None:
    session = calendar.get().session(day)
    assert session is not None
    opened = candle(session.open_at.replace(tzinfo=None))
    shown = chart.time_of(opened, True, ZONE)
    assert isinstance(shown, int)
    assert f"{datetime.fromtimestamp(shown, UTC):%Y-%m-%d %H:%M}" == f"{day} 09:30"


def test_a_day_is_the_exchange_s_and_not_utc_s() -> None:
    assert (
        chart.time_of(candle(datetime.fromisoformat("2013-03-09T01:00")), False, ZONE)
        == "2013-03-08"
    )


def test_only_what_is_not_final_is_faint_and_marked() -> None:
    first = candle(datetime.fromisoformat("2013-03-08T14:30"))
    forming = replace(first, start_at=first.start_at + timedelta(minutes=1), is_final=False)
    both = Candles("1m", False, (first, forming), False)
    for style, name, top in (("candles", "color", 11.0), ("line", "lineColor", 10.5)):
        found = drawn(both, style=style)
        assert [name in point for point in found["price"]["data"]] == [False, True]
        assert found["forming"]["data"] == [
            {"time": found["price"]["data"][1]["time"], "value": top}
        ]
    colours = [point["color"] for point in found["volume"]["data"]]
    up = theme.PALETTES["dark"].up
    assert colours == [f"{up}80", theme.faint(up)]
    assert drawn(Candles("1m", False, (first,), False))["forming"]["data"] == []


def test_warm_up_is_a_gap_and_not_a_zero() -> None:
    start = datetime.fromisoformat("2013-03-08T14:30")
    bars = (
        candle(start, sma_20=None, rsi_14=None),
        candle(start + timedelta(days=3), sma_20=9.0, rsi_14=50.0),
    )
    found = drawn(Candles("1d", False, bars, False), "ma", "rsi")
    assert [point["value"] for point in found["sma_20"]["data"]] == [9.0]
    assert found["rsi_14"]["data"] == [{"time": "2013-03-11", "value": 50.0}]


def test_studies_of_days_are_left_out_within_a_day() -> None:
    bars = (candle(datetime.fromisoformat("2013-03-08T14:30"), ma_15m=1.0, ma_1h=None),)
    found = drawn(Candles("1m", False, bars, False), "ma", "rsi", "macd", "bollinger")
    assert found.keys() == {"price", "volume", "forming", "ma_15m", "ma_1h"}


def test_series_have_the_library_s_names() -> None:
    # In another case it draws nothing and says so on the console alone.
    lines = dict.fromkeys(
        ("sma_20", "sma_50", "sma_200", "bollinger_upper", "bollinger_lower", "rsi_14",
         "macd_line", "macd_signal", "macd_histogram"), 1.0)  # fmt: skip
    bars = (candle(datetime.fromisoformat("2013-03-08T14:30"), **lines),)
    for style in ("candles", "line"):
        found = drawn(Candles("1d", False, bars, False), *chart.STUDIES, style=style)
        kinds = {one["type"] for one in found.values()}
        assert kinds <= {"candlestick", "area", "line", "histogram"}
        assert {one["pane"] for one in found.values()} == {0, 1, 2, 3}


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", theme.PALETTES.values(), ids=theme.PALETTES)
@pytest.mark.parametrize("name", ["text", "muted", "up", "down", "ok", "warn", "bad"])
def test_text_has_the_contrast_that_wcag_asks_for(palette: theme.Palette, name: str) -> None:
    assert _contrast(palette.surface, getattr(palette, name)) >= 4.5


@pytest.mark.parametrize("palette", theme.PALETTES.values(), ids=theme.PALETTES)
@pytest.mark.parametrize("name", ["up", "down"])
@pytest.mark.parametrize("percent", views.TILE_PCT)
def test_a_tile_s_text_has_it_too(palette: theme.Palette, name: str, percent: int) -> None:
    ground = _mixed(getattr(palette, name), palette.tile, percent / 100)
    assert _contrast(ground, palette.text) >= 4.5


def _contrast(one: str, other: str) -> float:
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _mixed(one: str, other: str, share: float) -> str:
    """Return CSS's ``color-mix`` in sRGB."""
    parts = ((int(one[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in parts)


@pytest.mark.parametrize(
    ("interval", "minutes", "start", "price_at", "told"),
    [
        # Trades stop at 11:00 in New York, the price goes on to 15:59.
        ("1m", 1, "2013-03-12T14:59", "2013-03-12T19:59", "2013-03-12 15:59 EDT"),
        ("1h", 60, "2013-03-12T14:30", "2013-03-12T19:59", "2013-03-12 15:59 EDT"),
        # A candle's length is no lag.
        ("1m", 1, "2013-03-12T14:59", "2013-03-12T15:01", None),
        ("1m", 1, "2013-03-12T14:59", "2013-03-12T15:01:01", "2013-03-12 11:01 EDT"),
        ("1h", 60, "2013-03-12T17:30", "2013-03-12T19:29", None),
        # After the close and before the open nothing is traded that candles could have.
        ("1m", 1, "2013-03-12T19:59", "2013-03-12T23:00", None),
        ("1d", 390, "2013-03-12T13:30", "2013-03-12T23:00", None),
        ("1d", 390, "2013-03-11T13:30", "2013-03-12T13:35", "2013-03-12"),
    ],
)
def test_candles_that_end_before_the_price_say_so(
    reader: GoldReader, interval: str, minutes: int, start: str, price_at: str, told: str | None
) -> None:
    begun, at = datetime.fromisoformat(start), datetime.fromisoformat(price_at)
    last = replace(candle(begun), end_at=begun + timedelta(minutes=minutes))
    with reader.pinned() as build:
        kpi = replace(kpis(build)[0], price_at=at, session_date=at.date())
    exchange = clock_of(calendar.get())
    title = views.chart_title(Candles(interval, False, (last,), False), kpi, exchange)
    marks = [tag.children for tag in title if getattr(tag, "className", "") == "tag behind"]
    assert marks == ([] if told is None else [f"Ends before the price of {told}"])
