"""Rows of a time series to messages: ``{"2025-07-03": {"1. open": "291.3600", ...}, ...}``.

Newest first, keyed by the exchange's local time, all values text. Prices are as traded
(``adjusted=false`` where it can be asked for), so that a bar's basis is "raw"; the adjusted close
(splits and dividends) stands beside it where the plan includes it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import msgspec

from ingestion.calendar import Calendar
from ingestion.clock import rfc3339
from ingestion.contracts.records import Message
from ingestion.contracts.topics import BATCH
from ingestion.errors import ContractError
from ingestion.sources import exact_json
from ingestion.sources.alphavantage import NAME
from ingestion.sources.alphavantage.answers import text_of
from ingestion.sources.asked import Context
from ingestion.sources.observed import Envelopes
from ingestion.sources.sessions import open_session
from ingestion.sources.source import Refused

# The symbols that are asked for are those of US exchanges; an answer names no currency.
CURRENCY: Final = "USD"

_PRICES: Final = {"open": "1. open", "high": "2. high", "low": "3. low", "close": "4. close"}
_DIVIDEND: Final = "7. dividend amount"
_SPLIT: Final = "8. split coefficient"


@dataclass(frozen=True)
class Series:
    """What all rows of an answer share.

    ``context`` is what it takes to read one again; it is given how far labels are off the starts.
    """

    symbol: str
    interval: str
    calendar: Calendar
    envelopes: Envelopes
    fetched_at: datetime
    context: Callable[[timedelta], Context]


@dataclass(frozen=True)
class Row:
    """One row: its label, what it holds, and the bytes of both."""

    label: str
    record: Any
    body: bytes


def rows(answer: Mapping[str, Any], body: bytes, key: str) -> list[Row]:
    """Return an answer's rows, oldest first.

    Raises:
        ContractError: under ``key`` is no object of rows.
    """
    found = answer[key]
    if not isinstance(found, dict):
        raise ContractError(f"expected rows in {key!r}, found {exact_json.shown(found)}")
    try:
        bodies = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        raw = msgspec.json.decode(bodies[key], type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError as error:
        raise ContractError(f"not a valid document: {error}") from None
    return [
        Row(label, found[label], b"{%s:%s}" % (msgspec.json.encode(label), bytes(raw[label])))
        for label in sorted(found)
    ]


def daily(row: Row, series: Series, is_adjusted: bool) -> Iterator[Message | Refused]:
    """Make a day's messages: the splits and dividends that it begins with, then its bar."""
    try:
        on = day(row.label)
        session = series.calendar.session(on)
        if session is None:
            raise ContractError(f"expected a session of {series.calendar.name}, found {on}")
        record = exact_json.flat(row.record)
        made = [*_actions(record, on, session.open_at, series)] if is_adjusted else []
        adjusted = text_of(record, "5. adjusted close") if is_adjusted else None
        made.append(_bar(record, on, session.open_at, series, adjusted))
    except ContractError as error:
        yield _refused(row, series, error)
    else:
        yield from made


def intraday(
    found: Sequence[Row], series: Series, covers: Callable[[str], bool]
) -> list[Message | Refused]:
    """Make the bars of regular hours; what the labels name, start or end, the rows must tell.

    Raises:
        ContractError: they do not tell.
    """
    length = bar_length(series.interval)
    shift = length if _are_ends([row.label for row in found], series.calendar) else timedelta(0)
    return [minutes(row, series, shift) for row in found if covers(row.label)]


def bar_length(interval: str) -> timedelta:
    """Return the length of an interval of minutes, as the contract writes it (``5m``)."""
    return timedelta(minutes=int(interval.removesuffix("m")))


def day(label: str) -> date:
    """Return the date that a label is.

    Raises:
        ContractError: it is none.
    """
    try:
        return datetime.strptime(label, "%Y-%m-%d").date()  # noqa: DTZ007 - a date has no zone
    except ValueError:
        raise ContractError(f"expected a date, found {label!a:.40}") from None


def _are_ends(labels: Sequence[str], calendar: Calendar) -> bool:
    """Tell whether labels are the bars' ends.

    Answers of 2017 to 2021 label a bar by its end (the last one of a day is 16:00), those of 2025
    by its start (15:55 of 5 minutes). A bar of regular hours neither starts at the close nor ends
    at the open: a label at either proves which it is. What proves nothing is not guessed at.

    Raises:
        ContractError: nothing is proven, or both.
    """
    starts = ends = 0
    for label in labels:
        moment = _moment(label, calendar)
        session = calendar.session_of(moment) if moment else None
        if moment and session:
            starts += moment == session.open_at
            ends += moment == session.close_at
    if bool(starts) == bool(ends):
        raise ContractError(
            f"expected labels that are starts or ends, found {starts} at an open, {ends} at a close"
        )
    return bool(ends)


def minutes(row: Row, series: Series, shift: timedelta) -> Message | Refused:
    """Make one bar of regular hours, which starts ``shift`` before its label."""
    try:
        label = _moment(row.label, series.calendar)
        if label is None:
            raise ContractError(f"expected a local time, found {row.label!a}")
        start = label - shift
        session = open_session(series.calendar, start)
        if session is None:
            raise ContractError(f"expected a bar of regular hours, found {row.label}")
        record = exact_json.flat(row.record)
        return _bar(record, session.session_date, start, series, None)
    except ContractError as error:
        return _refused(row, series, error, shift)


def _bar(
    record: dict[str, Any], day: date, start: datetime, series: Series, adj_close: str | None
) -> Message:
    volume = "5. volume" if adj_close is None else "6. volume"
    data = {
        "interval": series.interval,
        "start": rfc3339(start),
        "session_date": day.isoformat(),
        **{name: text_of(record, field) for name, field in _PRICES.items()},
        "volume": text_of(record, volume),
        "adj_close": adj_close,
        "currency": CURRENCY,
        "adjustment": "raw",
        "as_of": rfc3339(series.fetched_at),
    }
    return _observed("bar.v1", rfc3339(start), data, series)


def _actions(
    record: dict[str, Any], day: date, opens: datetime, series: Series
) -> Iterator[Message]:
    ratio, amount = (text_of(record, name) for name in (_SPLIT, _DIVIDEND))
    for kind, value, nothing in (("split", ratio, 1), ("dividend", amount, 0)):
        if _number(value) == nothing:
            continue
        data = {
            "type": kind,
            "ex_date": day.isoformat(),
            "ratio": value if kind == "split" else None,
            "amount": value if kind == "dividend" else None,
            "currency": CURRENCY,
            "as_of": rfc3339(series.fetched_at),
        }
        yield _observed("corporate_action.v1", rfc3339(opens), data, series)


def _observed(schema: str, event_time: str, data: dict[str, Any], series: Series) -> Message:
    return series.envelopes.observation(schema, series.symbol, event_time, series.fetched_at, data)


def _refused(
    row: Row, series: Series, error: ContractError, shift: timedelta = timedelta(0)
) -> Refused:
    detail = f"{series.symbol} {row.label[:20]!a}: {error}"
    return Refused(row.body, BATCH, "contract", detail, NAME, series.context(shift))


def _moment(label: str, calendar: Calendar) -> datetime | None:
    """Return the instant of a local time, None where it is none."""
    try:
        local = datetime.strptime(label, "%Y-%m-%d %H:%M:%S").replace(tzinfo=calendar.zone)
    except ValueError:
        return None
    return local.astimezone(UTC)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ContractError(f"expected a decimal number, found {text!a:.40}") from None
