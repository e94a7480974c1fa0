"""Names in a trade's ``conditions`` that mean the same whoever produced it.

Everything else in the list is the provider's own code, kept as it came. A provider whose codes mark
an auction's print translates that code; nobody downstream guesses at it.
"""

from typing import Final

OPENING_AUCTION: Final = "opening_auction"
CLOSING_AUCTION: Final = "closing_auction"
