"""What a published build says of itself: its feeds' lag, its tests, what is in quarantine."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from dashboards.web.freshness import Reads, State, timeline, told, utc
from dashboards.web.health_model import (
    FeedLag,
    Lag,
    LastBuild,
    Level,
    Quarantine,
    QuarantineRule,
    TestScore,
)
from ingestion.calendar import Calendar

# By what gold_freshness calls a feed's state; what is new to us is nothing good.
_LEVELS: Final[dict[str, Level]] = {"ok": "ok", "unscheduled": "ok", "late": "warn", "stale": "bad"}
# By the badge's state: what has become of the feeds since the build.
_NOW: Final[dict[State, Level]] = {
    "late": "warn",
    "stale": "bad",
    "dead": "bad",
    "no_calendar": "unknown",
}
_ORDER: Final[tuple[Level, ...]] = ("ok", "unknown", "warn", "bad")


def worst(levels: Sequence[Level]) -> Level:
    """Return the worst level: what is known to be bad outranks what could not be read."""
    return max(levels, key=_ORDER.index, default="unknown")


def lag(build: Reads, now: datetime, calendar: Calendar) -> Lag:
    """Return how far each feed was behind at the build's now, judged by the clock of now as well.

    A build that nobody follows up keeps calling its feeds in time.
    """
    rows = build.query(
        "select source, feed, status, simulated, lag_sessions, lag_open_s, last_event_at, "
        "checked_at from gold.gold_freshness order by feed, source"
    )
    feeds = tuple(
        FeedLag(
            row["source"],
            row["feed"],
            row["status"],
            row["simulated"],
            row["lag_sessions"],
            row["lag_open_s"],
            utc(row["last_event_at"]),
        )
        for row in rows
    )
    if not feeds:
        return Lag("warn", "The build has no feed")
    behind = [one for one in feeds if _LEVELS.get(one.status, "bad") != "ok"]
    named = ", ".join(f"{one.source} {one.feed} {one.status}" for one in behind)
    at = f"at {utc(rows[0]['checked_at']):%Y-%m-%d %H:%M} UTC, the build's now"
    then = f"{named or f'{len(feeds)} feeds, none behind'} {at}"
    badge = timeline(now, calendar, told(build)).at(now)
    levels = [_NOW.get(badge.state, "ok"), *(_LEVELS.get(one.status, "bad") for one in feeds)]
    return Lag(worst(levels), f"Now: {badge.label}. Then: {then}", feeds)


def last_build(build: Reads) -> LastBuild:
    """Return the published build and what its tests found."""
    [row] = build.query("select build_id, as_of, started_at, finished_at, note from ops.builds")
    scores = [
        _score(one)
        for one in build.query(
            "select model_name, dimension, checked, failed, warned, failing_rows "
            "from gold.gold_dq_scorecard where run_id = ? order by model_name, dimension",
            [row["build_id"]],
        )
    ]
    checked = sum(one.checked for one in scores)
    failed, warned = (sum(getattr(one, name) for one in scores) for name in ("failed", "warned"))
    finished = utc(row["finished_at"]) if row["finished_at"] else None
    when = f" at {finished:%Y-%m-%d %H:%M} UTC" if finished else ""
    note = f"; accepted: {row['note']}" if row["note"] else ""
    return LastBuild(
        _build_level(checked, failed, warned, row["note"]),
        f"{row['build_id']} published{when}: {checked - failed} of {checked} tests passed, "
        f"{warned} warned{note}",
        row["build_id"],
        utc(row["as_of"]) if row["as_of"] else None,
        utc(row["started_at"]) if row["started_at"] else None,
        finished,
        row["note"],
        checked,
        failed,
        warned,
        tuple(one for one in scores if one.failed),
    )


def quarantine(build: Reads) -> Quarantine:
    """Return the refused records by rule."""
    rows = build.query(
        "select relation_name, rule, reason, n_records, last_loaded_at "
        "from gold.gold_quarantine where n_records > 0 "
        "order by n_records desc, relation_name, rule"
    )
    rules = tuple(
        QuarantineRule(
            row["relation_name"],
            row["rule"],
            row["reason"],
            row["n_records"],
            utc(row["last_loaded_at"]),
        )
        for row in rows
    )
    records = sum(one.records for one in rules)
    if not records:
        return Quarantine("ok", "Nothing is in quarantine")
    # Refused and kept: that is what quarantine is for. Somebody should look at it all the same.
    return Quarantine("warn", f"{records:,} records by {len(rules)} rules", records, rules)


def _score(row: dict[str, Any]) -> TestScore:
    return TestScore(
        row["model_name"],
        row["dimension"],
        row["checked"],
        row["failed"],
        row["warned"],
        row["failing_rows"],
    )


def _build_level(checked: int, failed: int, warned: int, note: str | None) -> Level:
    if failed > warned:
        return "bad"  # an error-severity test: such a build is never published
    # A build of which no test is known has proven nothing.
    return "warn" if warned or note or not checked else "ok"
