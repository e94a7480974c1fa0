"""The chart's series, as dash-tvlwc (TradingView's lightweight-charts) takes them.

The library shows seconds since 1970 as UTC: what it is given is the exchange's wall clock as if
that were UTC. The offset is that of each candle, so both changes of the clock are right.
"""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any, Final
from zoneinfo import ZoneInfo

from dashboards.web.gold import Candle, Candles
from dashboards.web.text import local
from dashboards.web.theme import PALETTES, Palette, Scheme, faint

Style = str  # "candles" or "line"
Series = dict[str, Any]

# What may be drawn besides, as the page calls it, and whether gold has it for candles of a day
# (of one day or week) or for those within one.
STUDIES: Final = {
    "ma": "Moving averages",
    "bollinger": "Bollinger 20, 2",
    "rsi": "RSI 14",
    "macd": "MACD 12, 26, 9",
}
DAILY_ONLY: Final = frozenset({"bollinger", "rsi", "macd"})
_AVERAGES: Final = {
    "sma_20": "SMA 20", "sma_50": "SMA 50", "sma_200": "SMA 200",
    "ma_15m": "Mean of 15 min", "ma_1h": "Mean of 1 h",
}  # fmt: skip
_DIGITS: Final = 6
_NO_LINE: Final = {"priceLineVisible": False, "lastValueVisible": False, "lineWidth": 1.5}


def time_of(candle: Candle, is_intraday: bool, zone: ZoneInfo) -> int | str:
    """Return a candle's time on the axis: the exchange's wall clock, or its day."""
    start = local(candle.start_at, zone)
    return int(start.replace(tzinfo=UTC).timestamp()) if is_intraday else f"{start:%Y-%m-%d}"


def averages(candles: Candles) -> dict[str, str]:
    """Return the moving averages that gold has for such candles, by column."""
    there = candles.bars[-1].lines if candles.bars else {}
    return {name: label for name, label in _AVERAGES.items() if name in there}


def props(
    candles: Candles, style: Style, studies: Sequence[str], scheme: Scheme, zone: ZoneInfo
) -> dict[str, Any]:
    """Return the properties of the chart's component."""
    palette = PALETTES[scheme]
    times = [time_of(bar, candles.is_intraday, zone) for bar in candles.bars]
    drawn = _Drawing(candles, times, palette)
    wanted = [study for study in studies if not candles.is_intraday or study not in DAILY_ONLY]
    series = [drawn.prices(style), drawn.volume(), drawn.forming(style)]
    if "ma" in wanted:
        colours = (palette.accent, palette.second, palette.third)
        for name, colour in zip(averages(candles), colours, strict=False):
            series.append(drawn.line(name, colour, pane=0))
    if "bollinger" in wanted:
        for name in ("bollinger_upper", "bollinger_lower"):
            series.append(drawn.line(name, palette.muted, pane=0, lineStyle=2))
    panes = 2
    if "rsi" in wanted:
        series.append(drawn.rsi(panes))
        panes += 1
    if "macd" in wanted:
        series += drawn.macd(panes)
        panes += 1
    return {
        "series": series,
        "paneOptions": [{"stretchFactor": 4 if pane == 0 else 1} for pane in range(panes)],
        "chartOptions": options(palette, candles.is_intraday),
    }


def options(palette: Palette, is_intraday: bool) -> dict[str, Any]:
    """Return the options of the chart itself."""
    return {
        "autoSize": True,
        "layout": {
            "background": {"type": "solid", "color": "transparent"},
            "textColor": palette.muted,
            "fontFamily": "system-ui, sans-serif",
            "fontSize": 11,
            # Its licence asks for the notice; the mark in the chart is one way to give it.
            "attributionLogo": True,
            "panes": {"separatorColor": palette.line},
        },
        "grid": {"vertLines": {"color": palette.line}, "horzLines": {"color": palette.line}},
        "rightPriceScale": {"borderColor": palette.line, "entireTextOnly": True},
        "timeScale": {
            "borderColor": palette.line,
            "timeVisible": is_intraday,
            "secondsVisible": False,
            # The first label is set inside of the edge, where it would be cut off otherwise.
            "fixLeftEdge": True,
            # As long as the longest ("10:30"). At the library's 8 a short month's first session
            # is too near to the month before, and its second gets a label: a mere day.
            "tickMarkMaxCharacterLength": 5,
            "minBarSpacing": 0.3,
            "rightOffset": 2,
        },
        "crosshair": {"mode": 0},
        "localization": {"locale": "en-US", "dateFormat": "yyyy-MM-dd"},
    }


