"""The last step of the audit: the candidate beside what is published.

dbt's tests judge a build by itself. Some faults show only against the build before: a mart that has
lost half of its rows and keeps every rule, a feed whose newest record is older than it was.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field

from dbt_stocks import catalog
from dbt_stocks.catalog import Session
from dbt_stocks.engine import CANDIDATE, GOLD
from ingestion.errors import BuildError

_BANDS = Path(__file__).with_name("row_bands.yml")
_FRESHNESS = "gold_freshness"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limit(_Frozen):
    """Rows by which a mart may change: a share of what is published or a number, the greater."""

    share: float = Field(ge=0)
    rows: int = Field(ge=0)
    reason: str = Field(min_length=1)

    def of(self, before: int) -> int:
        """Return the limit in rows for a mart of so many."""
        return max(int(before * self.share), self.rows)


class Band(_Frozen):
    """Limits of one mart; what it does not say is the default's."""

    lose: Limit | None = None
    gain: Limit | None = None


class DefaultBand(_Frozen):
    """Limits of a mart that nothing is said about."""

    lose: Limit
    gain: Limit


class Bands(_Frozen):
    """Limits of every mart."""

    default: DefaultBand
    marts: dict[str, Band] = {}

    @classmethod
    def read(cls, path: Path = _BANDS) -> Self:
        """Return the limits in a file.

        Raises:
            BuildError: the file is not as this class describes.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text()))
        except (ValueError, yaml.YAMLError) as error:
            raise BuildError(f"{path}: {' '.join(str(error).split())}") from error

    def may_lose(self, mart: str) -> Limit:
        """Return by how many rows a mart may shrink."""
        return self.marts.get(mart, Band()).lose or self.default.lose

    def may_gain(self, mart: str) -> Limit:
        """Return by how many rows a mart may grow."""
        return self.marts.get(mart, Band()).gain or self.default.gain


class Finding(NamedTuple):
    """A change of a mart that nobody would expect."""

    mart: str
    change: str
    expected: str

    def line(self) -> str:
        """Return one line for people."""
        return f"{self.mart}: {self.change}; expected {self.expected}"


@cache
def bands() -> Bands:
    """Return the project's limits."""
    return Bands.read()


def accept(db: Session, limits: Bands, accepted: Collection[str]) -> list[str]:
    """Compare the candidate with gold, and return what was found and accepted, one line each.

    Raises:
        BuildError: something was found in a mart that was not accepted, or there is no such mart.
    """
    before, after = catalog.row_counts(db, GOLD), catalog.row_counts(db, CANDIDATE)
    unknown = sorted(set(accepted) - before.keys() - after.keys())
    if unknown:
        raise BuildError(f"expected marts to accept changes of, found {', '.join(unknown)}")
    found = [*rows_changed(limits, before, after), *feeds_gone_back(db)]
    refused = [one for one in found if one.mart not in accepted]
    if refused:
        marts = " ".join(f"--accept {mart}" for mart in sorted({one.mart for one in refused}))
        lines = "; ".join(one.line() for one in refused)
        raise BuildError(f"{lines}; gold unchanged: {marts} if this is wanted")
    return [f"accepted: {one.mart}: {one.change}" for one in found]


def rows_changed(limits: Bands, before: dict[str, int], after: dict[str, int]) -> list[Finding]:
    """Return the marts whose rows have left their band; a mart that is new has none."""
    found = []
    for mart, was in before.items():
        now = after.get(mart)
        if now is None:
            found.append(Finding(mart, f"{was} rows published, the mart is gone", "a mart"))
            continue
        if was and not now:
            found.append(Finding(mart, f"{was} rows published, none now", "at least one"))
            continue
        limit = limits.may_lose(mart) if now < was else limits.may_gain(mart)
        if was and abs(now - was) > limit.of(was):
            edge = was + limit.of(was) * (-1 if now < was else 1)
            expected = f"{'at least' if now < was else 'at most'} {edge} ({limit.reason})"
            found.append(Finding(mart, f"{was} rows published, {now} now", expected))
    return found


def feeds_gone_back(db: Session) -> list[Finding]:
    """Return the feeds whose newest event is older than in published gold, or missing.

    Where real records have taken the place of simulated ones nothing can be compared.
    """
    if any(_FRESHNESS not in catalog.tables(db, schema) for schema in (GOLD, CANDIDATE)):
        return []
    rows = db.execute(
        f"""
        select old.source || ' ' || old.feed, old.last_event_at, new.last_event_at
        from {GOLD}.{_FRESHNESS} as old
        left join {CANDIDATE}.{_FRESHNESS} as new
            on old.source = new.source and old.feed = new.feed
        where new.source is null
            or (new.last_event_at < old.last_event_at and (new.simulated or not old.simulated))
        order by 1
        """  # noqa: S608 - names of ours
    ).fetchall()
    return [
        Finding(_FRESHNESS, f"{feed} has nothing after {now or 'the beginning'}", f"until {was}")
        for feed, was, now in rows
    ]
