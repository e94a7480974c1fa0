"""Tables that dbt derives: which rows each must have, from the tables that it is made of.

Keys, not values: one row per key, none without its source. What a row says is the tests' matter.
"""

from datetime import datetime
from typing import NamedTuple

from audit.model import EXAMPLES, Check, Status, bad, good
from audit.warehouse import Warehouse

BUILDS = "ops.builds"
_BARS, _ACTIONS = "silver.silver_bars", "silver.silver_corporate_actions"
_DAILY_BARS, _QUOTES = "silver.silver_daily_bars", "silver.silver_quotes"
_MINUTE_BARS = "silver.silver_minute_bars"
_METRICS = "common.daily_stock_metrics_raw"
_WINDOWS = "common.realtime_stock_analytics_raw"
_TRADE_BARS, _ANOMALIES = "common.trade_bars_raw", "common.anomalies_raw"
_INSTRUMENTS, _SESSIONS = "reference.instruments", "reference.sessions"


class Derived(NamedTuple):
    """A table, the key of its rows, and the query that names the keys that it must have.

    ``{built}`` stands for the start of the last build: what was loaded later is not in it.
    """

    check: str
    relation: str
    key: str
    sources: tuple[str, ...]
    query: str


_DAY = "instrument_id || ' ' || session_date::varchar"
_MONDAY = "date_trunc('week', session_date)::date::varchar"
# The exchange's day of the build's now: that of the last session whose day had begun.
_TODAY = f"""(
    select max(session_date) from {_SESSIONS} where day_start_at <= (
        select max_by(as_of, started_at) from {BUILDS} where status = 'published'))"""  # noqa: S608 - constants
_EACH_BAR = f"select {_DAY} from {_DAILY_BARS}"  # noqa: S608 - constants
_TRADE_BAR = (
    "concat_ws(' ', symbol, source, session_date::date::varchar, {}, segment,"
    " start_at::timestamp::varchar)"
)
_ANOMALY = "concat_ws(' ', symbol, source, session_date::date::varchar, rule, subject)"
# What an instrument that is known, and a session, has; the rest is shown to nobody.
_KNOWN = f"""
    semi join {_SESSIONS} as s on r.session_date = s.session_date
    semi join {_INSTRUMENTS} as i on r.symbol = i.symbol and r.session_date >= i.valid_from
        and r.session_date <= coalesce(i.valid_to, date '9999-12-31')
    where r.loaded_at < {{built}}
"""

SILVER = (
    Derived(
        "silver.daily_bars",
        _DAILY_BARS,
        _DAY,
        (_BARS,),
        f"select {_DAY} from {_BARS} where is_current and bar_interval = '1d'",  # noqa: S608
    ),
    Derived(
        "silver.daily_actions",
        "silver.silver_daily_actions",
        _DAY,
        (_ACTIONS,),
        f"select instrument_id || ' ' || ex_date::varchar from {_ACTIONS} where is_current",  # noqa: S608
    ),
    Derived(
        "silver.trade_bars",
        "silver.silver_trade_bars",
        _TRADE_BAR.format("bar_interval"),
        (_TRADE_BARS, _INSTRUMENTS, _SESSIONS),
        f"""select {_TRADE_BAR.format('"interval"')} from {_TRADE_BARS} as r {_KNOWN}""",  # noqa: S608
    ),
)
GOLD = (
    Derived(
        "gold.daily",
        "gold.daily_stock_metrics",
        "symbol || ' ' || session_date::varchar",
        (_METRICS, _BARS),
        f"""
        select symbol || ' ' || session_date::varchar from {_METRICS}
        where loaded_at < {{built}} and bar_event_id in (select event_id from {_BARS})
        """,  # noqa: S608
    ),
    Derived(
        "gold.windows",
        "gold.realtime_stock_analytics",
        "symbol || ' ' || window_1h_end::timestamp::varchar",
        (_WINDOWS, _INSTRUMENTS, _SESSIONS),
        f"select symbol || ' ' || window_end_at::timestamp::varchar from {_WINDOWS} as r {_KNOWN}",  # noqa: S608
    ),
    Derived(
        "gold.anomalies",
        "gold.gold_anomalies",
        _ANOMALY,
        (_ANOMALIES, _INSTRUMENTS, _SESSIONS),
        f"""
        select {_ANOMALY} from {_ANOMALIES} as r {_KNOWN}
        group by all having arg_max(value is null, revision) = false
        """,  # noqa: S608
    ),
    Derived("gold.marts", "gold.gold_daily_metrics", _DAY, (_DAILY_BARS,), _EACH_BAR),
    Derived("gold.marts", "gold.gold_drawdown", _DAY, (_DAILY_BARS,), _EACH_BAR),
    Derived("gold.marts", "gold.gold_treechart", _DAY, (_DAILY_BARS,), _EACH_BAR),
    Derived(
        "gold.marts",
        "gold.gold_candlestick",
        f"instrument_id || ' ' || candle_interval || ' ' || case candle_interval when '1d'"
        f" then session_date::date::varchar when '1w' then {_MONDAY}"
        " else bar_start_at::timestamp::varchar end",
        (_DAILY_BARS, _MINUTE_BARS),
        f"""
        with days as (
            select instrument_id, session_date from {_DAILY_BARS} union
            select instrument_id, session_date from {_MINUTE_BARS} where open_price is not null)
        select instrument_id || ' 1d ' || session_date::date::varchar from days union
        select instrument_id || ' 1w ' || {_MONDAY} from days union
        select instrument_id || ' ' || name || ' '
            || (open_at + to_minutes(minute_number // width * width))::timestamp::varchar
        from {_MINUTE_BARS}, (
            values ('1m', 1), ('5m', 5), ('15m', 15), ('1h', 60), ('4h', 240)) as each (name, width)
        where open_price is not null
        """,  # noqa: S608
    ),
    Derived(
        "gold.marts",
        "gold.gold_kpi",
        "instrument_id",
        (_DAILY_BARS, _QUOTES, _INSTRUMENTS, _SESSIONS, BUILDS),
        f"""
        select instrument_id from {_INSTRUMENTS}
        where {_TODAY} between valid_from and coalesce(valid_to, date '9999-12-31')
            and instrument_id in (
                select instrument_id from {_DAILY_BARS} union select instrument_id from {_QUOTES})
        """,  # noqa: S608
    ),
    Derived(
        "gold.marts",
        "gold.dim_instrument",
        "instrument_sk",
        (_INSTRUMENTS,),
        f"select instrument_sk from {_INSTRUMENTS}",  # noqa: S608
    ),
    Derived(
        "gold.marts",
        "gold.dim_session",
        "mic || ' ' || session_date::varchar",
        (_SESSIONS,),
        f"select mic || ' ' || session_date::varchar from {_SESSIONS}",  # noqa: S608
    ),
)