class _Drawing:
    """Series of one range of candles."""

    def __init__(self, candles: Candles, times: Sequence[int | str], palette: Palette) -> None:
        self._bars, self._times, self._palette = candles.bars, times, palette

    def prices(self, style: Style) -> Series:
        if style == "line":
            series = self._series("price", "area", self._point, pane=0)
            colour = self._palette.up
            series["options"] = {
                "lineColor": colour,
                "topColor": f"{colour}40",
                "bottomColor": f"{colour}05",
                "lineWidth": 2,
            }
        else:
            series = self._series("price", "candlestick", self._candle, pane=0)
            series["options"] = {
                "upColor": self._palette.up, "downColor": self._palette.down,
                "borderUpColor": self._palette.up, "borderDownColor": self._palette.down,
                "wickUpColor": self._palette.up, "wickDownColor": self._palette.down,
            }  # fmt: skip
        return series

    def volume(self) -> Series:
        series = self._series(
            "volume",
            "histogram",
            lambda bar: {"value": round(bar.volume), "color": self._ground(bar)},
            pane=1,
        )
        series["options"] = {"priceFormat": {"type": "volume"}, **_NO_LINE}
        return series

    def forming(self, style: Style) -> Series:
        """Return the dot on the last candle, if it is not final: live mode moves it on."""

        def point(bar: Candle) -> dict[str, Any] | None:
            if bar is not self._bars[-1] or bar.is_final:
                return None
            top = bar.close if style == "line" else bar.high
            return {"value": round(top, _DIGITS)}

        series = self._series("forming", "line", point, pane=0)
        series["options"] = {
            **_NO_LINE, "lineVisible": False, "crosshairMarkerVisible": False,
            "color": self._palette.accent, "pointMarkersVisible": True, "pointMarkersRadius": 4,
        }  # fmt: skip
        return series

    def line(self, name: str, colour: str, pane: int, **options: object) -> Series:
        def value(bar: Candle) -> dict[str, Any] | None:
            found = bar.lines[name]
            return None if found is None else {"value": round(found, _DIGITS)}

        series = self._series(name, "line", value, pane)
        series["options"] = {**_NO_LINE, "color": colour, "crosshairMarkerVisible": False}
        series["options"] |= options
        return series

    def rsi(self, pane: int) -> Series:
        series = self.line("rsi_14", self._palette.accent, pane, title="RSI")
        series["priceLines"] = [
            {"price": level, "color": self._palette.muted, "lineStyle": 2, "lineWidth": 1,
             "axisLabelVisible": False}
            for level in (30, 70)
        ]  # fmt: skip
        return series

    def macd(self, pane: int) -> list[Series]:
        histogram = self.line("macd_histogram", self._palette.muted, pane)
        histogram["type"] = "histogram"
        for point in histogram["data"]:
            point["color"] = self._palette.up if point["value"] >= 0 else self._palette.down
        return [
            histogram,
            self.line("macd_line", self._palette.accent, pane, title="MACD"),
            self.line("macd_signal", self._palette.second, pane, title="Signal"),
        ]

    def _series(
        self, name: str, kind: str, point: Callable[[Candle], dict[str, Any] | None], pane: int
    ) -> Series:
        points = ((time, point(bar)) for time, bar in zip(self._times, self._bars, strict=True))
        data = [{"time": time, **found} for time, found in points if found is not None]
        return {"id": name, "type": kind, "data": data, "pane": pane}

    def _point(self, bar: Candle) -> dict[str, Any]:
        # A line is of closes; the legend has all four of the one under the pointer.
        found: dict[str, Any] = {"value": round(bar.close, _DIGITS), "customValues": _ohlc(bar)}
        if not bar.is_final:
            found["lineColor"] = faint(self._palette.up)
        return found

    def _candle(self, bar: Candle) -> dict[str, Any]:
        found: dict[str, Any] = _ohlc(bar)
        if not bar.is_final:  # faint: what it will be is not yet known
            found["color"] = faint(self._colour(bar))
        return found

    def _ground(self, bar: Candle) -> str:
        return f"{self._colour(bar)}80" if bar.is_final else faint(self._colour(bar))

    def _colour(self, bar: Candle) -> str:
        return self._palette.up if bar.close >= bar.open else self._palette.down


def _ohlc(bar: Candle) -> dict[str, float]:
    return {name: round(getattr(bar, name), _DIGITS) for name in ("open", "high", "low", "close")}
