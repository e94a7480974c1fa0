"""How many requests a provider allows in how long, and until when a spent budget lasts."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final, cast
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from ingestion.errors import SettingsError
from ingestion.sources.provider import Scope

SECOND: Final = 1_000_000  # moments and spans are whole microseconds
SPAN: Final[MappingProxyType[Scope, int]] = MappingProxyType(
    {"second": SECOND, "minute": 60 * SECOND, "day": 86_400 * SECOND}
)
# A request is counted from its start until a span after its answer, so that the way there and back
# needs no margin. This one is for the provider's clock running another pace than ours: what NTP may
# slew (500 ppm), twice, and a timer's grain.
_GRAIN: Final = 50_000
_PACE: Final = 1_000
# At a provider's midnight the two clocks themselves are compared.
SKEW: Final = 60 * SECOND
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SPEC: Final = re.compile(r"([1-9][0-9]{0,6})/(second|minute|day)(?:@(.+))?")


@dataclass(frozen=True)
class Limit:
    """At most ``count`` requests in any span of ``scope``; with ``zone`` in each day of it."""

    count: int
    scope: Scope
    zone: str | None = None

    def __str__(self) -> str:
        return f"{self.count}/{self.scope}" + (f"@{self.zone}" if self.zone else "")

    @property
    def length(self) -> int:
        """Microseconds that a request counts after its end, the margin included."""
        span = SPAN[self.scope]
        return span + _GRAIN + math.ceil(span / _PACE)

    def counts_after(self, now: int) -> int:
        """Return the moment after which a request must have ended to count at ``now``."""
        if self.zone is None:
            return now - self.length
        return midnight(now - SKEW, self.zone) - SKEW

    def free_at(self, ended: int, now: int) -> int:
        """Return when a request that ended at ``ended``, and counts at ``now``, does no more."""
        if self.zone is None:
            return ended + self.length
        return next_midnight(now - SKEW, self.zone) + SKEW


@dataclass(frozen=True)
class Budget:
    """A provider's limits, and the zone at whose midnight it is asked again after a day's refusal.

    ``day_zone`` is only when to try; the limits hold whatever the provider's midnight is.
    """

    limits: tuple[Limit, ...]
    day_zone: str = "UTC"


# The free plans as the providers state them. Yahoo states nothing and refuses whom it finds too
# eager: two a second is what a person clicking through pages makes.
BUDGETS: Final[MappingProxyType[str, Budget]] = MappingProxyType(
    {
        "alphavantage": Budget((Limit(1, "second"), Limit(25, "day")), "America/New_York"),
        "finnhub": Budget((Limit(30, "second"), Limit(60, "minute"))),
        "yahoo": Budget((Limit(2, "second"), Limit(60, "minute"), Limit(5_000, "day"))),
    }
)
# Servers on this machine. Finnhub's and Alpha Vantage's keep the free plans as the real ones do;
# Yahoo's states nothing either, and nobody has to be polite to it.
LOCAL_BUDGETS: Final[MappingProxyType[str, Budget]] = MappingProxyType(
    {"yahoo": Budget((Limit(100, "second"),))}
)


def is_local(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def parse(text: str, variable: str) -> tuple[Limit, ...]:
    """Read limits such as ``30/second,60/minute`` or ``25/day@America/New_York``.

    Raises:
        SettingsError: it is none; the text names ``variable``.
    """
    return tuple(_parsed(part.strip(), variable) for part in text.split(","))


def _parsed(text: str, variable: str) -> Limit:
    found = _SPEC.fullmatch(text)
    if found is None:
        raise SettingsError(f"{variable}: expected COUNT/second, /minute or /day, found {text!r}")
    count, scope, zone = found.groups()
    if zone and (scope != "day" or zone not in available_timezones()):
        raise SettingsError(f"{variable}: expected a time zone behind a day only, found {text!r}")
    return Limit(int(count), cast(Scope, scope), zone)


def microseconds(moment: datetime) -> int:
    """Return whole microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(microseconds: int) -> datetime:
    """Return the moment that is so many microseconds after 1970, UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def midnight(now: int, zone: str) -> int:
    """Return the last midnight of ``zone`` that is not after ``now``."""
    return _midnight(now, zone, 0)


def next_midnight(now: int, zone: str) -> int:
    """Return the first midnight of ``zone`` after ``now``: 23, 24 or 25 hours after the last."""
    return _midnight(now, zone, 1)


def _midnight(now: int, zone: str, days: int) -> int:
    local = moment_of(now).astimezone(ZoneInfo(zone)).date() + timedelta(days=days)
    return microseconds(datetime(local.year, local.month, local.day, tzinfo=ZoneInfo(zone)))
