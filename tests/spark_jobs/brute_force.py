"""Window metrics once more, the slow and plain way; imports nothing of ours."""

from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd


class Tick(NamedTuple):
    at: datetime
    seq: int
    price: str
    size: str


def windows(ticks: list[Tick], open_at: datetime, close_at: datetime) -> pd.DataFrame:
    """One row per 5-minute end of one session of one symbol."""
    inside = sorted((t for t in ticks if open_at <= t.at < close_at), key=lambda t: (t.at, t.seq))
    frame = pd.DataFrame(
        {
            "at": [t.at for t in inside],
            "price": np.array([t.price for t in inside], dtype=np.longdouble),
            "size": np.array([t.size for t in inside], dtype=np.longdouble),
        }
    )
    logs = np.log(frame["price"].to_numpy())
    frame["ret"] = np.concatenate([[np.nan], np.diff(logs)])
    ends = pd.date_range(open_at + timedelta(minutes=5), close_at, freq="5min")
    rows = [
        {
            "window_end_at": end,
            **_width(frame, end, "15m", 15, open_at),
            **_width(frame, end, "1h", 60, open_at),
        }
        for end in ends
    ]
    return pd.DataFrame(rows)


def _width(
    frame: pd.DataFrame, end: pd.Timestamp, name: str, minutes: int, open_at: datetime
) -> dict:
    start = max(end - timedelta(minutes=minutes), pd.Timestamp(open_at))
    part = frame[(frame["at"] >= start) & (frame["at"] < end)]
    price, size, ret = (part[c].to_numpy() for c in ("price", "size", "ret"))
    ret = ret[~np.isnan(ret)]
    elapsed = (part["at"] - open_at) // timedelta(minutes=1)
    volume = size.sum()
    return {
        f"window_{name}_start_at": start,
        f"ma_{name}": price.mean() if len(price) else None,
        f"volatility_{name}": price.std(ddof=1) if len(price) > 1 else None,
        f"return_volatility_{name}": ret.std(ddof=1) if len(ret) > 1 else None,
        f"vwap_{name}": (price * size).sum() / volume if volume else None,
        f"volume_sum_{name}": volume,
        f"n_obs_{name}": len(price),
        f"coverage_{name}": elapsed.nunique() / ((end - start) / timedelta(minutes=1)),
        f"is_partial_{name}": end - open_at < timedelta(minutes=minutes),
    }
