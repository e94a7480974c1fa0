"""Parts of the market view: rows of gold in, components out."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboards.web import text
from dashboards.web.chart import averages
from dashboards.web.elements import more
from dashboards.web.exchange import ExchangeClock
from dashboards.web.freshness import Mark, utc
from dashboards.web.gold import Candle, Candles, Kpi, Row
from dashboards.web.text import Number
from dashboards.web.treemap import Box, squarify

# The widest that a colour goes: three percent a day is a lot for a large company.
_FULL_COLOUR = 0.03
# How much of the colour a tile has at least and at most: its text has to be read on it.
TILE_PCT = (15, 45)
_SECTOR_TITLE_PCT = 7.0  # of the map's height
_MAP_ASPECT = 1.9

# How a mark of a price looks, by the badge's colours.
_LEVELS = {"amber": "tag level warn", "red": "tag level bad"}

Children = Sequence[Component | str]


def note(title: str, why: str) -> Component:
    """Return an empty state that says why it is empty."""
    return html.Div([html.Strong(title), html.Span(why)], className="note")


def simulated_badge() -> Component:
    """Return the mark of what no market has seen."""
    return html.Span(
        "Simulated", className="tag simulated", title="Made by the simulator: no market's prices"
    )


def kpi_strip(kpi: Kpi, marks: Sequence[Mark], zone: ZoneInfo) -> Children:
    """Return the strip of figures of one instrument; `marks`: how its price ages from now on."""
    change = f"{text.signed(kpi.change_price)} ({text.percent(kpi.change_pct)})"
    direction = text.direction(kpi.change_price)
    return [
        html.Div(
            [
                html.Div(
                    [
                        html.H1(kpi.symbol),
                        html.Span(kpi.name or "", className="name"),
                        *([simulated_badge()] if kpi.simulated else []),
                        _aged(marks),
                        *([] if marks[0].text else _behind(kpi)),
                    ],
                    className="title",
                ),
                html.Div(_subtitle(kpi, zone), className="subtitle"),
            ],
            className="kpi identity",
        ),
        _kpi("Last", text.price(kpi.current_price), "current_price", kpi.current_price, "big"),
        _kpi(
            "Change",
            [
                html.Span(f"{text.arrow(kpi.change_price)} ", **more({"aria-hidden": "true"})),
                change,
            ],
            "change_pct",
            kpi.change_pct,
            direction,
        ),
        _kpi("Open", text.price(kpi.day_open_price), "day_open_price", kpi.day_open_price),
        _kpi("High", text.price(kpi.day_high_price), "day_high_price", kpi.day_high_price),
        _kpi("Low", text.price(kpi.day_low_price), "day_low_price", kpi.day_low_price),
        _kpi("Volume", text.compact(kpi.volume_shares), "volume_shares", kpi.volume_shares),
        _kpi(
            "of 20-day mean",
            text.NONE if kpi.volume_ratio is None else f"{kpi.volume_ratio:.2f}×",
            "volume_ratio",
            kpi.volume_ratio,
        ),
        _year(kpi),
    ]


def _behind(kpi: Kpi) -> list[Component]:
    """Return the mark of a price that others have overtaken, while the feed as a whole goes on."""
    n_sessions = kpi.sessions_behind
    if not n_sessions:
        return []
    return [
        html.Span(
            f"{n_sessions} session{'s' if n_sessions > 1 else ''} behind",
            className="tag behind",
            title="Sessions have opened since this price, and none of them has one",
        )
    ]


def _aged(marks: Sequence[Mark]) -> Component:
    """Return the mark of a price by the badge's limits; the browser goes on to the next ones."""
    known = [(one.from_ms, _LEVELS[one.colour] if one.text else "", one.text) for one in marks]
    _, level, shown = known[0]
    return html.Span(
        shown,
        className=level,
        title="The price of this instrument alone, by the limits of the badge",
        **more({"data-marks": json.dumps(known)}),
    )


def _subtitle(kpi: Kpi, zone: ZoneInfo) -> str:
    kind = "close" if kpi.price_kind == "bar" and kpi.is_final else kpi.price_kind
    parts = [kpi.sector, kpi.currency, kpi.source, f"{kind} of {text.clock(kpi.price_at, zone)}"]
    return " · ".join(part for part in parts if part)


def _kpi(
    label: str, shown: str | Children, name: str, value: Number | None, kind: str = ""
) -> Component:
    return html.Div(
        [
            html.Div(label, className="label"),
            html.Div(
                shown,
                className=f"value {kind}",
                **more({"data-kpi": name, "data-value": str(value)}),
            ),
        ],
        className="kpi",
    )


