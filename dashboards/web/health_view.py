"""The view "Data health": `health.Health` in, components out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol

from dash import html
from dash.development.base_component import Component

from dashboards.web import health as facts
from dashboards.web.elements import more
from dashboards.web.text import NONE
from dashboards.web.views import table

# The one that says whether anything is lost is the first.
PANELS: Final = ("reconciliation", "build", "lag", "quarantine", "letters", "topics", "groups")
_WORDS: Final[dict[facts.Level, str]] = {
    "ok": "✓ Holds",
    "warn": "▲ Look",
    "bad": "✕ Broken",
    "unknown": "? Not known",
}


class _Part(Protocol):
    @property
    def level(self) -> facts.Level: ...

    @property
    def summary(self) -> str: ...


def health(found: facts.Health) -> dict[str, Component | str]:
    """Return the head's level and when it was checked, and the panels by name."""
    return {
        "level": _level(found.level),
        "checked": f"Checked {_when(found.checked_at)}",
        "reconciliation": _panel("Reconciliation", found.reconciliation, "wide", _stages, _gaps),
        "build": _panel("Last build and its tests", found.build, "", _build, _failing),
        "lag": _panel("Lag by feed", found.lag, "", _lag),
        "quarantine": _panel("Quarantine", found.quarantine, "", _quarantine),
        "letters": _panel("Dead letters", found.dead_letters, "", _letters),
        "topics": _panel("Kafka topics", found.kafka, "", _topics),
        "groups": _panel("Kafka groups", found.kafka, "", _groups),
    }


def _panel(title: str, part: _Part, kind: str, *bodies: Any) -> Component:  # noqa: ANN401
    shown = [body(part) for body in bodies]
    return html.Section(
        [
            html.Div([html.H2(title), _level(part.level)], className="card-head"),
            html.P(part.summary, className="summary"),
            *[one for one in shown if one is not None],
        ],
        className=f"card health-card {kind}",
        **more({"data-level": part.level}),
    )


def _level(level: facts.Level) -> Component:
    return html.Span(_WORDS[level], className=f"tag level {level}")


def _when(moment: datetime | None) -> str:
    return NONE if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _table(header: Sequence[str], body: Sequence[Sequence[Any]], name: str) -> Component | None:
    return table(header, body, name) if body else None


def _stages(part: facts.Reconciliation) -> Component | None:
    counts = (
        "kafka", "bronze", "lake", "rejected", "deduplicated", "warehouse", "silver", "quarantined",
    )  # fmt: skip
    body = [
        [
            f"{stage.topic} / {stage.partition}",
            *[_number(getattr(stage, name)) for name in counts],
            html.Span(_number(stage.gap), className="bad" if stage.gap else "ok"),
        ]
        for stage in part.stages
    ]
    return _table(["Topic / partition", *(n.title() for n in counts), "Gap"], body, "numbers")


def _gaps(part: facts.Reconciliation) -> Component | None:
    body = [
        [gap.check, gap.status, gap.where, gap.detail, _number(gap.differences),
         ", ".join(gap.examples[:5])]
        for gap in part.gaps
    ]  # fmt: skip
    return _table(["Check", "Status", "Where", "Found", "Differences", "Such as"], body, "gaps")


def _build(part: facts.LastBuild) -> Component | None:
    if part.build_id is None:
        return None
    pairs = {
        "Build": part.build_id,
        "Data as of": _when(part.as_of),
        "Finished": _when(part.finished_at),
        "Tests": f"{part.checked:,} checked, {part.failed:,} failed, {part.warned:,} warned",
        "Note": part.note or NONE,
    }
    return html.Dl(
        [item for pair in pairs.items() for item in (html.Dt(pair[0]), html.Dd(pair[1]))]
    )


def _failing(part: facts.LastBuild) -> Component | None:
    body = [
        [score.model, score.dimension, _number(score.checked), _number(score.failed),
         _number(score.warned), _number(score.failing_rows)]
        for score in part.failing
    ]  # fmt: skip
    return _table(["Model", "Dimension", "Checked", "Failed", "Warned", "Rows"], body, "numbers")


def _lag(part: facts.Lag) -> Component | None:
    body = [
        [
            f"{feed.source} / {feed.feed}",
            "simulated" if feed.simulated else "real",
            feed.status,
            _number(feed.lag_sessions),
            f"{feed.lag_open_s:,} s",
            _when(feed.last_event_at),
        ]
        for feed in part.feeds
    ]
    return _table(["Feed", "Kind", "State", "Sessions", "Open market", "Newest"], body, "lag")


def _quarantine(part: facts.Quarantine) -> Component | None:
    body = [
        [rule.relation, rule.rule, rule.reason, _number(rule.records), _when(rule.last_loaded_at)]
        for rule in part.rules
    ]
    return _table(["Relation", "Rule", "Why", "Records", "Last"], body, "rules")


def _letters(part: facts.DeadLetters) -> Component | None:
    body = [
        [_when(one.at), _number(one.offset), one.source, one.reason, one.detail]
        for one in part.newest
    ]
    return _table(["When", "Offset", "Source", "Why", "Detail"], body, "letters")


def _topics(part: facts.Kafka) -> Component | None:
    body = [
        [one.name, _number(one.partitions), _number(one.records), _number(one.end)]
        for one in part.topics
    ]
    return _table(["Topic", "Partitions", "Records", "End"], body, "numbers")


def _groups(part: facts.Kafka) -> Component | None:
    body = [
        [one.name, one.topic, one.state, _number(one.members), _number(one.lag)]
        for one in part.groups
    ]
    return _table(["Group", "Topic", "State", "Members", "Lag"], body, "groups")
