"""Daily metrics and technical indicators by Polars, out of the same lake files as our marts.

Definitions are written anew, and nothing of the project is imported: it is a second opinion on the
values, too. Arguments: the folder of the lake's files, the seed of sessions, the file to write.
"""

import json
import sys
import time
from pathlib import Path
from typing import Final

import polars as pl

_GROUP: Final = "symbol"
_SMA: Final = (5, 10, 15, 20, 30, 50, 200)
_EMA: Final = (12, 20, 26, 50, 200)
_YEAR: Final = 252
# Of fewer instruments there is no market.
_MARKET: Final = 3
# Of equal actions that follow each other within five days the last one counts.
_ACTION: Final = (_GROUP, "type", "ratio", "amount")
_is_told_again: Final = (
    pl.col("session_date").shift(-1).over(*_ACTION) <= pl.col("session_date").dt.offset_by("5d")
).fill_null(value=False)


def main(lake: Path, sessions: Path, out: Path) -> None:
    """Compute the columns and say when that began and ended, and how many rows there are."""
    begin = time.time()
    rows = indicators(metrics(read(lake, sessions))).collect()
    rows.write_parquet(out)
    sys.stdout.write(json.dumps({"begin": begin, "end": time.time(), "rows": rows.height}) + "\n")


def read(lake: Path, sessions: Path) -> pl.LazyFrame:
    """Return the sound bars, by symbol and session, with the day's split and dividend."""
    bars = pl.scan_parquet(lake / "*" / "bars" / "*.parquet").filter(
        (pl.col("low") > 0)
        & (pl.col("low") <= pl.min_horizontal("open", "close"))
        & (pl.max_horizontal("open", "close") <= pl.col("high"))
    )
    actions = (
        pl.scan_parquet(lake / "*" / "corporate_actions" / "*.parquet")
        .sort(_GROUP, "session_date")
        .filter(~_is_told_again)
        .group_by(_GROUP, "session_date")
        .agg(pl.col("ratio").max().cast(pl.Float64), pl.col("amount").max().cast(pl.Float64))
    )
    numbers = pl.scan_csv(sessions, try_parse_dates=True).select("session_date", "session_number")
    prices = [pl.col(name).cast(pl.Float64) for name in ("open", "high", "low", "close")]
    return (
        bars.select(_GROUP, "session_date", "volume", *prices)
        .join(numbers, on="session_date")
        .join(actions, on=[_GROUP, "session_date"], how="left")
        .with_columns(pl.col("ratio").fill_null(1.0), pl.col("amount").fill_null(0.0))
        .sort(_GROUP, "session_date")
    )


def metrics(days: pl.LazyFrame) -> pl.LazyFrame:
    """Add what ``gold_daily_metrics`` has: returns by the CRSP convention, volatility, beta."""
    previous = pl.col("close").shift(1).over(_GROUP)
    number = pl.col("session_number")
    returns = (
        days.with_columns(
            previous_close_price=previous,
            n_sessions_since_previous=number - number.shift(1).over(_GROUP),
        )
        .with_columns(
            base=pl.when(pl.col("n_sessions_since_previous") == 1).then("previous_close_price")
        )
        .with_columns(
            # A dividend that is not smaller than the price before it is an error of its source.
            rest=pl.when(pl.col("amount") * pl.col("ratio") < pl.col("base")).then(
                pl.col("base") - pl.col("amount") * pl.col("ratio")
            ),
            worth=pl.col("close") * pl.col("ratio"),
        )
        .with_columns(
            price_return_1d=pl.col("worth") / pl.col("base") - 1,
            return_1d=pl.col("worth") / pl.col("rest") - 1,
            return_1d_log=(pl.col("worth") / pl.col("rest")).log(),
            gap_return=pl.col("open") * pl.col("ratio") / pl.col("base") - 1,
            range_price=pl.col("high") - pl.col("low"),
            dollar_volume=pl.col("close") * pl.col("volume"),
        )
        .with_columns(
            dollar_volume_avg_20d=pl.col("dollar_volume").rolling_mean(20).over(_GROUP),
            **{
                f"volatility_{n}d": pl.col("return_1d_log").rolling_std(n).over(_GROUP) * 252**0.5
                for n in (20, 60)
            },
        )
    )
    return _with_beta(returns)


