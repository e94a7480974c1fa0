"""What the market marts must hold, by pandas, numpy and plain loops over the bars as they came.

Imports nothing of the project: sessions are those of exchange_calendars. ``bars`` has one row per
instrument and session with a bar: instrument_id, session_date (datetime64), open, high, low, close,
volume, split_ratio (1 where none) and dividend (0 where none), all as traded. Rows may be missing.
"""

from dataclasses import dataclass
from functools import cached_property

import exchange_calendars
import numpy as np
import pandas as pd

YEAR = 252


def told_once(paid: pd.Series) -> pd.Series:
    """Return an instrument's dividends by session without those that are told again.

    Of equal amounts whose ex-dates follow each other within five calendar days the last counts.
    """
    found = paid.copy()
    last: dict[float, pd.Timestamp] = {}
    for day, amount in paid[paid > 0].items():
        if amount in last and day - last[amount] <= pd.Timedelta(days=5):
            found[last[amount]] = 0.0
        last[amount] = day
    return found


@dataclass(frozen=True)
class Panel:
    """The bars as one table per field: sessions of the exchange down, instruments across."""

    bars: pd.DataFrame

    @cached_property
    def sessions(self) -> pd.DatetimeIndex:
        days = self.bars.session_date
        calendar = exchange_calendars.get_calendar("XNYS", start=days.min() - pd.Timedelta(days=7))
        return calendar.sessions_in_range(days.min(), days.max())

    def field(self, name: str) -> pd.DataFrame:
        wide = self.bars.pivot(index="session_date", columns="instrument_id", values=name)
        return wide.astype(float).reindex(self.sessions)

    @cached_property
    def price_return(self) -> pd.DataFrame:
        """Return against the session before; missing where either has no bar."""
        ratio = self.field("split_ratio")
        return self.field("close") * ratio / self.field("close").shift(1) - 1

    @cached_property
    def total_return(self) -> pd.DataFrame:
        ratio, dividend = self.field("split_ratio"), self.field("dividend").apply(told_once)
        base = self.field("close").shift(1) - dividend * ratio
        return self.field("close") * ratio / base - 1

    @cached_property
    def dollar_volume(self) -> pd.DataFrame:
        return self.field("close") * self.field("volume")

    @cached_property
    def dollar_volume_mean(self) -> pd.DataFrame:
        """Mean of an instrument's last 20 bars, missing before there are 20."""
        return self.dollar_volume.apply(lambda column: column.dropna().rolling(20).mean())

    @cached_property
    def volatility(self) -> pd.DataFrame:
        """Annualised, over an instrument's last 20 bars, all of which have a return."""
        logs = np.log1p(self.total_return)
        has_bar = self.field("close").notna()

        def of_bars(column: pd.Series) -> pd.Series:
            return column[has_bar[column.name]].rolling(20).std(ddof=1) * np.sqrt(YEAR)

        return logs.apply(of_bars)

    def adjusted(self, name: str) -> pd.DataFrame:
        """Return prices in shares of the first bar, so that splits move nothing."""
        ratios = self.field("split_ratio").fillna(1.0).cumprod()
        return self.field(name) * ratios


def movers(panel: Panel, floor: float, per_direction: int) -> pd.DataFrame:
    """Sort each session's returns: the first ones of either end, of what had traded enough."""
    before = panel.dollar_volume_mean.shift(1)
    rows = []
    for day in panel.sessions:
        returns = panel.total_return.loc[day].dropna()
        liquid = returns[before.loc[day].reindex(returns.index) >= floor]
        for direction, sign in (("up", 1), ("down", -1)):
            ordered = sorted((-r * sign, i) for i, r in liquid.items() if r * sign > 0)
            for rank, (negated, instrument) in enumerate(ordered[:per_direction], start=1):
                rows.append(
                    {
                        "session_date": day,
                        "direction": direction,
                        "rank": rank,
                        "instrument_id": instrument,
                        "return_1d": -negated * sign,
                        "volume_ratio": panel.dollar_volume.at[day, instrument]
                        / before.at[day, instrument],
                    }
                )
    return pd.DataFrame(rows)


def volatility_ranks(panel: Panel) -> pd.DataFrame:
    """Rank each session's volatilities with pandas: equal ones share the lowest rank."""
    volatility = panel.volatility
    compared = volatility.round(12)
    others = compared.notna().sum(axis=1) - 1
    below = compared.rank(axis=1, method="min") - 1
    percentile = below.div(others.where(others > 0), axis=0).where(others > 0, below)
    wide = {
        "volatility_20d": volatility,
        "percentile": percentile,
        "volatility_rank": compared.rank(axis=1, method="min", ascending=False),
    }
    return pd.DataFrame({name: long(table) for name, table in wide.items()}).dropna().reset_index()


def correlations(
    panel: Panel, windows: tuple[int, ...], months: int, members: int, min_share: float
) -> pd.DataFrame:
    """Correlate with numpy, pair by pair, on the sessions in which both have a return."""
    logs = np.log1p(panel.total_return)
    has_bar = panel.field("close").notna()
    traded = panel.sessions[has_bar.any(axis=1)].to_series()
    ends = traded.groupby(traded.dt.to_period("M")).max().tail(months)
    rows = []
    for end in ends:
        means = panel.dollar_volume_mean.loc[end].dropna()
        liquid = sorted(means.items(), key=lambda item: (-item[1], item[0]))[:members]
        names = sorted(name for name, _ in liquid)
        for window in windows:
            last = logs.loc[:end, names].tail(window).to_numpy()
            rows += _pairs(names, last, {"session_date": end, "window_sessions": window}, min_share)
    return pd.DataFrame(rows)


