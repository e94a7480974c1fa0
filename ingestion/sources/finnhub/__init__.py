"""Finnhub: quotes by polling, trades by its WebSocket."""

from typing import Final

NAME: Final = "finnhub"
