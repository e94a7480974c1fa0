"""What the daily marts must hold, by numpy, quantstats and exchange_calendars.

Imports nothing of the project. ``bars`` is one instrument's, in order of session: session_date,
open, high, low, close, volume, split_ratio (1 where none) and dividend (0 where none), as traded.
"""

import exchange_calendars
import numpy as np
import pandas as pd
import quantstats

YEAR = 252
Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def sessions(first: str, last: str) -> pd.DataFrame:
    """Return the exchange's sessions with their hours."""
    schedule = exchange_calendars.get_calendar("XNYS", start=first, end=last).schedule
    return pd.DataFrame(
        {
            "session_date": schedule.index,
            "open_at": schedule["open"].dt.tz_localize(None),
            "close_at": schedule["close"].dt.tz_localize(None),
        }
    ).reset_index(drop=True)


def adjustment(bars: pd.DataFrame, convention: str) -> pd.DataFrame:
    """Return both factors of every session, going back from the last one, where they are 1.

    ``crsp``: a dividend takes ``d / close before`` off, which is d per new share times the ratio on
    the basis of the close before. ``alphavantage``: it divides by ``1 + d / close of the ex-date``.
    """
    close, ratio = bars.close.to_numpy(float), bars.split_ratio.to_numpy(float)
    dividend = bars.dividend.to_numpy(float)
    splits, dividends = np.ones(len(bars)), np.ones(len(bars))
    for day in range(len(bars) - 1, 0, -1):
        splits[day - 1] = splits[day] / ratio[day]
        if convention == "crsp":
            kept = 1 - dividend[day] * ratio[day] / close[day - 1]
        else:
            kept = 1 / (1 + dividend[day] / close[day])
        dividends[day - 1] = dividends[day] * kept
    return pd.DataFrame(
        {
            "session_date": bars.session_date.to_numpy(),
            "split_factor": splits,
            "dividend_factor": dividends,
        }
    )


def adjusted_close(bars: pd.DataFrame) -> pd.Series:
    """Return closes of a holding with its dividends reinvested (crsp), by session."""
    factors = adjustment(bars, "crsp")
    values = bars.close.to_numpy(float) * factors.split_factor * factors.dividend_factor
    return pd.Series(values.to_numpy(), index=pd.DatetimeIndex(bars.session_date))


def returns(bars: pd.DataFrame) -> pd.Series:
    """Return total returns against the session before; missing where that one has no bar."""
    prices = adjusted_close(bars)
    days = exchange_calendars.get_calendar("XNYS", start=prices.index[0], end=prices.index[-1])
    found: pd.Series = prices.reindex(days.sessions).pct_change(fill_method=None)
    return found[prices.index]


def volatility(bars: pd.DataFrame, window: int) -> pd.Series:
    """Return quantstats' rolling volatility of log returns; a window needs all its returns."""
    logs = np.log1p(returns(bars))
    rolled: pd.Series = quantstats.stats.rolling_volatility(
        logs, rolling_period=window, periods_per_year=YEAR, prepare_returns=False
    )
    return rolled


def drawdown(bars: pd.DataFrame) -> pd.DataFrame:
    """Return quantstats' drawdown series with its running minimum, and the days since the peak."""
    prices = adjusted_close(bars)
    falls = quantstats.stats.to_drawdown_series(prices)
    peaks = prices.index.to_series().where(prices >= prices.cummax() * (1 - 1e-15)).ffill()
    return pd.DataFrame(
        {
            "total_return_index": prices / prices.iloc[0],
            "drawdown": falls,
            "max_drawdown": falls.cummin(),
            "days_since_peak": (prices.index - pd.DatetimeIndex(peaks)).days,
        },
        index=prices.index,
    )


def market(returns: pd.DataFrame, at_least: int) -> pd.Series:
    """Return each session's mean of the returns that there are (sessions down, shares across)."""
    mean: pd.Series = returns.mean(axis=1).where(returns.notna().sum(axis=1) >= at_least)
    return mean


def beta(own: pd.Series, market_return: pd.Series) -> pd.Series:
    """Return numpy's covariance with the market by its variance, where 252 bars have both."""
    pairs = pd.concat([own, market_return.reindex(own.index)], axis=1).to_numpy()
    values = np.full(len(own), np.nan)
    for last in range(YEAR - 1, len(own)):
        window = pairs[last - YEAR + 1 : last + 1]
        if not np.isnan(window).any():
            moments = np.cov(window, rowvar=False, ddof=1)
            values[last] = moments[0, 1] / moments[1, 1]
    return pd.Series(values, index=own.index)


def year_range(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the highest and the lowest price of 252 bars, in shares of the window's last day."""
    ratios = np.cumprod(bars.split_ratio.to_numpy(float))
    high, low = bars.high.to_numpy(float) * ratios, bars.low.to_numpy(float) * ratios
    index = pd.DatetimeIndex(bars.session_date)
    return pd.DataFrame(
        {
            "high_52w_price": pd.Series(high).rolling(YEAR).max().to_numpy() / ratios,
            "low_52w_price": pd.Series(low).rolling(YEAR).min().to_numpy() / ratios,
        },
        index=index,
    )
