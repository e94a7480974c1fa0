"""Published gold: which build readers see, what its feeds were, the newest of each symbol in it."""

from collections.abc import Iterator
from datetime import UTC
from typing import Any, Final

from prometheus_client.core import Metric

from dbt_stocks.reader import GoldReader
from infra.prometheus.exporter.newest import Freshness, Newest, add, series
from infra.prometheus.exporter.source import gauge, one, seconds

_BUILD: Final = "select as_of, finished_at, publication from ops.builds"
_ROWS: Final = """
    select table_name, estimated_size from duckdb_tables() where schema_name = 'gold'
    order by table_name
"""
_FEEDS: Final = """
    select source, feed, simulated, status, lag_sessions, last_event_at
    from gold.gold_freshness order by all
"""
_STATUSES: Final = ("ok", "late", "stale", "unscheduled")
_NEWEST: Final = (
    "select 'bars' as feed, source, simulated, symbol, max(open_at) as newest_at "
    "from gold.gold_daily_metrics group by all",
    "select 'trades' as feed, source, simulated, symbol, max(window_end_at) as newest_at "
    "from gold.gold_intraday_window_metrics group by all",
    # The only mart with quotes tells their age at the build's now.
    "select 'quotes' as feed, kpi.source, kpi.simulated, kpi.symbol, "
    "builds.as_of - to_seconds(kpi.quote_age_s) as newest_at "
    "from gold.gold_kpi as kpi cross join ops.builds as builds where kpi.quote_age_s is not null",
)


class Gold:
    """The file behind ``current``."""

    name = "gold"

    def __init__(self, reader: GoldReader, freshness: Freshness) -> None:
        self._reader = reader
        self._freshness = freshness

    def read(self) -> Iterator[Metric]:
        """Return the build's metrics, all of one build.

        Raises:
            BuildError: nothing has been published.
        """
        with self._reader.pinned() as build:
            [shown] = build.query(_BUILD)
            rows, feeds = build.query(_ROWS), build.query(_FEEDS)
            newest = [row for query in _NEWEST for row in build.query(query)]
        text = "When the build that readers see was published"
        yield one("gold_published_timestamp_seconds", text, seconds(shown["finished_at"]))
        yield one(
            "gold_publication", "Its number: each publication has the next", shown["publication"]
        )
        if shown["as_of"] is not None:
            text = "What was now for the build: the newest fetch in its data"
            yield one("gold_as_of_timestamp_seconds", text, seconds(shown["as_of"]))
        yield gauge(
            "gold_rows",
            "Rows of each mart",
            ("mart",),
            [((row["table_name"],), row["estimated_size"]) for row in rows],
        )
        yield from _feeds(feeds)
        yield from self._freshness.metrics("gold", _newest(newest))


def _feeds(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    labels = ("source", "feed", "simulated")
    keys = [(r["source"], r["feed"], str(r["simulated"]).lower()) for r in rows]
    yield gauge(
        "gold_feed_lag_sessions",
        "Sessions that a feed lacked at the build's now",
        labels,
        [(key, row["lag_sessions"]) for key, row in zip(keys, rows, strict=True)],
    )
    yield gauge(
        "gold_feed_status",
        "1 for what the build found a feed to be: ok, late, stale; a replay is unscheduled",
        (*labels, "status"),
        [
            ((*key, status), status == row["status"])
            for key, row in zip(keys, rows, strict=True)
            for status in _STATUSES
        ],
    )


def _newest(rows: list[dict[str, Any]]) -> Newest:
    newest: Newest = {}
    for row in rows:
        key = series(row["feed"], row["source"], row["simulated"], row["symbol"])
        add(newest, key, row["newest_at"].replace(tzinfo=UTC))
    return newest
