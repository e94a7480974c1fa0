"""Minutes of trades to trailing windows of 15 minutes and one hour, on each 5-minute end.

A window is ``[end - w, end)``, cut at its session's open. Only regular hours ``[open, close)``
enter one.

A window merges the moments of its minutes (see ``minutes``); between minutes, prices become floats
as exact differences to the lowest price of the window's first. Every shuffle is by symbol, source
and session and every float is summed in one order, so that the same trades in a window give the
same bits.
"""

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from spark_jobs.schemas import COMPUTED_LATER, VOLUME_SUM, WINDOW_METRICS
from spark_jobs.transforms.minutes import KEYS, exact_difference, micros
from spark_jobs.transforms.segments import CLOSING, MINUTE_US, REGULAR

_GRID_MINUTES: Final = 5
_WIDTHS: Final = {"15m": 15, "1h": 60}
_LONGEST: Final = max(_WIDTHS.values())
_PERIODS: Final = (5, 15, 30)


def window_metrics(minutes: DataFrame) -> DataFrame:
    """Return one row per symbol, source, session with a trade, and 5-minute end in the session.

    Args:
        minutes: columns of ``minutes.COLUMNS``, whole sessions.
    """
    regular = _with_closing(minutes).where(F.col("segment") == REGULAR)
    merged = _by_end(regular).transform(_means).transform(_merged).transform(_period_means)
    return merged.select(*_columns()).select(
        *(name for name in WINDOW_METRICS.columns if name not in COMPUTED_LATER)
    )


def _with_closing(minutes: DataFrame) -> DataFrame:
    """Add the price of the closing auction, where it was printed after the close."""
    is_closing = F.col("segment") == CLOSING
    last = F.max_by(F.when(is_closing, F.col("close")), F.when(is_closing, F.col("minute")))
    return minutes.withColumn("auction", last.over(Window.partitionBy(*KEYS)))


def _by_end(minutes: DataFrame) -> DataFrame:
    """Repeat each minute for every end whose window it lies in.

    The session's first minute also stands, with ``inside`` false, for every end of the session:
    an end without a trade in its window has its row too.
    """
    session = Window.partitionBy(*KEYS)
    first = F.row_number().over(session.orderBy("minute")) == 1
    grid, longest = F.lit(_GRID_MINUTES), F.lit(_LONGEST)
    # A close off the grid is rounded up.
    last = (F.ceil(F.col("n_minutes") / grid) * grid).cast("int")
    nearest = (F.floor(F.col("minute") / grid) * grid + grid).cast("int")
    furthest = F.least((F.floor((F.col("minute") + longest) / grid) * grid).cast("int"), last)
    own = F.transform(F.sequence(nearest, furthest, grid), lambda end: _place(end, True))
    every = F.transform(F.sequence(grid, last, grid), lambda end: _place(end, False))
    numbered = minutes.withColumns(
        {
            "simulated": F.bool_or("simulated").over(session),
            "as_of": F.max("as_of").over(session),
            "is_first": first,
        }
    )
    places = F.when(F.col("is_first"), F.concat(own, every)).otherwise(own)
    return numbered.select("*", F.inline(places))


def _place(end: Column, inside: bool) -> Column:
    return F.struct(end.alias("end"), F.lit(inside).alias("inside"))


def _inside(width: int) -> Column:
    return F.col("inside") & (F.col("minute") >= F.col("end") - F.lit(width))


def _means(by_end: DataFrame) -> DataFrame:
    """Add each window's means, prices relative to the lowest of its first minute."""
    window = (
        Window.partitionBy(*KEYS, "end")
        .orderBy("inside", "minute")
        .rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    )
    anchor = F.first(F.when(F.col("inside"), F.col("low")), ignorenulls=True).over(window)
    moved = by_end.withColumn("level", anchor)
    away = exact_difference("low", "level")
    moved = moved.withColumns({"above": away, "mean": F.col("mean") + away})
    means = {}
    for name, width in _WIDTHS.items():
        for mean, count in (("mean", "n"), ("rmean", "rn")):
            weighted = F.sum(F.when(_inside(width), F.col(mean) * F.col(count))).over(window)
            total = F.sum(F.when(_inside(width), F.col(count))).over(window)
            means[f"{mean}_{name}"] = F.try_divide(weighted, total.cast("double"))
    return moved.withColumns(means)


