"""The model and the page of Power BI: what of gold they have, and how it is measured.

Columns are named as in gold; in DAX and in the files as Snowflake names them, in upper case.
"""

from typing import Final

from dashboards.powerbi import candle
from dashboards.powerbi.declared import (
    DENEB,
    Box,
    Connection,
    Field,
    Filter,
    Measure,
    Model,
    ModelTable,
    Page,
    Relationship,
    Visual,
    column,
    measure,
)

NAME: Final = "StockMarket"

# "2.0" reads by Arrow (ADBC). The older driver is a line away because slow fetches and types that
# differ were reported of the new one (apache/arrow-adbc#3169, #4306): None, then generate again.
CONNECTION: Final = Connection(
    parameters={
        "Server": "organisation-account.snowflakecomputing.com",
        "Warehouse": "STOCKS_MDS_READER_WH",
        "Database": "STOCKS_MDS",
        "Schema": "GOLD",
        "Role": "STOCKS_MDS_READER",
    },
    implementation="2.0",
)

_PRICE: Final = "#,0.00"
_TIME: Final = '"yyyy-mm-dd hh:nn"'
_NOT_FOR_SEVERAL: Final = "Blank for several instruments."

_PUBLISHED: Final = f"""
VAR first_build = CALCULATE ( MIN ( gold_kpi[BUILD_ID] ), REMOVEFILTERS ( dim_instrument ) )
VAR last_build = CALCULATE ( MAX ( gold_kpi[BUILD_ID] ), REMOVEFILTERS ( dim_instrument ) )
VAR as_of = CALCULATE ( MAX ( gold_kpi[AS_OF] ), REMOVEFILTERS ( dim_instrument ) )
VAR has_simulated =
    NOT ISEMPTY ( FILTER ( gold_kpi, gold_kpi[SIMULATED] ) )
        || NOT ISEMPTY ( FILTER ( gold_candlestick, gold_candlestick[SIMULATED] ) )
        || NOT ISEMPTY ( FILTER ( gold_treechart, gold_treechart[SIMULATED] ) )
RETURN
    IF (
        ISBLANK ( last_build ),
        "Gold has no price here",
        "As of " & FORMAT ( as_of, {_TIME} ) & " UTC. Build " & last_build
            & IF ( first_build <> last_build, " AND OTHERS: reload" )
            & ". Prices in " & SELECTEDVALUE ( gold_kpi[CURRENCY], "several currencies" )
            & IF ( has_simulated, ". SIMULATED DATA IS SHOWN", ". Simulated data is left out" )
    )
"""

_TRADED_VALUE: Final = """
VAR last_session =
    CALCULATE ( MAX ( gold_treechart[SESSION_DATE] ), REMOVEFILTERS ( dim_instrument ) )
RETURN
    IF (
        HASONEVALUE ( gold_treechart[CURRENCY] ),
        CALCULATE (
            SUM ( gold_treechart[SIZE_DOLLAR_VOLUME] ),
            gold_treechart[SESSION_DATE] = last_session
        )
    )
"""

_TRADED_VALUE_TITLE: Final = """
VAR last_session =
    CALCULATE ( MAX ( gold_treechart[SESSION_DATE] ), REMOVEFILTERS ( dim_instrument ) )
RETURN
    IF (
        ISBLANK ( last_session ),
        "Traded value: no session",
        "Traded value by sector, session of " & FORMAT ( last_session, "yyyy-mm-dd" )
    )
"""

