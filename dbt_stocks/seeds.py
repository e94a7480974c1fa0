"""The seeds: sessions from the exchange calendar, instruments from the shared list of them."""

import csv
import io
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from ingestion import calendar
from ingestion.calendar import Calendar, Session
from ingestion.instruments import reader
from ingestion.instruments.reader import Instrument

PROJECT = Path(__file__).resolve().parent
FIRST_SESSION = date(1999, 1, 1)
LAST_SESSION = date(2027, 12, 31)
# Nasdaq and NYSE keep the same hours and holidays: one calendar serves both.
MIC = "XNYS"


def sessions_csv() -> str:
    """Return ``sessions.csv``: one line per session, times in UTC, neighbours named."""
    source = calendar.get(MIC)
    found = source.sessions(FIRST_SESSION, LAST_SESSION)
    rows = [
        _session_row(source, number, session, found[number - 2] if number > 1 else None, following)
        for number, (session, following) in enumerate(
            zip(found, [*found[1:], None], strict=True), start=1
        )
    ]
    return _csv(rows)


def instruments_csv() -> str:
    """Return ``instruments.csv``: one line per instrument and symbol that it traded under."""
    return _csv([row for one in reader.universe().instruments for row in _instrument_rows(one)])


def generate() -> dict[Path, str]:
    """Return every seed file's path and text."""
    folder = PROJECT / "seeds"
    return {
        folder / "sessions.csv": sessions_csv(),
        folder / "instruments.csv": instruments_csv(),
    }


def _session_row(
    source: Calendar,
    number: int,
    session: Session,
    previous: Session | None,
    following: Session | None,
) -> dict[str, object]:
    day = session.session_date
    return {
        "mic": MIC,
        "session_number": number,
        "n_minutes": session.n_minutes,
        "is_half_day": str(session.is_half_day).lower(),
        "session_date": day,
        "previous_session_date": previous.session_date if previous else "",
        "next_session_date": following.session_date if following else "",
        "open_at": _utc(session.open_at),
        "close_at": _utc(session.close_at),
        "next_open_at": _utc(following.open_at) if following else "",
        "day_start_at": _utc(datetime.combine(day, time(), source.zone)),
        "day_end_at": _utc(datetime.combine(day + timedelta(days=1), time(), source.zone)),
    }


def _instrument_rows(instrument: Instrument) -> list[dict[str, object]]:
    periods, last = instrument.symbols, instrument.listed_to or ""
    ends = [period.since - timedelta(days=1) for period in periods[1:]]
    return [
        {
            "instrument_sk": f"{instrument.id}@{period.since}",
            "instrument_id": instrument.id,
            "symbol": period.symbol,
            "name": instrument.name,
            "exchange_mic": instrument.mic,
            "currency": instrument.currency,
            "sector": instrument.sector,
            "industry": instrument.industry,
            "is_current": str(end is None).lower(),
            "listed_from": instrument.listed_from,
            "listed_to": last,
            "valid_from": period.since,
            "valid_to": end or last,
        }
        for period, end in zip(periods, [*ends, None], strict=True)
    ]


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _csv(rows: list[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