def _year(kpi: Kpi) -> Component:
    if kpi.position_52w is None:
        body: Children = [html.Div(text.NONE, className="value", title="Fewer than 252 bars")]
    else:
        body = [
            html.Div(
                html.Div(className="pin", style={"left": f"{kpi.position_52w:.2%}"}),
                className="track",
                role="img",
                **more({"aria-label": f"At {kpi.position_52w:.0%} of the 52-week range"}),
            ),
            html.Div(
                [
                    html.Span(text.price(kpi.low_52w_price)),
                    html.Span(text.price(kpi.high_52w_price)),
                ],
                className="ends",
            ),
        ]
    return html.Div([html.Div("52-week range", className="label"), *body], className="kpi year")


def chart_title(candles: Candles, kpi: Kpi, exchange: ExchangeClock) -> Children:
    """Return what the chart is of: candles, days, time, source and what is special about it."""
    first, last = candles.bars[0], candles.bars[-1]
    days = sorted({first.session_date, last.session_date})
    zone_name = f"{text.local(last.start_at, exchange.zone):%Z}"
    when = f"New York time ({zone_name})" if candles.is_intraday else "exchange's days"
    known = [f"{candles.interval} candles", f"{len(candles.bars)} bars"]
    known += [" to ".join(map(str, days)), when, last.source]
    if candles.is_cut:
        known.append("older ones left out")
    tags: list[Component] = [html.Span(" · ".join(known), className="known")]
    if candles.simulated:
        tags.append(simulated_badge())
    tags += _ends_before(last, kpi, exchange)
    if not last.is_final:
        tags.append(
            html.Span("Last candle is forming", className="tag forming",
                      title="Faint candles are not final: what comes may still change them")
        )  # fmt: skip
    return tags


def _ends_before(last: Candle, kpi: Kpi, exchange: ExchangeClock) -> list[Component]:
    """Return the mark of candles that end more than one of them, in trading, before the price."""
    if kpi.session_date is not None and last.session_date < kpi.session_date:
        price_of = f"{kpi.session_date}"
    elif _traded(last.end_at, kpi.price_at, exchange) > last.end_at - last.start_at:
        price_of = text.clock(kpi.price_at, exchange.zone)
    else:
        return []
    return [
        html.Span(
            f"Ends before the price of {price_of}",
            className="tag behind",
            title="The figures above are of a time that these candles do not reach",
        )
    ]


def _traded(start: datetime, end: datetime, exchange: ExchangeClock) -> timedelta:
    return exchange.trading(utc(end)) - exchange.trading(utc(start))


def legend(candles: Candles) -> Component:
    """Return the last candle's numbers; the browser puts those under the pointer in their place."""
    bar = candles.bars[-1]
    values = {"O": bar.open, "H": bar.high, "L": bar.low, "C": bar.close}
    cells = [
        html.Span([html.B(name), html.Span(text.price(value), **more({"data-ohlc": name}))])
        for name, value in values.items()
    ]
    cells.append(
        html.Span([html.B("V"), html.Span(text.compact(bar.volume), **more({"data-ohlc": "V"}))])
    )
    lines = [
        html.Span([html.I(className=f"key key-{number}"), label], className="average")
        for number, label in enumerate(averages(candles).values())
    ]
    return html.Div([*cells, *lines], className="legend")


def treemap(rows: Sequence[Row]) -> Component:
    """Return tiles by sector; area is the session's dollar volume, colour its return."""
    if not rows:
        return note("No session yet", "The map shows the last session that has daily bars.")
    sized = [row for row in rows if row["size_dollar_volume"] > 0]
    sectors = [(name, list(found)) for name, found in groupby(sized, lambda row: row["sector"])]
    sectors.sort(key=lambda pair: -_size(pair[1]))
    whole = Box(0, 0, 100 * _MAP_ASPECT, 100)
    boxes = squarify([_size(found) for _, found in sectors], whole)
    return html.Div(
        [_sector(name, found, box) for (name, found), box in zip(sectors, boxes, strict=True)],
        className="treemap",
    )


def _size(rows: Iterable[Row]) -> float:
    return sum(float(row["size_dollar_volume"]) for row in rows)


def _sector(name: str, rows: Sequence[Row], box: Box) -> Component:
    inner = Box(0, 0, box.width, max(box.height - _SECTOR_TITLE_PCT, 1.0))
    tiles = squarify([float(row["size_dollar_volume"]) for row in rows], inner)
    return html.Div(
        [
            html.Div(name, className="sector-name", title=name),
            html.Div(
                [_tile(row, tile, inner) for row, tile in zip(rows, tiles, strict=True)],
                className="tiles",
            ),
        ],
        className="sector",
        style=_placed(box, Box(0, 0, 100 * _MAP_ASPECT, 100)),
    )


def _tile(row: Row, box: Box, whole: Box) -> Component:
    change = row["return_1d"]
    least, most = TILE_PCT
    strength = 0.0 if change is None else min(abs(change) / _FULL_COLOUR, 1.0)
    shown = f"{text.arrow(change)} {text.percent(None if change is None else change * 100)}"
    money = f"{row['currency']} {text.compact(row['size_dollar_volume'])}"
    return html.Button(
        [html.B(row["symbol"]), html.Span(shown)],
        className=f"tile {text.direction(change)}",
        title=f"{row['name'] or row['symbol']}: {shown}, {money} traded",
        style={**_placed(box, whole), "--strength": f"{least + (most - least) * strength:.0f}%"},
        **more({"data-symbol": row["symbol"]}),
    )


