"""Faults in the data: a restated bar, a split that appears, a row that is null for a while."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np

from ingestion.errors import SettingsError
from ingestion.fakes.columns import FIELDS, Columns
from ingestion.fakes.script import NullRow, OfData, Restate, Split
from ingestion.sources.corporate_actions import Action
from ingestion.sources.daily_bar import UNIT


def restated(made: Columns, faults: Sequence[OfData], latest: int) -> Columns:
    """Return the columns as the faults leave them.

    ``latest`` is the position of the latest complete bar at the servers' start: -1 means it.

    Raises:
        SettingsError: a fault's session is none of the symbol's.
    """
    for fault in faults:
        made = _apply(made, fault, _position(made, fault.session, latest))
    return made


def _apply(made: Columns, fault: OfData, at: int) -> Columns:
    if isinstance(fault, Restate):
        return _restate(made, fault, at)
    if isinstance(fault, Split):
        return _split(made, fault.ratio, at)
    return _null(made, fault, at)


def _position(made: Columns, session: date | int, latest: int) -> int:
    if isinstance(session, int):
        return latest + 1 + session
    for position, found in enumerate(made.sessions):
        if found.session_date == session:
            return position
    raise SettingsError(f"fault: {made.symbol} has no bar of {session}")


def _restate(made: Columns, fault: Restate, at: int) -> Columns:
    for field in FIELDS:
        text: str | None = getattr(fault, field)
        if text is not None:
            made = _set(made, field, at, int(Decimal(text) * UNIT))
    if fault.volume is not None:
        made = _set(made, "volume", at, int(fault.volume))
    return made


def _set(made: Columns, field: str, at: int, value: int | bool) -> Columns:
    changed = getattr(made, field).copy()
    changed[at] = value
    return replace(made, **{field: changed})


def _split(made: Columns, ratio: int, at: int) -> Columns:
    """Divide what is traded from the ex-date on; what was traded before stays as it was."""
    before, after = slice(None, at), slice(at, None)
    changed: dict[str, Any] = {"actions": {**made.actions, at: Action("split", Decimal(ratio))}}
    for field in FIELDS:
        price = getattr(made, field)
        changed[field] = np.concatenate([price[before], price[after] // ratio])
    changed["volume"] = np.concatenate([made.volume[before], made.volume[after] * ratio])
    return replace(made, **changed)


def _null(made: Columns, fault: NullRow, at: int) -> Columns:
    made = _set(made, "null_price", at, True)
    return made if fault.keep_volume else _set(made, "null_volume", at, True)
