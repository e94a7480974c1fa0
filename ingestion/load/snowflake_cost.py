"""What a load costs at Snowflake, as far as that can be told before the bill: an estimate.

A warehouse is billed by the second while it runs, at the credits an hour of its size, and for a
minute at least each time that it is started ("Overview of warehouses", "Understanding compute
cost"). A load wakes it with its first statement; after the last one it stays awake until it
suspends itself. COPY and PUT cost no more than that: the charge by file is Snowpipe's. Storage, and
cloud services within their tenth of the day's credits, are left out.

It is too high where others keep the warehouse awake anyhow, too low for a warehouse of the second
generation or of several clusters.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

# Of a standard warehouse, first generation.
CREDITS_PER_HOUR: Mapping[str, int] = {
    "X-Small": 1,
    "Small": 2,
    "Medium": 4,
    "Large": 8,
    "X-Large": 16,
    "2X-Large": 32,
    "3X-Large": 64,
    "4X-Large": 128,
    "5X-Large": 256,
    "6X-Large": 512,
}
_LEAST_S = 60
_HOUR_S = 3600


@dataclass(frozen=True)
class Cost:
    """An estimate: seconds from the first statement to the last, and until the warehouse sleeps.

    ``price`` is of a credit, in whatever currency the account is billed.
    """

    warehouse: str
    size: str
    seconds: float
    idle_s: int
    price: Decimal | None = None

    @property
    def billed_s(self) -> float:
        """Return the seconds that are billed."""
        return max(float(_LEAST_S), self.seconds + self.idle_s)

    @property
    def credits(self) -> float:
        """Return the credits."""
        return self.billed_s * CREDITS_PER_HOUR[self.size] / _HOUR_S

    def line(self, files: int, size: int) -> str:
        """Return it for people; ``size`` in bytes."""
        price = "" if self.price is None else f" ({Decimal(self.credits) * self.price:.3f})"
        return (
            f"estimate: {self.credits:.3f} credits{price} for {files:,} files, {size:,} bytes: "
            f"{self.warehouse} ({self.size}) at work for {self.seconds:.0f} s, asleep after "
            f"{self.idle_s} s"
        )

    def report(self) -> dict[str, Any]:
        """Return it for machines."""
        price = None if self.price is None else float(self.price)
        return {
            "is": "estimate",
            "warehouse": self.warehouse,
            "size": self.size,
            "seconds_at_work": round(self.seconds, 1),
            "seconds_billed": round(self.billed_s, 1),
            "credits_per_hour": CREDITS_PER_HOUR[self.size],
            "credits": round(self.credits, 3),
            "price_per_credit": price,
            "price": None if price is None else round(self.credits * price, 3),
        }


@dataclass(frozen=True)
class NoCost:
    """Why there is no estimate."""

    reason: str

    def line(self, files: int, size: int) -> str:
        """Return it for people; ``size`` in bytes."""
        return f"estimate: none for {files:,} files, {size:,} bytes: {self.reason}"

    def report(self) -> dict[str, Any]:
        """Return it for machines."""
        return {"is": "none", "reason": self.reason, "credits": None}


@dataclass(frozen=True)
class Bill:
    """The warehouse that is paid for, and the price of a credit if it is known."""

    warehouse: str
    price: Decimal | None = None


def estimate(bill: Bill, shown: list[dict[str, Any]], seconds: float) -> Cost | NoCost:
    """Return the cost of a session of so many seconds, given the answer to ``show warehouses``."""
    name = bill.warehouse
    found = [one for one in shown if one["name"] == name]
    if not found:
        return NoCost(f"Snowflake shows no warehouse {name}")
    size, idle = found[0]["size"], found[0]["auto_suspend"]
    if size not in CREDITS_PER_HOUR:
        return NoCost(f"no rate is known here for a warehouse of size {size}")
    if not idle:
        return NoCost(f"{name} never suspends itself: it costs day and night")
    return Cost(name, size, seconds, int(idle), bill.price)