_FRESHNESS: Final = f"""
VAR judged_at = MAX ( gold_freshness[CHECKED_AT] )
VAR minutes = INT ( ( UTCNOW ( ) - judged_at ) * 1440 )
VAR age =
    SWITCH (
        TRUE ( ),
        minutes < 120, FORMAT ( minutes, "0" ) & " minutes",
        minutes < 2880, FORMAT ( INT ( DIVIDE ( minutes, 60 ) ), "0" ) & " hours",
        FORMAT ( INT ( DIVIDE ( minutes, 1440 ) ), "#,0" ) & " days"
    )
VAR missed =
    COUNTROWS (
        FILTER (
            dim_session,
            dim_session[CLOSE_AT] > judged_at && dim_session[CLOSE_AT] <= UTCNOW ( )
        )
    )
VAR scheduled =
    COUNTROWS ( FILTER ( gold_freshness, gold_freshness[STATUS] <> "unscheduled" ) )
VAR behind = FILTER ( gold_freshness, gold_freshness[STATUS] IN {{ "late", "stale" }} )
VAR behind_text =
    CONCATENATEX (
        behind,
        gold_freshness[SOURCE] & " " & gold_freshness[FEED] & " " & gold_freshness[STATUS]
            & " since " & FORMAT ( gold_freshness[LAST_EVENT_AT], {_TIME} ),
        ", ",
        gold_freshness[LAST_EVENT_AT], ASC
    )
RETURN
    IF (
        ISBLANK ( judged_at ),
        "FRESHNESS IS NOT KNOWN: no feed of real data",
        IF ( missed > 0, "STALE: " & FORMAT ( missed, "#,0" ) & " sessions closed since. " )
            & SWITCH (
                TRUE ( ),
                NOT ISEMPTY ( behind ), "BEHIND: " & behind_text,
                ISBLANK ( scheduled ), "No feed has a schedule",
                "Every feed was on time"
            )
            & ". Judged " & FORMAT ( judged_at, {_TIME} ) & " UTC, " & age & " ago"
    )
"""

INSTRUMENTS: Final = ModelTable(
    "dim_instrument",
    columns=["instrument_id", "symbol", "sector", "is_current"],
    shown=["symbol", "sector"],
    # A row for each symbol that an instrument ever had: of one instrument the last, or its facts
    # would be counted once for each.
    where="is_current",
    measures=[
        Measure(
            "One instrument",
            "Whether one instrument is in view. A symbol may be that of two, one delisted.",
            """
            HASONEVALUE ( dim_instrument[SYMBOL] )
                && HASONEVALUE ( dim_instrument[INSTRUMENT_ID] )
            """,
            hidden=True,
        ),
    ],
)

SESSIONS: Final = ModelTable("dim_session", columns=["close_at"])

KPI: Final = ModelTable(
    "gold_kpi",
    columns=[
        "instrument_id",
        "currency",
        "build_id",
        "current_price",
        "change_pct",
        "day_high_price",
        "day_low_price",
        "volume_shares",
        "simulated",
        "session_date",
        "as_of",
    ],
    shown=["simulated"],
    measures=[
        Measure(
            "Price",
            f"Latest price. {_NOT_FOR_SEVERAL}",
            "IF ( [One instrument], MAX ( gold_kpi[CURRENT_PRICE] ) )",
            _PRICE,
        ),
        Measure(
            "Change %",
            f"Price against the close of the session before. {_NOT_FOR_SEVERAL}",
            "IF ( [One instrument], DIVIDE ( MAX ( gold_kpi[CHANGE_PCT] ), 100 ) )",
            "+0.00%;-0.00%;0.00%",
        ),
        Measure(
            "Day high",
            f"High of the session so far. {_NOT_FOR_SEVERAL}",
            "IF ( [One instrument], MAX ( gold_kpi[DAY_HIGH_PRICE] ) )",
            _PRICE,
        ),
        Measure(
            "Day low",
            f"Low of the session so far. {_NOT_FOR_SEVERAL}",
            "IF ( [One instrument], MIN ( gold_kpi[DAY_LOW_PRICE] ) )",
            _PRICE,
        ),
        Measure(
            "Volume",
            "Shares of the session so far; of several instruments their sum.",
            "SUM ( gold_kpi[VOLUME_SHARES] )",
            "#,0",
        ),
        Measure(
            "Price session",
            f"The session that the price is of. {_NOT_FOR_SEVERAL}",
            "IF ( [One instrument], MAX ( gold_kpi[SESSION_DATE] ) )",
            "yyyy-mm-dd",
        ),
        Measure(
            "Has price",
            "1 where an instrument has a price: the symbols that can be chosen.",
            "IF ( NOT ISEMPTY ( gold_kpi ), 1 )",
            "0",
            hidden=True,
        ),
        Measure(
            "Published",
            "What is shown: its build, how far its facts reach, currency, and whether it is real.",
            _PUBLISHED,
        ),
    ],
)

