"""Yahoo through the real yfinance: daily and intraday bars with actions, and its stream."""
