"""Which faults there are, and whether one strikes: a draw that depends on nothing but its name."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

from ingestion.errors import SettingsError

# The order is the order of precedence: an event has at most one of the faults that are drawn for
# each event (those behind `missing_minute`).
KINDS: Final[Mapping[str, str]] = {
    "rename": "from a session on all of a symbol comes under another one; rate per symbol-session",
    "dst": "a session whose UTC offset is new is stamped with the old one; per symbol-session",
    "missing_minute": "the trades of a minute never come; rate per symbol and minute with trades",
    "missed_split": "a split is not told; rate per split",
    "null_ohlc": "a bar without prices, with its volume; rate per bar",
    "zero_quote": "a quote of zeros, as for an unknown symbol; rate per quote",
    "stale_quote": "the last quote of an earlier session again; rate per quote",
    "price_100x": "prices in another unit; rate per trade, quote and bar",
    "twin": "an equal trade that is another event; rate per trade",
    "correct": "a later correction of a trade's price; rate per trade",
    "bust": "a later cancellation of a trade; rate per trade",
    "duplicate": "the same event sent again, up to a minute later; rate per event",
    "out_of_order": "an event comes up to 5 s late; rate per event",
    "late": "an event comes a minute to three days late; rate per event",
}

Rates = Mapping[str, float]


def rates(texts: Iterable[str]) -> dict[str, float]:
    """Read ``NAME=RATE``, several in one text with commas between.

    Raises:
        SettingsError: an unknown name, or a rate that is not above 0 and at most 1.
    """
    return dict(_rate(part) for text in texts for part in text.split(","))


def chance(seed: int, kind: str, *names: str) -> float:
    """Return a number in [0, 1) that only these decide: the same in every order of events."""
    name = "\x1f".join((str(seed), kind, *names)).encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little") / 2**64


def _rate(text: str) -> tuple[str, float]:
    name, _, number = text.strip().partition("=")
    if name not in KINDS:
        raise SettingsError(f"--faults: expected one of {', '.join(KINDS)}, found {name!r}")
    try:
        rate = float(number)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1:
        raise SettingsError(f"--faults {name}: expected a rate above 0 and up to 1, found {text!r}")
    return name, rate