def _merged(by_end: DataFrame) -> DataFrame:
    session = (*KEYS, "open_at", "n_minutes", "simulated", "as_of", "end")
    # The close of the 5-minute bar that ends here; of the last one it is the closing auction's.
    in_bar = F.col("inside") & (F.col("minute") >= F.col("end") - F.lit(_GRID_MINUTES))
    close = F.max_by(F.when(in_bar, F.col("close")), F.when(in_bar, F.col("minute")))
    auction = F.first(F.when(F.col("end") >= F.col("n_minutes"), F.col("auction")))
    parts = [
        F.first("level", ignorenulls=True).alias("level"),
        F.coalesce(auction, close).alias("close"),
    ]
    for name, width in _WIDTHS.items():
        parts += _window_parts(name, width)
    return by_end.groupBy(*session).agg(*parts)


def _window_parts(name: str, width: int) -> list[Column]:
    inside = _inside(width)
    away, raway = F.col("mean") - F.col(f"mean_{name}"), F.col("rmean") - F.col(f"rmean_{name}")
    value = F.col("dv") + F.col("volume").cast("double") * F.col("above")
    parts = {
        "minutes": F.count_if(inside),
        "n": F.coalesce(F.sum(F.when(inside, F.col("n"))), F.lit(0)),
        "rn": F.coalesce(F.sum(F.when(inside, F.col("rn"))), F.lit(0)),
        "mean": F.first(F.col(f"mean_{name}")),
        "low": F.min(F.when(inside, F.col("low"))),
        "high": F.max(F.when(inside, F.col("high"))),
        "ss": F.sum(F.when(inside, F.col("ss") + F.col("n") * away * away)),
        "rss": F.sum(F.when(inside, F.col("rss") + F.col("rn") * raway * raway)),
        "volume": F.coalesce(F.sum(F.when(inside, F.col("volume"))), F.lit(0)).cast(VOLUME_SUM),
        "value": F.sum(F.when(inside, value)),
    }
    return [column.alias(f"{part}_{name}") for part, column in parts.items()]


def _period_means(merged: DataFrame) -> DataFrame:
    """Add the mean of the last n closes of 5-minute bars with a trade; NULL until there are n."""
    so_far = Window.partitionBy(*KEYS).orderBy("end").rowsBetween(Window.unboundedPreceding, 0)
    with_closes = merged.withColumn("closes", F.collect_list("close").over(so_far))
    means = {f"ma_{n}_periods": _mean_of_last(n) for n in _PERIODS}
    return with_closes.withColumns(means).drop("closes")


def _mean_of_last(n: int) -> Column:
    last = F.slice("closes", -n, n)
    total = F.aggregate(
        last, F.lit(0).cast(VOLUME_SUM), lambda sum_, x: (sum_ + x).cast(VOLUME_SUM)
    )
    return F.when(F.size("closes") >= n, total.cast("double") / F.lit(float(n)))


def _columns() -> list[Column]:
    end_at = _after_open(F.col("end"))
    columns = [
        *(F.col(name) for name in ("symbol", "source", "simulated", "session_date", "as_of")),
        *(F.col(f"ma_{n}_periods") for n in _PERIODS),
        end_at.alias("window_end_at"),
    ]
    for name, width in _WIDTHS.items():
        columns += _window_columns(name, width)
    return columns


def _window_columns(name: str, width: int) -> list[Column]:
    start = F.greatest(F.col("end") - F.lit(width), F.lit(0))
    length = (F.least("end", "n_minutes") - start).cast("double")
    volume, level = F.col(f"volume_{name}"), F.col("level").cast("double")
    # Of one and the same price a mean of floats is not always that price.
    is_flat = F.col(f"low_{name}") == F.col(f"high_{name}")
    spread = F.when(is_flat, 0.0).otherwise(F.col(f"ss_{name}"))
    found = {
        f"window_{name}_start_at": _after_open(start),
        f"ma_{name}": level + F.col(f"mean_{name}"),
        f"volatility_{name}": _deviation(spread, f"n_{name}"),
        f"return_volatility_{name}": _deviation(F.col(f"rss_{name}"), f"rn_{name}"),
        f"vwap_{name}": level + F.try_divide(F.col(f"value_{name}"), volume.cast("double")),
        f"volume_sum_{name}": volume,
        f"n_obs_{name}": F.col(f"n_{name}"),
        f"coverage_{name}": F.col(f"minutes_{name}").cast("double") / length,
        f"is_partial_{name}": F.col("end") < F.lit(width),
    }
    return [column.alias(alias) for alias, column in found.items()]


def _deviation(squares: Column, count: str) -> Column:
    """Return the sample standard deviation; NULL below two observations."""
    n = F.col(count)
    return F.when(n > 1, F.sqrt(squares / (n - 1).cast("double")))


def _after_open(minutes: Column) -> Column:
    return F.timestamp_micros(micros("open_at") + minutes.cast("bigint") * F.lit(MINUTE_US))