class Build(NamedTuple):
    """When the last published build began (UTC), and whether a later one was not published."""

    started_at: datetime | None
    is_superseded: bool

    def instant(self) -> str:
        """Return the start as SQL; before everything where there is no build."""
        return f"timestamp '{self.started_at or '-infinity'}'"


def last_build(warehouse: Warehouse) -> Build:
    """Return what `ops.builds` says."""
    if not warehouse.has(BUILDS):
        return Build(None, is_superseded=False)
    ((published, last),) = warehouse.rows(
        f"select max(started_at) filter (status = 'published'), max(started_at) from {BUILDS}"  # noqa: S608 - a constant
    )
    return Build(published, is_superseded=last != published)


def judge(warehouse: Warehouse, tables: tuple[Derived, ...]) -> list[Check]:
    """Compare the keys of each table with those that its sources call for."""
    build = last_build(warehouse)
    return [_one(warehouse, table, build) for table in tables]


def _one(warehouse: Warehouse, table: Derived, build: Build) -> Check:
    invariant = "one row per key of its sources, and no other"
    found = _differences(warehouse, table, build)
    if not found:
        return good(table.check, invariant, detail=table.relation)
    key, is_wanted, rows = found[0]
    text = f"{table.relation}: {key}: {'one row' if is_wanted else 'no row'} expected, {rows} found"
    examples = [row[0] for row in found[:EXAMPLES]]
    status, why = _status(build)
    return bad(table.check, invariant, text + why, examples, status=status, differences=len(found))


def _status(build: Build) -> tuple[Status, str]:
    if build.started_at is None:
        return "behind", "; nothing has been published yet"
    # A build that failed has renewed some of silver and left gold as it was.
    if build.is_superseded:
        return "behind", "; the last build was not published"
    return "violated", ""


def _differences(warehouse: Warehouse, table: Derived, build: Build) -> list[tuple[str, bool, int]]:
    """Return keys that are missing, doubled or uncalled for: name, whether called for, rows."""
    query = table.query.format(built=build.instant())
    nothing = "select null::varchar where false"
    are_there = all(warehouse.has(source) for source in table.sources)
    rows = f"select {table.key} from {table.relation}"  # noqa: S608 - constants
    return [
        (str(name), bool(is_wanted), int(count))
        for name, is_wanted, count in warehouse.rows(
            f"""
            with wanted(name) as ({query if are_there else nothing}),
            each_wanted as (select distinct coalesce(name, '?') as name from wanted),
            held(name) as ({rows if warehouse.has(table.relation) else nothing}),
            counted as (select coalesce(name, '?') as name, count(*) as n from held group by all)
            select coalesce(each_wanted.name, counted.name) as name,
                each_wanted.name is not null as is_wanted, coalesce(counted.n, 0) as n
            from each_wanted full join counted on each_wanted.name = counted.name
            where each_wanted.name is null or counted.n is distinct from 1
            order by name
            """  # noqa: S608 - constants
        )
    ]
