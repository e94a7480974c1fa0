"""What tables of the lake say now, as rows by key; imports nothing of ours."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from drill.stream.expected import Expected
from drill.stream.judge import Row, Table, differences

_SESSION: Final = ("symbol", "source", "session_date")
_BAR: Final = (*_SESSION, "interval", "segment", "start_at")
BATCH: Final[Mapping[str, tuple[str, ...]]] = {
    "metrics.realtime_stock_analytics": (*_SESSION, "window_end_at"),
    "metrics.trade_bars": _BAR,
    "metrics.daily_stock_metrics": _SESSION,
    "metrics.anomalies": (*_SESSION, "rule", "subject"),
}
STREAM: Final[Mapping[str, tuple[str, ...]]] = {
    "metrics.realtime_stock_analytics_stream": (*_SESSION, "window_end_at"),
    "metrics.trade_bars_stream": _BAR,
}
"""The tables by name, with what tells their rows apart."""
# When and from what a value was computed is no value.
_BESIDES: Final = ("revision", "as_of", "computed_at")


def current(rows: Iterable[Row], keys: tuple[str, ...]) -> Table:
    """Return each key's row of the highest revision, without those of which nothing is left."""
    newest: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        plain = {name: _plain(value) for name, value in row.items()}
        key = tuple(plain[name] for name in keys)
        if key not in newest or newest[key]["revision"] < plain["revision"]:
            newest[key] = plain
    return {key: row for key, row in newest.items() if _is_left(row)}


def _is_left(row: Row) -> bool:
    return bool(row.get("n_trades", 1)) and row.get("value", 0) is not None


def _plain(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def batch_differences(found: Mapping[str, Table], wanted: Expected) -> list[str]:
    """Return where the batch's tables, by name, are not what brute force says."""
    parts = (wanted.windows, wanted.bars, wanted.daily, wanted.anomalies)
    pairs = zip(BATCH, parts, strict=True)
    return [said for name, part in pairs for said in differences(name, found[name], part)]


def stream_differences(found: Mapping[str, Table], wanted: Expected) -> list[str]:
    """Return where the stream's tables are not what brute force says."""
    parts = (wanted.windows, of_minutes(wanted.bars))
    pairs = zip(STREAM, parts, strict=True)
    return [said for name, part in pairs for said in differences(name, found[name], part)]


def disagreements(found: Mapping[str, Table]) -> list[str]:
    """Return where the stream's tables are not as the batch's, in any column but the run's own."""
    said = []
    for mine, theirs in zip(STREAM, list(BATCH)[: len(STREAM)], strict=True):
        batch = found[theirs] if "bars" not in theirs else of_minutes(found[theirs])
        values = {
            key: {name: value for name, value in row.items() if name not in _BESIDES}
            for key, row in batch.items()
        }
        said += differences(f"{mine} beside {theirs}", found[mine], values)
    return said


def of_minutes(bars: Table) -> Table:
    """Return the bars that the stream makes, too."""
    return {key: row for key, row in bars.items() if key[len(_SESSION)] == "1m"}
