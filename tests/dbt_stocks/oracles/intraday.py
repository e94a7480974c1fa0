"""What candles and windows of a session must hold, by pandas, numpy and exchange_calendars.

Imports nothing of the project. ``minutes`` has a row for each minute bar that a source holds now:
symbol, source, made_of, simulated, session_date, start_at, open, high, low, close, volume, vwap,
n_trades, is_final, and settled_at: what its source waits for no more ends by then.
"""

import exchange_calendars
import numpy as np
import pandas as pd

WIDTHS = {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240}
WINDOWS = ("5m", "15m", "1h")
MAY_LAG = pd.Timedelta(minutes=15)
MINUTE = pd.Timedelta(minutes=1)


def hours(minutes: pd.DataFrame) -> pd.DataFrame:
    """Return the bars with their session's hours and the minute since its open."""
    first, last = minutes.session_date.min(), minutes.session_date.max()
    schedule = exchange_calendars.get_calendar("XNYS", start=first, end=last).schedule
    known = minutes.session_date.map(
        lambda day: schedule.loc[pd.Timestamp(day), ["open", "close"]].tolist()
    )
    found = minutes.copy()
    found["open_at"] = [opened.tz_localize(None) for opened, _ in known]
    found["close_at"] = [closed.tz_localize(None) for _, closed in known]
    found["minute"] = (found.start_at - found.open_at) // MINUTE
    return found


def chosen(minutes: pd.DataFrame, priority: list[str]) -> pd.DataFrame:
    """Return the bars of the one series that counts for each symbol and session."""
    kept = []
    for _, session in minutes.groupby(["symbol", "session_date"]):
        of_one_kind = session[session.simulated == session.simulated.min()]
        series = of_one_kind.groupby(["made_of", "source"])
        furthest, most = of_one_kind.start_at.max(), series.size().max()
        best = min(
            (
                bars.start_at.max() < furthest - MAY_LAG or 2 * len(bars) < most,
                made_of,
                priority.index(source),
                source,
            )
            for (made_of, source), bars in series
        )
        wanted = (of_one_kind.made_of == best[1]) & (of_one_kind.source == best[3])
        kept.append(of_one_kind[wanted])
    return hours(pd.concat(kept)).sort_values(["symbol", "start_at"])


def candles(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the candles of each width, and of the session, of chosen bars."""
    made = []
    for name, width in [*WIDTHS.items(), ("1d", 10_000)]:
        placed = bars.assign(step=bars.minute // width)
        for (symbol, day, step), part in placed.groupby(["symbol", "session_date", "step"]):
            start = part.open_at.iloc[0] + step * width * MINUTE
            end = min(start + width * MINUTE, part.close_at.iloc[0])
            made.append(
                {
                    "symbol": symbol,
                    "candle_interval": name,
                    "bar_start_at": start,
                    "bar_end_at": end,
                    "session_date": day,
                    "source": part.source.iloc[0],
                    "made_of": part.made_of.iloc[0],
                    "simulated": part.simulated.iloc[0],
                    "open_price": part.open.iloc[0],
                    "high_price": part.high.max(),
                    "low_price": part.low.min(),
                    "close_price": part.close.iloc[-1],
                    "volume_shares": part.volume.sum(),
                    "n_bars": len(part),
                    "n_bars_expected": (end - start) // MINUTE,
                    "is_final": bool(part.is_final.all() and part.settled_at.max() >= end),
                }
            )
    return pd.DataFrame(made)


def days(of_minutes: pd.DataFrame, daily: pd.DataFrame) -> pd.DataFrame:
    """Return one candle a day: real before simulated, finished first, a source's own then."""
    both = pd.concat([daily, of_minutes[of_minutes.candle_interval == "1d"]])
    ordered = both.assign(rank=both.made_of != "daily_bars", open=~both.is_final).sort_values(
        ["simulated", "open", "rank"]
    )
    return (
        ordered.groupby(["symbol", "session_date"], as_index=False)
        .first()
        .drop(columns=["rank", "open"])
    )


def weeks(per_day: pd.DataFrame) -> pd.DataFrame:
    """Return one candle a week: of its real days, or of the made-up ones without any."""
    made = []
    monday = per_day.session_date - pd.to_timedelta(per_day.session_date.dt.dayofweek, unit="D")
    for (symbol, start), found in per_day.groupby(["symbol", monday]):
        part = found[found.simulated == found.simulated.min()].sort_values("session_date")
        friday = start + pd.Timedelta(days=6)
        schedule = exchange_calendars.get_calendar("XNYS", start=start, end=friday).schedule
        last = part.iloc[-1]
        made.append(
            {
                "symbol": symbol,
                "candle_interval": "1w",
                "bar_start_at": schedule["open"].iloc[0].tz_localize(None),
                "bar_end_at": schedule["close"].iloc[-1].tz_localize(None),
                "session_date": last.session_date,
                "source": last.source,
                "made_of": last.made_of,
                "simulated": last.simulated,
                "open_price": part.open_price.iloc[0],
                "high_price": part.high_price.max(),
                "low_price": part.low_price.min(),
                "close_price": last.close_price,
                "volume_shares": part.volume_shares.sum(),
                "n_bars": len(part),
                "n_bars_expected": len(schedule),
                "is_final": bool(part.is_final.all()) and last.session_date == schedule.index[-1],
            }
        )
    return pd.DataFrame(made)


def windows(bars: pd.DataFrame) -> pd.DataFrame:
    """Return the windows of each size with the averages and volatilities at their ends."""
    made = []
    for (symbol, day), session in bars.groupby(["symbol", "session_date"]):
        before = session.close.shift().fillna(session.open.iloc[0])
        session = session.assign(log=np.log(session.close.to_numpy() / before.to_numpy()))
        for name in WINDOWS:
            closes: list[float] = []
            for step, part in session.groupby(session.minute // WIDTHS[name]):
                closes.append(part.close.iloc[-1])
                made.append(_window(session, part, name, int(step), closes))
                made[-1] |= {"symbol": symbol, "session_date": day}
    return pd.DataFrame(made)


def _window(
    session: pd.DataFrame, part: pd.DataFrame, name: str, step: int, closes: list[float]
) -> dict[str, object]:
    width = WIDTHS[name]
    n_minutes = (part.close_at.iloc[0] - part.open_at.iloc[0]) // MINUTE
    end = min((step + 1) * width, n_minutes)
    opened, volume = part.open_at.iloc[0], part.volume.sum()
    row: dict[str, object] = {
        "window_size": name,
        "window_start_at": opened + step * width * MINUTE,
        "window_end_at": opened + end * MINUTE,
        "vwap_price": (part.vwap * part.volume).sum() / volume if volume else np.nan,
        "volume_shares": volume,
        "n_trades": part.n_trades.sum(min_count=1),
        "n_obs": len(part),
        "coverage": len(part) / (end - step * width),
        "is_cut_by_close": end < (step + 1) * width,
    }
    for trailing in ("15m", "1h"):
        since = end - WIDTHS[trailing]
        inside = session[(session.minute >= since) & (session.minute < end)]
        is_whole = since >= 0 and len(inside) > 0
        row[f"ma_{trailing}"] = inside.close.mean() if is_whole else np.nan
        row[f"rv_{trailing}"] = np.sqrt((inside.log**2).sum()) if is_whole else np.nan
        row[f"n_obs_{trailing}"] = len(inside) if is_whole else 0
    for n in (5, 15, 30):
        row[f"ma_{n}_periods"] = np.mean(closes[-n:]) if len(closes) >= n else np.nan
    return row