def _with_beta(returns: pl.LazyFrame) -> pl.LazyFrame:
    """Add the mean return of all instruments of a session, and each one's beta to it."""
    own = pl.col("return_1d")
    counted = returns.with_columns(n_market_instruments=own.count().over("session_date"))
    compared = counted.with_columns(
        market_return_1d=pl.when(pl.col("n_market_instruments") >= _MARKET).then(
            own.mean().over("session_date")
        )
    ).with_columns(market=pl.when(own.is_not_null()).then("market_return_1d"))
    beta = pl.rolling_cov(own, pl.col("market"), window_size=_YEAR) / pl.col("market").rolling_var(
        _YEAR
    )
    return compared.with_columns(beta_252d=beta.over(_GROUP))


def indicators(days: pl.LazyFrame) -> pl.LazyFrame:
    """Add what ``gold_technical_indicators`` has, in shares of each row's day."""
    total = pl.col("total")
    moved = _moved(
        days.with_columns(
            total=pl.col("ratio").cum_prod().over(_GROUP),
            n=pl.int_range(1, pl.len() + 1).over(_GROUP),
        )
    )
    smoothed = moved.with_columns(
        **{f"ema_{span}": _smoothed("value", span, 2 / (span + 1)) for span in _EMA},
        gains=_smoothed("gain", 15, 1 / 14),
        losses=_smoothed("loss", 15, 1 / 14),
        atr_14=_smoothed("range", 15, 1 / 14) / total,
        deviation=pl.col("value").rolling_std(20, ddof=0).over(_GROUP),
        obv_shares=pl.col("flow").cum_sum().over(_GROUP) * total,
        **{f"sma_{n}": pl.col("value").rolling_mean(n).over(_GROUP) / total for n in _SMA},
    ).with_columns(macd=pl.col("ema_12") - pl.col("ema_26"))
    return smoothed.with_columns(
        macd_signal=_smoothed("macd", 34, 0.2) / total,
        macd_line=pl.col("macd") / total,
        rsi_14=100 * (pl.col("gains") / (pl.col("gains") + pl.col("losses"))).fill_nan(None),
        bollinger_middle=pl.col("sma_20"),
        bollinger_upper=pl.col("sma_20") + 2 * pl.col("deviation") / total,
        bollinger_lower=pl.col("sma_20") - 2 * pl.col("deviation") / total,
        **{f"ema_{span}": pl.col(f"ema_{span}") / total for span in _EMA},
    ).with_columns(macd_histogram=pl.col("macd_line") - pl.col("macd_signal"))


def _moved(days: pl.LazyFrame) -> pl.LazyFrame:
    total = pl.col("total")
    valued = days.with_columns(
        value=pl.col("close") * total, top=pl.col("high") * total, floor=pl.col("low") * total
    )
    before = pl.col("value").shift(1).over(_GROUP)
    changed = valued.with_columns(before=before, change=pl.col("value") - before)
    shares = pl.col("volume") / total
    return changed.with_columns(
        gain=pl.col("change").clip(lower_bound=0),
        loss=-pl.col("change").clip(upper_bound=0),
        range=pl.when(pl.col("before").is_not_null()).then(
            pl.max_horizontal("top", "before") - pl.min_horizontal("floor", "before")
        ),
        flow=pl.when(pl.col("n") == 1).then(shares).otherwise(pl.col("change").sign() * shares),
    )


def _smoothed(name: str, first: int, weight: float) -> pl.Expr:
    """Begin with the mean of the values up to bar ``first``, then y += weight * (x - y)."""
    value, number = pl.col(name), pl.col("n")
    mean = pl.when(number <= first).then(value).mean()
    seeded = pl.when(number == first).then(mean).when(number > first).then(value)
    return seeded.ewm_mean(alpha=weight, adjust=False, ignore_nulls=True).over(_GROUP)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
