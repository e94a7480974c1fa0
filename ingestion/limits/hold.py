"""How long nobody asks a provider any more after it has refused for the rate."""

import math
from typing import Final

from ingestion.limits.limit import SECOND, SKEW, next_midnight
from ingestion.sources.provider import RateLimitedError, Scope

# Where the provider does not say how long; doubled with each refusal that follows a hold.
_DEFAULT: Final[dict[Scope | None, int]] = {
    "second": SECOND,
    "minute": 60 * SECOND,
    None: 30 * SECOND,
}
_MAX_DEFAULT: Final = 15 * 60 * SECOND
# Whatever a provider, or a clock that was set back, says: a day later it is asked again. A day of
# a zone may have 25 hours.
MAX: Final = 25 * 3_600 * SECOND


def held_until(error: RateLimitedError, now: int, refusals: int, day_zone: str) -> int:
    """Return the moment, in microseconds, until which the account is held.

    ``refusals`` counts this one and those just before it, at least 1. What the provider says is
    taken at its word, within ``MAX``.
    """
    told = error.retry_after_s
    if told is not None and math.isfinite(told) and told > 0:
        return now + min(math.ceil(told * SECOND), MAX)
    if error.scope == "day":
        return next_midnight(now, day_zone) + SKEW
    doubled = _DEFAULT[error.scope] << min(refusals - 1, 16)
    return now + min(doubled, _MAX_DEFAULT)
