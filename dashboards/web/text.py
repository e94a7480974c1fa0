"""Numbers and times as text, and cells of CSV that no spreadsheet takes for a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final
from zoneinfo import ZoneInfo

NONE: Final = "–"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_STEPS: Final = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K"))

Number = int | float | Decimal


def price(value: Number | None) -> str:
    """Return a price with cents, and with what is below a cent for prices below one."""
    if value is None:
        return NONE
    below_one = -1 < value < 1 and value != 0
    return _rounded(value, 4 if below_one else 2)


def signed(value: Number | None, digits: int = 2) -> str:
    """Return a number with its sign, a true minus: of the width of a plus."""
    return NONE if value is None else f"{value:+,.{digits}f}".replace("-", "−")


def percent(value: Number | None, digits: int = 2) -> str:
    """Return a change in percent, such as ``−2.48%``."""
    return NONE if value is None else f"{signed(value, digits)}%"


def share(value: Number | None) -> str:
    """Return a fraction as a share, such as ``60%``."""
    return NONE if value is None else f"{value:.0%}"


def compact(value: Number | None) -> str:
    """Return a large number with three digits or four, such as ``19.73M``."""
    if value is None:
        return NONE
    number = float(value)
    for size, letter in _STEPS:
        if abs(number) >= size:
            return f"{_rounded(number / size, 2)}{letter}"
    return _rounded(number, 0)


def arrow(value: Number | None) -> str:
    """Return a direction for those who do not see it in a colour."""
    return "" if not value else "▲" if value > 0 else "▼"


def direction(value: Number | None) -> str:
    """Return the class of a direction's colour: ``up``, ``down`` or ``flat``."""
    return "flat" if not value else "up" if value > 0 else "down"


def local(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return gold's naive UTC in a zone."""
    return moment.replace(tzinfo=UTC).astimezone(zone)


def clock(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment (naive UTC) in a zone that is named, such as ``2013-03-01 16:00 EST``."""
    return f"{local(moment, zone):%Y-%m-%d %H:%M %Z}"


def csv_of(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV. Text that a spreadsheet would run gets a quote before it; numbers do not.

    A minus before a number is no formula: ``-1.5`` stays, ``-1+1`` as text does not.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_safe(name) for name in header])
    writer.writerows([[_safe(value) for value in row] for row in rows])
    return out.getvalue()


def _rounded(value: Number, digits: int) -> str:
    # As browsers do: of the shortest digits that a float is written with, halves away from zero.
    step = Decimal(1).scaleb(-digits)
    return f"{Decimal(str(value)).quantize(step, ROUND_HALF_UP):,}"


def _safe(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
