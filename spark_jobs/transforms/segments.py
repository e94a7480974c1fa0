"""The parts of an exchange's day that trades fall into. Imports no Spark."""

from typing import Final

MINUTE_US: Final = 60_000_000

PRE: Final = "pre"
OPENING: Final = "opening"
REGULAR: Final = "regular"
CLOSING: Final = "closing"
POST: Final = "post"
# The closing cross is printed up to this long after the close (48 s in a recorded session of IBM).
AUCTION_MINUTES: Final = 2