def _pairs(
    names: list[str], returns: np.ndarray, key: dict[str, object], min_share: float
) -> list[dict[str, object]]:
    rows = []
    window = key["window_sessions"]
    for first, a in enumerate(names):
        for second in range(first + 1, len(names)):
            x, y = returns[:, first], returns[:, second]
            both = ~np.isnan(x) & ~np.isnan(y)
            n_obs = int(both.sum())
            if n_obs >= min_share * window:
                corr = np.corrcoef(x[both], y[both])[0, 1]
                pair = {"instrument_id_a": a, "instrument_id_b": names[second]}
                rows.append(key | pair | {"n_obs": n_obs, "corr": corr})
    return rows


def lowest_eigenvalue(pairs: pd.DataFrame) -> float:
    """Return that of the matrix of those instruments of which every pair is there."""
    half = pairs.pivot(index="instrument_id_a", columns="instrument_id_b", values="corr")
    names = half.index.union(half.columns)
    square = half.reindex(index=names, columns=names).to_numpy()
    whole = np.where(np.isnan(square), square.T, square)
    np.fill_diagonal(whole, 1.0)
    kept = ~np.isnan(whole).any(axis=1)
    return float(np.linalg.eigvalsh(whole[np.ix_(kept, kept)]).min())


def breadth(panel: Panel, sectors: dict[str, str]) -> pd.DataFrame:
    """Count instrument by instrument, session by session."""
    trends = {name: _trends(panel, name) for name in panel.field("close")}
    totals: dict[tuple[pd.Timestamp, str], dict[str, float]] = {}
    for name, trend in trends.items():
        moves = panel.price_return[name].dropna().to_dict()
        volumes = panel.field("volume")[name].to_dict()
        for day, move in moves.items():
            counted = _counted(move, volumes[day], trend[day])
            for universe in ("all", sectors[name]):
                sums = totals.setdefault((day, universe), dict.fromkeys(counted, 0.0))
                for column, value in counted.items():
                    sums[column] += value
    found = pd.DataFrame.from_dict(totals, orient="index")
    found.index.names = ["session_date", "universe"]
    return _with_lines(found.sort_index().reset_index())


def _trends(panel: Panel, name: str) -> dict[pd.Timestamp, dict[str, int]]:
    close, high, low = (panel.adjusted(field)[name].dropna() for field in ("close", "high", "low"))
    mean_50, mean_200 = close.rolling(50).mean(), close.rolling(200).mean()
    highest = high.shift(1).rolling(YEAR).max()
    lowest = low.shift(1).rolling(YEAR).min()
    trends = pd.DataFrame(
        {
            "n_sma_50": mean_50.notna(),
            "above_50": close - mean_50 > 1e-11 * close,
            "n_sma_200": mean_200.notna(),
            "above_200": close - mean_200 > 1e-11 * close,
            "n_52w": highest.notna(),
            "new_highs": high > highest,
            "new_lows": low < lowest,
        }
    )
    return trends.astype(int).to_dict("index")


def _counted(move: float, volume: float, trend: dict[str, int]) -> dict[str, float]:
    return {
        "n_instruments": 1,
        "advancers": move > 0,
        "decliners": move < 0,
        "unchanged": move == 0,
        "up_volume_shares": volume * (move > 0),
        "down_volume_shares": volume * (move < 0),
        "volume_shares": volume,
        **trend,
    }


def _with_lines(found: pd.DataFrame) -> pd.DataFrame:
    found["above_sma_50_share"] = found.above_50 / found.n_sma_50.where(found.n_sma_50 > 0)
    found["above_sma_200_share"] = found.above_200 / found.n_sma_200.where(found.n_sma_200 > 0)
    net = found.advancers - found.decliners
    found["ad_line"] = net.groupby(found.universe).cumsum()
    return found.drop(columns=["above_50", "above_200"])


def latest(panel: Panel) -> pd.DataFrame:
    """Return what a card shows of each instrument's last bar: the change, the volume, the year.

    The year's prices are shown with six decimals, and the place is that between those shown.
    """
    rows = []
    for name in panel.field("close"):
        high, low = panel.adjusted("high")[name].dropna(), panel.adjusted("low")[name].dropna()
        close, ratio = panel.field("close")[name].dropna(), panel.field("split_ratio")[name]
        basis = panel.adjusted("close")[name].dropna().iloc[-1] / close.iloc[-1]
        traded = panel.dollar_volume[name].dropna()
        before = close.iloc[-2] / ratio.dropna().iloc[-1]
        is_full = len(high) >= YEAR
        highest = round(high.tail(YEAR).max() / basis, 6) if is_full else np.nan
        lowest = round(low.tail(YEAR).min() / basis, 6) if is_full else np.nan
        rows.append(
            {
                "instrument_id": name,
                "change_pct": (close.iloc[-1] / before - 1) * 100,
                "volume_ratio": traded.iloc[-1] / traded.iloc[-21:-1].mean(),
                "high_52w_price": highest,
                "low_52w_price": lowest,
                "position_52w": (close.iloc[-1] - lowest) / (highest - lowest),
            }
        )
    return pd.DataFrame(rows)


def long(wide: pd.DataFrame) -> pd.Series:
    """Return a table of sessions and instruments as one column, keyed by both."""
    return wide.rename_axis("session_date").stack(future_stack=True)
