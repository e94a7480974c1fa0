"""Many timestamps at once as the contract's text; one by one they would cost most of a run."""

import numpy as np

from ingestion.sources.profile import Ints


def texts(microseconds: Ints) -> list[str]:
    """Return microseconds since 1970 as RFC 3339, UTC, with six decimals and ``Z``."""
    moments = microseconds.astype("datetime64[us]")
    found: list[str] = np.char.add(np.datetime_as_string(moments, unit="us"), "Z").tolist()
    return found
