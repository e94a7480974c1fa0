"""What the market page reads of gold; `gold.py` has the queries, a test holds both together."""

from typing import Final

EXPOSURE: Final = "market_page"

_CANDLE: Final = [
    "instrument_id", "candle_interval", "source", "currency", "open_price", "high_price",
    "low_price", "close_price", "volume_shares", "n_bars", "n_bars_expected", "is_final",
    "simulated", "session_date", "bar_start_at", "bar_end_at",
]  # fmt: skip
_FACTOR: Final = [
    "instrument_id", "convention", "split_factor", "simulated", "valid_from", "valid_to",
]  # fmt: skip

PANELS: Final[dict[str, dict[str, list[str]]]] = {
    "KPI strip": {
        "gold_kpi": [
            "instrument_id", "symbol", "source", "currency", "price_kind", "current_price",
            "previous_close_price", "change_price", "change_pct", "day_open_price",
            "day_high_price", "day_low_price", "volume_shares", "volume_ratio", "high_52w_price",
            "low_52w_price", "position_52w", "is_final", "simulated", "session_date",
            "sessions_behind", "price_at",
        ],
        "dim_instrument": [
            "instrument_id", "name", "sector", "exchange_mic", "valid_from", "valid_to",
        ],
    },
    "Ranges": {
        "gold_candlestick": [
            "instrument_id", "candle_interval", "simulated", "bar_start_at", "bar_end_at",
            "session_date",
        ],
    },
    "Candles by the day": {
        "gold_candlestick": _CANDLE,
        "fct_adjustment_factor": _FACTOR,
        "gold_technical_indicators": [
            "instrument_id", "simulated", "session_date", "sma_20", "sma_50", "sma_200",
            "bollinger_upper", "bollinger_lower", "rsi_14", "macd_line", "macd_signal",
            "macd_histogram",
        ],
    },
    "Candles of the day": {
        "gold_candlestick": [*_CANDLE, "made_of"],
        "fct_adjustment_factor": _FACTOR,
        "gold_intraday_window_metrics": [
            "instrument_id", "source", "made_of", "simulated", "window_size", "window_end_at",
            "ma_15m", "ma_1h",
        ],
    },
    "Treemap": {
        "gold_treechart": [
            "symbol", "name", "sector", "currency", "size_dollar_volume", "return_1d",
            "simulated", "session_date",
        ],
    },
    "Breadth": {
        "gold_market_breadth": [
            "universe", "simulated", "session_date", "n_instruments", "advancers", "decliners",
            "unchanged", "above_sma_50_share", "above_sma_200_share", "new_highs", "new_lows",
            "up_volume_shares", "down_volume_shares",
        ],
    },
    "Movers": {
        "gold_movers": [
            "symbol", "direction", "rank", "close_price", "return_1d", "dollar_volume",
            "volume_ratio", "currency", "simulated", "session_date",
        ],
    },
    "Volatility": {
        "gold_volatility_rank": [
            "symbol", "regime", "volatility_20d", "percentile", "volatility_rank", "n_ranked",
            "simulated", "session_date",
        ],
    },
    "Anomalies": {
        "gold_anomalies": [
            "symbol", "rule", "subject", "detail", "value", "value_unit", "threshold", "source",
            "simulated", "session_date", "event_at",
        ],
    },
    # freshness.py and health_gold.py have the queries of these.
    "Freshness": {"gold_freshness": ["source", "feed", "simulated", "last_event_at"]},
    "Lag by feed": {
        "gold_freshness": [
            "source", "feed", "status", "simulated", "lag_sessions", "lag_open_s",
            "last_event_at", "checked_at",
        ],
    },
    "Quarantine": {
        "gold_quarantine": ["relation_name", "rule", "reason", "n_records", "last_loaded_at"],
    },
    "Tests of the last build": {
        "gold_dq_scorecard": [
            "run_id", "model_name", "dimension", "checked", "failed", "warned", "failing_rows",
        ],
    },
}  # fmt: skip
