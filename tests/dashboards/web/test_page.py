"""The page in a browser without a network: its numbers against SQL on the same gold."""

import csv
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import duckdb
import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.web import text, theme
from tests.dashboards.web import small_gold
from tests.dashboards.web.conftest import PlayedFeed, Site, Watched, serve
from tests.support import wait_for

ZONE = ZoneInfo("America/New_York")
# What each range is drawn of: of AAA and BBB, whose minutes reach back to 8 February.
INTERVALS = {"1H": "1m", "4H": "1m", "1D": "1m", "1W": "5m", "1M": "15m", "1Y": "1d", "MAX": "1w"}
_SINCE = {
    "1H": "c.bar_start_at >= l.ends - interval 1 hour",
    "4H": "c.bar_start_at >= l.ends - interval 4 hour",
    "1D": "c.session_date = l.day",
    "1W": "c.session_date > l.day - 7",
    "1M": "c.session_date > l.day - 31",
    "1Y": "c.session_date > l.day - 366",
    "MAX": "true",
}


def rows(path: Path, sql: str, *values: object) -> list[dict[str, Any]]:
    with duckdb.connect(path, read_only=True) as db:
        found = db.execute(sql, list(values))
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def candles(path: Path, symbol: str, wanted: str) -> list[dict[str, Any]]:
    """Return the candles that a range has to show, by SQL of the test's own."""
    return rows(
        path,
        f"""
        with l as (
            select max(bar_end_at) as ends, max(session_date) as day from gold.gold_candlestick
            where symbol = $1 and candle_interval = $2
        )
        select c.* from gold.gold_candlestick as c, l
        where symbol = $1 and candle_interval = $2 and {_SINCE[wanted]} order by bar_start_at
        """,
        symbol,
        INTERVALS[wanted],
    )


def opened(watched: Watched, site: Site, query: str = "") -> Page:
    page = watched.page
    page.goto(f"{site.url}/?{query}")
    expect(page.locator("#shown")).to_have_attribute("data-shown-build", re.compile("."))
    return page


def settled(page: Page) -> None:
    """Wait for the first look at what is published, some seconds after opening: it draws once."""
    page.wait_for_function("dash_component_api.getLayout('published').props.data")
    page.wait_for_timeout(1000)


def series(page: Page) -> dict[str, Any]:
    """Return what the chart has been given, by the name of the series."""
    found = page.evaluate("dash_component_api.getLayout('chart').props.series")
    return {one["id"]: one for one in found}


def shown_kpi(page: Page, name: str) -> str | None:
    return page.locator(f"[data-kpi={name}]").get_attribute("data-value")


@pytest.mark.parametrize("symbol", ["AAA", "BBB", "SIM"])
def test_every_number_is_what_sql_says(watched: Watched, site: Site, symbol: str) -> None:
    (kpi,) = rows(site.gold / "current", "select * from gold.gold_kpi where symbol = $1", symbol)
    page = opened(watched, site, f"symbol={symbol}")
    for wanted, interval in INTERVALS.items():
        expected = candles(site.gold / "current", symbol, wanted)
        last = expected[-1]
        page.locator("#range label", has_text=re.compile(f"^{wanted}$")).click()
        expect(page.locator("#chart-title")).to_contain_text(
            f"{interval} candles · {len(expected)} bars"
        )
        expect(page.locator("#chart-frame")).to_have_attribute(
            "aria-label",
            f"{symbol}, {wanted}: {interval} candles and volume,"
            f" last {text.price(last['close_price'])}",
        )

        for name in ("current_price", "change_pct", "volume_shares", "day_high_price"):
            assert shown_kpi(page, name) == str(kpi[name]), (wanted, name)
        change = page.locator("[data-kpi=change_pct]").inner_text()
        assert text.percent(kpi["change_pct"]) in change
        assert page.locator("[data-kpi=current_price]").inner_text() == text.price(
            kpi["current_price"]
        )

        drawn = series(page)
        assert len(drawn["price"]["data"]) == len(drawn["volume"]["data"]) == len(expected)
        point = drawn["price"]["data"][-1]
        for name in ("open", "high", "low", "close"):
            assert point[name] == float(last[f"{name}_price"]), (wanted, name)
            cell = page.locator(f"[data-ohlc={name[0].upper()}]")
            assert cell.inner_text() == text.price(last[f"{name}_price"]), (wanted, name)
        assert drawn["volume"]["data"][-1]["value"] == last["volume_shares"]
        assert page.locator("[data-ohlc=V]").inner_text() == text.compact(last["volume_shares"])
        first = expected[0]["bar_start_at"].replace(tzinfo=UTC).astimezone(ZONE)
        shown = drawn["price"]["data"][0]["time"]
        if isinstance(shown, int):
            shown = f"{datetime.fromtimestamp(shown, UTC):%Y-%m-%d %H:%M}"
        assert f"{first:%Y-%m-%d %H:%M}".startswith(shown), wanted