def _placed(box: Box, whole: Box) -> dict[str, str]:
    return {
        "left": f"{100 * box.left / whole.width:.3f}%",
        "top": f"{100 * box.top / whole.height:.3f}%",
        "width": f"{100 * box.width / whole.width:.3f}%",
        "height": f"{100 * box.height / whole.height:.3f}%",
    }


def breadth(rows: Sequence[Row]) -> Component:
    """Return how many rose and fell, in all and by sector."""
    if not rows:
        return note("No breadth yet", "It takes a session whose instruments closed the day before.")
    everything, *sectors = rows
    facts = [
        ("Above 50-day mean", text.share(everything["above_sma_50_share"])),
        ("Above 200-day mean", text.share(everything["above_sma_200_share"])),
        ("New highs / lows", f"{everything['new_highs']} / {everything['new_lows']}"),
        ("Volume up / down", f"{text.compact(everything['up_volume_shares'])} / "
                             f"{text.compact(everything['down_volume_shares'])}"),
    ]  # fmt: skip
    return html.Div(
        [
            _counted("All", everything, "total"),
            *[_counted(row["universe"], row, "") for row in sectors],
            html.Dl([item for fact in facts for item in (html.Dt(fact[0]), html.Dd(fact[1]))]),
        ],
        className="breadth",
    )


def _counted(name: str, row: Row, kind: str) -> Component:
    parts = [("up", row["advancers"]), ("flat", row["unchanged"]), ("down", row["decliners"])]
    bar = [
        html.Div(className=f"part {part}", style={"flexGrow": str(count)})
        for part, count in parts
        if count
    ]
    return html.Div(
        [
            html.Span(name, className="who", title=name),
            html.Span(f"▲ {row['advancers']}", className="up"),
            html.Div(bar, className="balance"),
            html.Span(f"▼ {row['decliners']}", className="down"),
        ],
        className=f"count {kind}",
    )


def volatility(rows: Sequence[Row]) -> Component:
    """Return the most volatile instruments, each with its regime."""
    if not rows:
        return note("No volatility yet", "It takes 20 daily returns of an instrument.")
    top = max(row["volatility_20d"] for row in rows) or 1.0
    return html.Div(
        [
            html.Div(
                [
                    html.Span(str(row["volatility_rank"]), className="rank"),
                    html.B(row["symbol"]),
                    html.Div(
                        html.Div(style={"width": f"{row['volatility_20d'] / top:.1%}"}),
                        className=f"bar {row['regime']}",
                    ),
                    html.Span(f"{row['volatility_20d']:.1%}", className="figure"),
                    html.Span(row["regime"], className=f"regime {row['regime']}"),
                ],
                className="volatile",
            )
            for row in rows[:8]
        ],
        className="volatility",
    )


def anomalies(rows: Sequence[Row], zone: ZoneInfo) -> Component:
    """Return what looks wrong in the trades, newest first."""
    if not rows:
        return note("No anomaly is recorded", "The rules judge trades, windows and sessions.")
    body = [
        [
            text.clock(row["event_at"], zone),
            row["symbol"],
            row["rule"].replace("_", " "),
            f"{row['value']:,.4g} {row['value_unit']}",
            "simulated" if row["simulated"] else row["source"],
        ]
        for row in rows
    ]
    return table(["When", "Symbol", "Rule", "Found", "Source"], body, "anomalies")


def table(header: Sequence[str], body: Sequence[Sequence[Any]], name: str) -> Component:
    """Return a plain table that scrolls by itself."""
    scrolling: Component = dmc.ScrollArea(
        html.Table(
            [
                html.Thead(html.Tr([html.Th(cell, scope="col") for cell in header])),
                html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in body]),
            ],
            className=f"plain {name}",
        ),
        type="auto",
        className="scroll",
    )
    return scrolling


def mover_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the movers for AG Grid: numbers as numbers, so that it sorts them."""
    return [
        {
            "symbol": row["symbol"],
            "direction": "▲" if row["direction"] == "up" else "▼",
            "close": float(row["close_price"]),
            "change": row["return_1d"],
            "volume_ratio": row["volume_ratio"],
            "dollar_volume": float(row["dollar_volume"]),
        }
        for row in rows
    ]


def session_of(rows: Sequence[Row]) -> Children:
    """Return the session that a panel is of, and whether it is simulated."""
    if not rows:
        return []
    tags: list[Component] = [html.Span(f"{rows[0]['session_date']:%Y-%m-%d}", className="known")]
    return [*tags, simulated_badge()] if rows[0]["simulated"] else tags
