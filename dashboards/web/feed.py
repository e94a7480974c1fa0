"""Live mode: the last trade and the forming minute of a symbol, from Kafka to the browser.

One thread per process reads; its clients share it. What it shows is live and not yet reconciled.
"""

from starlette.routing import BaseRoute

from ingestion.settings import KafkaSettings


class Feed:
    """Reads trades from the log's end, keeps the last trade and the forming minute by symbol."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Take the settings; nothing is connected yet."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin to read, in a thread of its own; Kafka need not be there."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the thread, at most some seconds later."""
        raise NotImplementedError


def routes(feed: Feed) -> list[BaseRoute]:
    """Return the WebSocket route ``/live?symbol=AAPL``, for the page's Starlette application.

    The application starts and stops the feed in its lifespan. Each text is one JSON object:

    ``{"type": "trade", "symbol", "price", "size", "event_time", "kafka_timestamp_ms",
    "sent_at_ms", "source", "simulated", "conflated", "reconciled": false, "candle": {"start_s",
    "end_s", "open", "high", "low", "close", "volume", "n", "segment"} or null}``

    ``{"type": "status", "state": "live" | "connecting" | "down", "detail"}``

    In the browser ``assets/live.js`` gives ``window.tapehouse.live.open(symbol, on)`` (it closes
    the one before), ``.close()``, and the events ``tapehouse:trade`` and ``tapehouse:live`` on
    ``document``; prices are numbers there, times as above.
    """
    raise NotImplementedError