CANDLES: Final = ModelTable(
    "gold_candlestick",
    columns=[
        "instrument_id",
        "candle_interval",
        "open_price",
        "high_price",
        "low_price",
        "close_price",
        "volume_shares",
        "is_final",
        "simulated",
        "bar_start_at",
    ],
    shown=["candle_interval", "bar_start_at", "simulated"],
    measures=[
        Measure(
            "One series",
            "Whether the candles in view are of one instrument and one interval.",
            "[One instrument] && HASONEVALUE ( gold_candlestick[CANDLE_INTERVAL] )",
            hidden=True,
        ),
        Measure(
            "One candle",
            "Whether exactly one candle is in view.",
            "[One series] && HASONEVALUE ( gold_candlestick[BAR_START_AT] )",
            hidden=True,
        ),
        Measure(
            "Open",
            "First price. Blank for several candles: neither a mean nor a maximum is an open.",
            "IF ( [One candle], MAX ( gold_candlestick[OPEN_PRICE] ) )",
            _PRICE,
        ),
        Measure(
            "High",
            "Highest price of one instrument, at one interval.",
            "IF ( [One series], MAX ( gold_candlestick[HIGH_PRICE] ) )",
            _PRICE,
        ),
        Measure(
            "Low",
            "Lowest price of one instrument, at one interval.",
            "IF ( [One series], MIN ( gold_candlestick[LOW_PRICE] ) )",
            _PRICE,
        ),
        Measure(
            "Close",
            "Last price. Blank for several candles.",
            "IF ( [One candle], MAX ( gold_candlestick[CLOSE_PRICE] ) )",
            _PRICE,
        ),
        Measure(
            "Candle volume",
            "Shares of the candles; blank over intervals, which hold the same trades again.",
            """
            IF (
                HASONEVALUE ( gold_candlestick[CANDLE_INTERVAL] ),
                SUM ( gold_candlestick[VOLUME_SHARES] )
            )
            """,
            "#,0",
        ),
        Measure(
            "Forming",
            "1 while the candle may still change, else 0. Blank for several candles.",
            """
            IF (
                [One candle],
                IF ( ISEMPTY ( FILTER ( gold_candlestick, NOT gold_candlestick[IS_FINAL] ) ), 0, 1 )
            )
            """,
            "0",
        ),
    ],
)

TILES: Final = ModelTable(
    "gold_treechart",
    columns=["instrument_id", "currency", "size_dollar_volume", "simulated", "session_date"],
    shown=["session_date", "simulated"],
    measures=[
        Measure(
            "Traded value",
            "Close times volume of the last session of any instrument; blank over currencies.",
            _TRADED_VALUE,
            "#,0",
        ),
        Measure(
            "Traded value title",
            "The title of the tree map, with its session.",
            _TRADED_VALUE_TITLE,
            hidden=True,
        ),
    ],
)

FRESHNESS: Final = ModelTable(
    "gold_freshness",
    columns=["source", "feed", "status", "simulated", "last_event_at", "checked_at"],
    shown=["simulated"],
    measures=[
        Measure(
            "Freshness",
            "Sessions that closed after gold was judged, feeds that are behind, and its age now.",
            _FRESHNESS,
        ),
    ],
)

MODEL: Final = Model(
    CONNECTION,
    tables=[INSTRUMENTS, SESSIONS, KPI, CANDLES, TILES, FRESHNESS],
    # By the instrument, which stays the same through renames.
    relationships=[
        Relationship(fact.name, INSTRUMENTS.name, "instrument_id") for fact in (KPI, CANDLES, TILES)
    ],
)

_SYMBOL: Final = column("dim_instrument", "symbol")
_CARDS: Final = {
    "Price": "Latest price of the chosen symbol",
    "Change %": "Change of the price against the close of the session before, in percent",
    "Day high": "Highest price of the session so far",
    "Day low": "Lowest price of the session so far",
    "Volume": "Shares traded in the session so far",
}


