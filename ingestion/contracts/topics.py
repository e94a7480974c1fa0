"""Topic names, and which schema belongs to which topic."""

from typing import Final

BATCH: Final = "stock-market-batch"
QUOTES: Final = "stock-quotes"
REALTIME: Final = "stock-market-realtime"
DEAD_LETTERS: Final = "stock-market-dlq"
TOPICS: Final = (BATCH, QUOTES, REALTIME, DEAD_LETTERS)

TOPIC_OF_SCHEMA: Final[dict[str, str]] = {
    "quote.v1": QUOTES,
    "bar.v1": BATCH,
    "corporate_action.v1": BATCH,
    "trade.v1": REALTIME,
}