def test_what_is_simulated_and_what_is_forming_says_so(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=SIM&range=1D")
    assert page.locator("#kpis .simulated").count() == 1
    assert page.locator("#chart-title .simulated").count() == 1
    assert "hatched" in (page.locator("#chart-frame").get_attribute("class") or "")
    assert page.locator("#chart-title .forming").count() == 1
    drawn = series(page)["price"]
    (dot,) = series(page)["forming"]["data"]
    assert [point["time"] for point in drawn["data"] if "color" in point] == [dot["time"]]

    page = opened(watched, site, "symbol=AAA&range=1Y")
    assert page.locator("main .simulated, main .forming").count() == 0
    assert "hatched" not in (page.locator("#chart-frame").get_attribute("class") or "")


def test_split_adjusted_candles_do_not_jump(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=AAA&range=1Y")
    closes = [point["close"] for point in series(page)["price"]["data"]]
    steps = [abs(after / before - 1) for before, after in pairwise(closes)]
    assert max(steps) < 0.1
    by_time = {point["time"]: point["close"] for point in series(page)["price"]["data"]}
    (day,) = rows(
        site.gold / "current",
        "select close_price from gold.gold_candlestick where symbol = 'AAA'"
        " and candle_interval = '1d' and session_date = '2012-05-31'",
    )
    assert by_time["2012-05-31"] == pytest.approx(float(day["close_price"]) / 2, abs=1e-6)


def test_panels_show_their_marts(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=AAA")
    tiles = page.locator(".tile")
    assert sorted(tiles.all_inner_texts()) == [
        "AAA\n▲ +1.23%",
        "BBB\n▼ −2.00%",
    ]  # SIM is no part of the market
    expect(page.locator(".movers [row-id=AAA] [col-id=change]")).to_have_text("+1.23%")
    assert "extreme" in page.locator("#volatility").inner_text()
    assert "▲ 1" in page.locator(".count.total").inner_text()
    assert "12.5 robust z-score" in page.locator("#anomalies").inner_text()


def test_a_click_on_the_map_and_the_keyboard_choose_a_symbol(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=AAA")
    page.locator(".tile", has_text="BBB").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#kpis h1")).to_have_text("BBB")
    expect(page).to_have_url(re.compile(r"symbol=BBB&range=1D&view=market"))


def test_address_chooses_symbol_range_and_view(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=BBB&range=1M&view=health")
    expect(page.locator("#view-market")).to_be_hidden()
    expect(page.locator(".health-head .level")).to_be_visible()
    page.get_by_text("Market", exact=True).click()
    expect(page.locator("#kpis h1")).to_have_text("BBB")
    assert page.locator("#chart-title").inner_text().startswith("15m candles")
    expect(page).to_have_url(re.compile("range=1M&view=market"))


def test_an_unknown_symbol_is_not_another_one_s_numbers(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=%3Cb%3EX&range=nonsense")
    expect(page.locator("#kpis")).to_contain_text("gold has no price of <B>X")
    assert page.locator("[data-kpi]").count() == 0
    with page.expect_response(lambda found: "csv-file" in (found.request.post_data or "")) as saved:
        page.locator("#csv").click()
    assert saved.value.json()["response"] == {}


def test_theme_changes_page_and_chart_and_is_kept(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=AAA")
    root = page.locator("html")
    expect(root).to_have_attribute("data-mantine-color-scheme", "light")
    colour = "dash_component_api.getLayout('chart').props.chartOptions.layout.textColor"
    light = page.evaluate(colour)
    page.locator("#theme").click()
    expect(root).to_have_attribute("data-mantine-color-scheme", "dark")
    page.wait_for_function(f"{colour} !== '{light}'")
    page.reload()
    expect(page.locator("#kpis h1")).to_be_visible()
    expect(root).to_have_attribute("data-mantine-color-scheme", "dark")


def test_line_and_studies(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=AAA&range=1Y")
    for name in ("Line", "RSI 14", "MACD 12, 26, 9", "Bollinger 20, 2"):
        page.get_by_text(name, exact=True).click()
    page.wait_for_function(
        "['macd_line', 'bollinger_upper'].every(id => "
        "dash_component_api.getLayout('chart').props.series.some(one => one.id === id))"
        " && dash_component_api.getLayout('chart').props.series[0].type === 'area'"
    )
    page.wait_for_function("dash_component_api.getLayout('chart').props.paneOptions.length === 4")
    drawn = series(page)
    assert drawn["rsi_14"]["data"][-1]["value"] == 55.5
    assert drawn["macd_histogram"]["data"][-1]["value"] == -0.25
    assert {"sma_20", "sma_50", "sma_200", "bollinger_upper", "bollinger_lower"} <= drawn.keys()

    page.get_by_text("1D", exact=True).click()
    expect(page.locator("#studies-note")).to_contain_text("RSI 14")


def test_the_legend_has_the_candle_under_the_pointer(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=AAA&range=1D")
    four = {name[0].upper(): f"{name}_price" for name in ("open", "high", "low", "close")}
    by_time = {
        one["bar_start_at"].replace(tzinfo=UTC).astimezone(ZONE).replace(tzinfo=UTC): {
            cell: text.price(one[column]) for cell, column in four.items()
        }
        for one in candles(site.gold / "current", "AAA", "1D")
    }

    def is_pointed_at() -> bool:
        page.locator("#kpis").hover()
        page.locator("#chart-frame").hover()  # again, where the chart was drawn anew meanwhile
        page.wait_for_timeout(500)  # the chart tells it when the browser comes to that
        found = page.evaluate("dash_component_api.getLayout('chart').props.crosshair?.time")
        cells = {cell: page.locator(f"[data-ohlc={cell}]").inner_text() for cell in four}
        return found is not None and cells == by_time[datetime.fromtimestamp(found, UTC)]

    for style, kind in (("Candles", "candlestick"), ("Line", "area")):
        page.get_by_text(style, exact=True).click()
        page.wait_for_function(
            f"dash_component_api.getLayout('chart').props.series[0]?.type === '{kind}'"
        )
        wait_for(is_pointed_at)


def test_csv_has_the_shown_candles(watched: Watched, site: Site) -> None:
    page = opened(watched, site, "symbol=AAA&range=1W")
    with page.expect_download() as download:
        page.locator("#csv").click()
    assert download.value.suggested_filename == "AAA-1W-5m.csv"
    with Path(download.value.path()).open(newline="") as file:
        found = list(csv.DictReader(file))
    expected = candles(site.gold / "current", "AAA", "1W")
    assert [
        (row["start_utc"], float(row["close"]), int(row["volume_shares"])) for row in found
    ] == [
        (f"{one['bar_start_at'].isoformat()}Z", float(one["close_price"]), one["volume_shares"])
        for one in expected
    ]
    # Five sessions, in the middle of which the clocks went forward.
    opens = {row["start_local"][11:] for row in found if row["start_local"][11:16] == "09:30"}
    assert opens == {"09:30:00-05:00", "09:30:00-04:00"}


def test_narrow_screen_has_no_sideways_scroll(watched: Watched, site: Site) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 800})
    page = opened(watched, site, "symbol=AAA")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    badge, session = page.locator("[data-freshness]"), page.locator("[data-market]")
    expect(session).to_have_text(re.compile("."))
    for one in (badge, session):
        expect(one).to_be_in_viewport(ratio=1)
    # What does not fit is in the title.
    label = badge.locator("[data-part=label]").text_content() or ""
    assert label
    assert (badge.get_attribute("title") or "").startswith(label)


def test_a_new_build_is_seen_without_a_reload(
    watched: Watched, site: Site, gold_file: Path
) -> None:
    page = opened(watched, site, "symbol=AAA")
    # Drawn for the badge's news, and not because a minute has passed.
    page.evaluate("dash_clientside.set_props('refresh', {disabled: true})")
    small_gold.publish_again(gold_file, "b2", "49.99").rename(site.gold / "gold-b2.duckdb")
    small_gold.link(gold_file)
    small_gold.link(site.gold / "gold-b2.duckdb")

    expect(page.locator("[data-kpi=current_price]")).to_have_text("49.99")
    expect(page.locator("#shown")).to_have_attribute("data-shown-build", "b2")


@pytest.mark.parametrize(
    ("view", "refresh", "told", "focused"),
    [
        ("market", "refresh", "problem", ".tile"),
        ("health", "health-refresh", "health-checked", "#health-build section"),
    ],
)
def test_what_has_not_changed_keeps_its_focus(
    watched: Watched, site: Site, view: str, refresh: str, told: str, focused: str
) -> None:
    page = opened(watched, site, f"symbol=AAA&view={view}")
    part = page.locator(focused).first
    part.evaluate("one => { one.tabIndex = -1; one.focus(); }")
    # This one is told each time.
    page.evaluate(f"dash_clientside.set_props('{told}', {{children: 'Waiting'}})")
    expect(page.locator(f"#{told}")).to_have_text("Waiting")
    with page.expect_response(lambda found: told in (found.request.post_data or "")) as again:
        page.evaluate(f"dash_clientside.set_props('{refresh}', {{n_intervals: 1000}})")
    expect(page.locator(f"#{told}")).not_to_have_text("Waiting")
    assert part.evaluate("one => one === document.activeElement")
    drawn = again.value.json()["response"].keys()
    assert told in drawn
    assert not drawn & {"kpis", "tiles", "volatility", "anomalies", "health-level", "health-lag"}


def test_a_choice_is_drawn_once(watched: Watched, site: Site) -> None:
    """The answer writes what was asked for back into the page, which is asked with it."""
    page = opened(watched, site, "symbol=AAA")
    settled(page)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.post_data or ""))
    page.get_by_text("1M", exact=True).click()
    expect(page.locator("#chart-frame")).to_have_attribute("data-interval", "15m")
    page.wait_for_timeout(1500)
    assert len([one for one in asked if "kpis.children" in one]) == 1


# Where small_gold's minutes end; the axis has the exchange's wall clock as if it were UTC.
LAST_MINUTE = datetime.combine(small_gold.LAST, time(15, 59), ZONE)
START_S = int(LAST_MINUTE.timestamp())
TOLD: dict[str, Any] = {
    "last": {"price": 11.5, "kafka_ms": 1, "event_ms": (START_S + 305) * 1000},
    "simulated": False,
}
TOLD_AT = "2013-03-12 16:04:05 EDT"


def minute(start_s: int, close: float, **others: object) -> dict[str, object]:
    bar = {"open": 10.0, "high": 12.0, "low": 9.0, "close": close, "volume": 500, "n": 3}
    place = {"start_s": start_s, "end_s": start_s + 60, "segment": "regular", "is_partial": False}
    return bar | place | others


@contextmanager
def live(browser: Browser, gold_file: Path, folder: Path) -> Iterator[tuple[Page, PlayedFeed]]:
    """Show AAA's last day in live mode; `folder` is where its gold is read."""
    feed = PlayedFeed()
    (folder / gold_file.name).hardlink_to(gold_file)
    (folder / "current").symlink_to(gold_file.name)
    with serve(folder, feed) as site:
        watched = Watched(browser.new_page())
        watched.watch(site.url)
        page = opened(watched, site, "symbol=AAA&range=1D")
        expect(page.locator("#chart-title")).to_contain_text("1m candles")
        settled(page)
        page.locator("#live").click()
        expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
        yield page, feed
        page.close()
    assert (watched.strangers, watched.troubles) == ([], [])


def ticks(page: Page, name: str) -> list[list[float | None]]:
    """Return what was last put behind gold's candles: minutes after its last one, and values."""
    found = page.evaluate("dash_component_api.getLayout('chart').props.tick")
    wanted = "close" if name == "price" else "value"
    end = LAST_MINUTE.replace(tzinfo=UTC).timestamp()
    bars = [one["bar"] for one in found if one["id"] == name]
    return [[(bar["time"] - end) / 60, bar.get("customValues", bar).get(wanted)] for bar in bars]


def wait_for_ticks(page: Page, number: int) -> None:
    """Wait until so many bars of prices were put there at once."""
    tick = "dash_component_api.getLayout('chart').props.tick"
    page.wait_for_function(f"{tick}?.filter(one => one.id === 'price').length === {number}")


def test_live_minutes_stand_behind_gold_s_own_and_stay_there(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    with live(browser, gold_file, tmp_path) as (page, feed):
        late = minute(START_S - 60, 1.0)
        begun = minute(START_S + 180, 2.0, is_partial=True)
        feed.tell(**TOLD, candles=[late, begun, minute(START_S + 240, 11.0)])
        expect(page.locator("#live-price")).to_have_text(f"AAA 11.50 · {TOLD_AT}")
        # The minutes before are empty: neither gold nor the feed has them.
        wait_for_ticks(page, 2)
        assert ticks(page, "price") == [[1, None], [4, 11.0]]
        feed.tell(**TOLD, candles=[minute(START_S + 300, 11.5)])
        wait_for_ticks(page, 1)
        assert ticks(page, "price") == [[5, 11.5]]

        # Drawn anew, the chart ends with gold's last minute: both live ones are put behind it.
        page.get_by_text("Line", exact=True).click()
        wait_for_ticks(page, 3)
        assert ticks(page, "price") == [[1, None], [4, 11.0], [5, 11.5]]
        assert ticks(page, "volume") == [[4, 500], [5, 500]]

        feed.tell(**TOLD | {"simulated": True}, candles=[minute(START_S + 360, 99.0)])
        expect(page.locator("#live-price")).to_have_text(
            f"AAA 11.50 simulated, not drawn · {TOLD_AT}"
        )
        assert ticks(page, "volume") == [[4, 500], [5, 500]]

        # Live minutes are no candles of a quarter of an hour.
        page.get_by_text("1M", exact=True).click()
        expect(page.locator("#chart-title")).to_contain_text("15m candles")
        feed.tell(**TOLD, candles=[minute(START_S + 420, 12.0)])
        expect(page.locator("#live-price")).to_have_text(f"AAA 11.50 · {TOLD_AT}")
        assert ticks(page, "volume") == [[4, 500], [5, 500]]
        page.locator("#live").click()
        expect(page.locator("#live-price")).to_have_text("")


def test_the_lag_is_gone_some_seconds_after_the_last_trade(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    with live(browser, gold_file, tmp_path) as (page, feed):
        feed.tell(**TOLD, candles=[])
        expect(page.locator("#live-price")).to_have_text(f"AAA 11.50 · {TOLD_AT}")
        newer = TOLD["last"] | {"price": 12.0, "event_ms": TOLD["last"]["event_ms"] + 1}
        feed.tell(**TOLD | {"last": newer}, candles=[])
        expect(page.locator("[data-lag]")).to_have_text(re.compile("s behind Kafka$"))
        # Read aloud is the state alone, which has not changed.
        expect(page.get_by_role("status").filter(has_text="Live")).to_have_text(
            "Live, not yet reconciled"
        )
        expect(page.locator("[data-lag]")).to_have_text("")
        expect(page.locator("#live-price")).to_contain_text("AAA 12.00")


def in_chart(page: Page, name: str, place: int) -> float | None:
    """Return what a series of the chart has some places behind gold's last candle."""
    page.evaluate(
        """([seriesId, place]) => {
            const { series } = dash_component_api.getLayout("chart").props;
            const logicalIndex = series[0].data.length - 1 + place;
            const dataAction = { action: "dataByIndex", seriesId, logicalIndex, nonce: Date.now() };
            dash_clientside.set_props("chart", { dataResult: null, dataAction });
        }""",
        [name, place],
    )
    page.wait_for_function("dash_component_api.getLayout('chart').props.dataResult !== null")
    bar = page.evaluate("dash_component_api.getLayout('chart').props.dataResult.data") or {}
    found: float | None = bar.get("close", bar.get("value"))
    return found


@pytest.mark.parametrize("style", ["Candles", "Line"])
def test_a_live_minute_that_has_ended_is_corrected(
    browser: Browser, gold_file: Path, tmp_path: Path, style: str
) -> None:
    with live(browser, gold_file, tmp_path) as (page, feed):

        def shown(name: str) -> list[float | None]:
            return [in_chart(page, name, place) for place in (1, 2, 3, 4)]

        page.get_by_text(style, exact=True).click()
        spike = minute(START_S + 60, 99.0, volume=900)
        feed.tell(**TOLD, candles=[spike, minute(START_S + 180, 11.0), minute(START_S + 240, 11.5)])
        wait_for(lambda: shown("price") == [99.0, None, 11.0, 11.5])

        # Its trade is cancelled, minutes later.
        feed.tell(**TOLD, candles=[minute(START_S + 60, 10.5)])
        wait_for(lambda: shown("price") == [10.5, None, 11.0, 11.5])
        assert shown("volume") == [500, None, 500, 500]

        # The only trade of the minute after it comes late.
        feed.tell(**TOLD, candles=[minute(START_S + 120, 10.0)])
        wait_for(lambda: shown("price") == [10.5, 10.0, 11.0, 11.5])
        assert shown("volume") == [500, 500, 500, 500]


@pytest.mark.parametrize(
    ("style", "name", "top"), [("Candles", "color", 12.0), ("Line", "lineColor", 9.5)]
)
def test_live_minutes_are_faint_and_the_last_has_the_dot(
    browser: Browser, gold_file: Path, tmp_path: Path, style: str, name: str, top: float
) -> None:
    up, down = (theme.faint(getattr(theme.PALETTES["light"], way)) for way in ("up", "down"))
    with live(browser, gold_file, tmp_path) as (page, feed):
        page.get_by_text(style, exact=True).click()
        feed.tell(**TOLD, candles=[minute(START_S + 60, 11.0)])
        wait_for(lambda: in_chart(page, "forming", 1) is not None)
        feed.tell(**TOLD, candles=[minute(START_S + 120, 9.5)])
        # Nor has gold's last one it, which was forming.
        wait_for(lambda: [in_chart(page, "forming", at) for at in range(3)] == [None, None, top])
        found = page.evaluate("dash_component_api.getLayout('chart').props.tick")
        bars = {one["id"]: one["bar"] for one in found}
        colours = {"price": bars["price"][name], "volume": bars["volume"]["color"]}
        # A line has one colour, whatever the minute did.
        assert colours == {"price": up if style == "Line" else down, "volume": down}


def test_a_minute_that_comes_while_the_chart_is_given_anew_leaves_none_out(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    with live(browser, gold_file, tmp_path) as (page, feed):
        feed.tell(**TOLD, candles=[minute(START_S + 60, 11.0)])
        wait_for(lambda: in_chart(page, "price", 1) == 11.0)
        later = {"symbol": "AAA", **TOLD, "candles": [minute(START_S + 120, 9.5)]}
        page.evaluate(
            """told => {
              const { series } = dash_component_api.getLayout("chart").props;
              const anew = series.map((one) => ({ ...one, data: [...one.data] }));
              dash_clientside.set_props("chart", { series: anew });
              document.dispatchEvent(new CustomEvent("tapehouse:trade", { detail: told }));
            }""",
            later,
        )
        wait_for(lambda: [in_chart(page, "price", at) for at in (1, 2)] == [11.0, 9.5])


def test_what_is_taken_back_while_the_chart_is_given_anew_brings_no_old_series_back(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    with live(browser, gold_file, tmp_path) as (page, feed):
        feed.tell(**TOLD, candles=[minute(START_S + 300, 11.0)])
        wait_for(lambda: in_chart(page, "price", 2) == 11.0)
        # The newer series lack their last candle.
        page.evaluate(
            """() => {
              const { series } = dash_component_api.getLayout("chart").props;
              const anew = series.map((one) => ({ ...one, data: one.data.slice(0, -1) }));
              dash_clientside.set_props("chart", { series: anew });
              const detail = { state: "lost", detail: "", symbol: "AAA" };
              document.dispatchEvent(new CustomEvent("tapehouse:live", { detail }));
              window.expected = anew[0].data.length;
            }"""
        )
        page.wait_for_timeout(500)
        found = page.evaluate("dash_component_api.getLayout('chart').props.series[0].data.length")
        assert found == page.evaluate("window.expected")


def test_an_outage_takes_back_the_price_and_what_was_forming(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    with live(browser, gold_file, tmp_path) as (page, feed):
        feed.tell(**TOLD, candles=[minute(START_S + 240, 11.0), minute(START_S + 300, 11.5)])
        wait_for_ticks(page, 3)
        assert ticks(page, "price") == [[1, None], [4, 11.0], [5, 11.5]]
        expect(page.locator("#live-price")).to_have_text(f"AAA 11.50 · {TOLD_AT}")

        # Of the minute that was forming nobody will tell what came; the one before had ended.
        feed.fall("Kafka: away")
        expect(page.locator("[data-live]")).to_have_attribute("data-state", "down")
        expect(page.locator("#live-price")).to_have_text("")
        wait_for_ticks(page, 2)
        assert ticks(page, "price") == [[1, None], [4, 11.0]]

        # A tape that began within a minute knows less of it than was drawn, but that is not whole.
        begun = minute(START_S + 240, 1.0, is_partial=True)
        last = TOLD["last"] | {"price": 12.0, "event_ms": (START_S + 365) * 1000}
        feed.tell(**TOLD | {"last": last}, candles=[begun, minute(START_S + 360, 12.0)])
        feed.rise()
        expect(page.locator("#live-price")).to_have_text("AAA 12.00 · 2013-03-12 16:05:05 EDT")
        state, lag = page.locator("[data-live]"), page.locator("[data-lag]")
        expect(state).to_have_text("Live, not yet reconciled")
        # How old the first trade is says nothing of a lag.
        assert lag.text_content() == ""
        page.wait_for_function(
            "dash_component_api.getLayout('chart').props.tick.some(one => one.bar.close === 12)"
        )
        assert ticks(page, "price") == [[1, None], [6, 12.0]]


def test_live_minutes_are_not_put_behind_another_symbol_s(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    with live(browser, gold_file, tmp_path) as (page, feed):
        feed.tell(**TOLD, candles=[minute(START_S + 60, 11.0)])
        wait_for_ticks(page, 1)
        (tmp_path / "current").unlink()
        page.locator(".tile", has_text="BBB").click()
        expect(page.locator("#problem")).to_contain_text("Gold cannot be read")
        page.locator("#chart-frame").click()  # chooses nothing, unlike a tile
        assert page.evaluate("dash_component_api.getLayout('symbol').props.value") == "BBB"
        feed.tell(**TOLD, candles=[minute(START_S + 120, 99.0)])
        expect(page.locator("#live-price")).to_have_text(f"BBB 11.50 · {TOLD_AT}")
        expect(page.locator("#kpis h1")).to_have_text("AAA")
        assert ticks(page, "price") == [[1, 11.0]]


def test_a_price_that_others_have_overtaken_says_so(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gold-behind.duckdb"
    shutil.copyfile(gold_file, path)
    with duckdb.connect(path) as db:
        db.execute("update gold.gold_kpi set sessions_behind = 3 where symbol = 'BBB'")
        db.execute("update gold.gold_kpi set session_date = session_date + 1 where symbol = 'BBB'")
    (tmp_path / "current").symlink_to(path.name)
    with serve(tmp_path) as site:
        page = browser.new_page()
        page.goto(f"{site.url}/?symbol=BBB&range=1D")
        expect(page.locator("#kpis .behind")).to_have_text("3 sessions behind")
        expect(page.locator("#chart-title .behind")).to_contain_text("Ends before the price of")
        page.goto(f"{site.url}/?symbol=AAA&range=1D")
        expect(page.locator("#kpis h1")).to_have_text("AAA")
        assert page.locator(".behind").count() == 0
        page.close()


def test_a_symbol_that_leaves_gold_is_not_replaced(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    (tmp_path / gold_file.name).hardlink_to(gold_file)
    small_gold.link(tmp_path / gold_file.name)
    with serve(tmp_path) as site:
        page = browser.new_page()
        page.goto(f"{site.url}/?symbol=AAA&range=1D")
        page.locator(".tile", has_text="BBB").click()
        expect(page.locator("#kpis h1")).to_have_text("BBB")
        path = tmp_path / "gold-b2.duckdb"
        shutil.copyfile(gold_file, path)
        with duckdb.connect(path) as db:
            db.execute("update ops.builds set build_id = 'b2'")
            db.execute("delete from gold.gold_kpi where symbol = 'BBB'")
        small_gold.link(path)
        expect(page.locator("#kpis")).to_contain_text("Build b2: gold has no price of BBB")
        # The picker has dropped it, and the next minute is drawn.
        page.wait_for_function("!dash_component_api.getLayout('symbol').props.value")
        with page.expect_response(lambda one: "kpis.children" in (one.request.post_data or "")):
            page.evaluate("dash_clientside.set_props('refresh', {n_intervals: 1000})")
        with page.expect_response(lambda one: "csv-file" in (one.request.post_data or "")) as saved:
            page.locator("#csv").click()
        assert saved.value.json()["response"] == {}
        expect(page.locator("#kpis")).to_contain_text("Build b2: gold has no price of BBB")
        page.close()


def test_without_gold_the_page_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    with serve(tmp_path) as empty:
        page = browser.new_page()
        page.goto(empty.url)
        expect(page.locator("#problem")).to_contain_text("make demo")
        expect(page.locator("[data-freshness]")).to_have_attribute("data-state", "no_data")
        page.close()


def test_gold_that_lacks_a_table_is_told_and_not_hidden(
    browser: Browser, gold_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gold-broken.duckdb"
    shutil.copyfile(gold_file, path)
    with duckdb.connect(path) as db:
        db.execute("drop table gold.gold_movers")
    (tmp_path / "current").symlink_to(path.name)
    with serve(tmp_path) as broken:
        page = browser.new_page()
        page.goto(broken.url)
        expect(page.locator("#problem")).to_contain_text("gold_movers")
        page.close()


def test_answers_keep_the_page_to_itself(site: Site) -> None:
    with urlopen(f"{site.url}/") as answer:
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    with urlopen(f"{site.url}/healthz") as answer:
        assert b"build_id" in answer.read()
