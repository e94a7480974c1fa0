"""Alpha Vantage: daily and intraday bars, splits and dividends, quotes."""

from typing import Final

NAME: Final = "alphavantage"