def _text_card(key: str, box: Box, shown: Field, alt: str) -> Visual:
    """Return a card that is a line of text: no label, small, wrapped."""
    return Visual(
        key,
        "cardVisual",
        box,
        alt,
        roles={"Data": [shown]},
        objects={"value": {"fontSize": 10, "textWrap": True}, "label": {"show": False}},
    )


def _card(number: int, name: str, alt: str) -> Visual:
    return Visual(
        f"card {name}",
        "cardVisual",
        Box(204 + number * 212, 76, 204, 84),
        alt,
        roles={"Data": [measure("gold_kpi", name)]},
        objects={"value": {"fontSize": 20, "labelDisplayUnits": 1}},
    )


PAGE: Final = Page(
    key="stocks",
    title="Stocks",
    width=1280,
    height=720,
    visuals=[
        Visual(
            "heading",
            "textbox",
            Box(16, 12, 180, 52),
            "Heading",
            objects={"heading": {"text": "Stocks"}},
        ),
        _text_card(
            "published",
            Box(204, 12, 520, 52),
            measure("gold_kpi", "Published"),
            "Build and time that the page shows, currency, and whether simulated data is left out",
        ),
        _text_card(
            "freshness",
            Box(732, 12, 524, 52),
            measure("gold_freshness", "Freshness"),
            "Whether the data is fresh: sessions missed, feeds that are behind, age",
        ),
        Visual(
            "slicer",
            "slicer",
            Box(16, 76, 180, 84),
            "Choose one symbol",
            roles={"Values": [_SYMBOL]},
            filters=[Filter(measure("gold_kpi", "Has price"), 1)],
            objects={
                "data": {"mode": "Dropdown"},
                # One always is: where none is chosen, Power BI takes the first.
                "selection": {"singleSelect": True, "strictSingleSelect": True},
                "header": {"show": True, "text": "Symbol"},
            },
        ),
        *(_card(number, name, alt) for number, (name, alt) in enumerate(_CARDS.items())),
        Visual(
            "candles",
            DENEB,
            Box(16, 172, 800, 532),
            "Candles of the chosen symbol, a day each, the newest 120",
            roles={
                "dataset": [
                    column("gold_candlestick", "bar_start_at"),
                    *(measure("gold_candlestick", name) for name in candle.FIELDS[1:]),
                ]
            },
            title="Daily candles, as traded; faint while forming",
            # Deneb is given so many rows and no more: the oldest are those that it misses.
            sort=(column("gold_candlestick", "bar_start_at"), True),
            filters=[Filter(column("gold_candlestick", "candle_interval"), "1d")],
        ),
        Visual(
            "treemap",
            "treemap",
            Box(824, 172, 432, 262),
            "Tree map of traded value by sector and symbol",
            roles={
                "Group": [column("dim_instrument", "sector")],
                "Details": [_SYMBOL],
                "Values": [measure("gold_treechart", "Traded value")],
            },
            title=measure("gold_treechart", "Traded value title"),
        ),
        Visual(
            "change",
            "clusteredBarChart",
            Box(824, 442, 432, 262),
            "Bars of the change in percent, by symbol",
            roles={
                "Category": [_SYMBOL],
                "Y": [measure("gold_kpi", "Change %")],
                "Tooltips": [measure("gold_kpi", "Price"), measure("gold_kpi", "Price session")],
            },
            title="Change by symbol, against the close before",
            sort=(measure("gold_kpi", "Change %"), True),
            objects={"labels": {"show": True}, "valueAxis": {"show": False}},
        ),
    ],
    # On every fact that the page shows: a filter on one table does not reach another.
    filters=[
        Filter(column(fact.name, "simulated"), value=False)
        for fact in (KPI, CANDLES, TILES, FRESHNESS)
    ],
    # The market stays in view whatever symbol is chosen, and a click in it contradicts no slicer.
    unaffected=[
        ("slicer", "treemap"),
        ("slicer", "change"),
        *(
            (source, target)
            for source in ("treemap", "change")
            for target in (*(f"card {name}" for name in _CARDS), "candles", "slicer", "published")
        ),
        ("treemap", "change"),
        ("change", "treemap"),
    ],
)
