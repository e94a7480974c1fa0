"""What the doctor's buckets hold, versions included: counted, and removed after a run."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from ingestion.errors import ProbeError
from ingestion.land.doctor.findings import Result, ok, skipped
from ingestion.land.doctor.site import GENERATION, NAME_TIME, Site
from ingestion.land.objects import prefix
from ingestion.land.store import read

_ABANDONED_AFTER: Final = timedelta(hours=1)  # no run takes as long


def require_single(site: Site, bucket: str, number: int) -> None:
    """Make sure that no key of a series was written twice.

    Raises:
        ProbeError: one was.
        StoreError: the bucket could not be listed.
    """
    keys: Counter[str] = Counter()
    for page in _pages(site, Bucket=bucket, Prefix=prefix(site.series(number), GENERATION)):
        keys.update(entry["Key"] for entry in _entries(page))
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise ProbeError(f"{len(twice)} keys have a second version, {twice[0]} is the first")


def bronze_is_versioned(site: Site) -> Result:
    """Make sure that an overwrite in bronze would leave the first version.

    Raises:
        ProbeError: it would not.
        StoreError: the store refused.
    """
    if not site.has_policies:
        return skipped("the store has no versions: an overwrite would leave no trace")
    for bucket in (site.settings.bronze_bucket, site.versioned):
        status = read(partial(site.client.get_bucket_versioning, Bucket=bucket)).get("Status")
        if status != "Enabled":
            found = status or "never switched on"
            raise ProbeError(f"expected versions in bucket {bucket}, found: {found}")
    return ok("switched on")


def clean_up(site: Site) -> Result:
    """Remove what this run has put, and what runs that were killed have left.

    Raises:
        ProbeError: something is still there.
        StoreError: the store refused.
    """
    removed = 0
    for bucket in site.settings.doctor_buckets():
        for run in (site.run, *_abandoned(site, bucket)):
            removed += _remove(site, bucket, f"{run}/")
    return ok(f"{removed} objects removed")


def _abandoned(site: Site, bucket: str) -> list[str]:
    oldest = site.clock.now() - _ABANDONED_AFTER
    names = [
        entry["Prefix"].rstrip("/")
        for page in _pages(site, Bucket=bucket, Delimiter="/")
        for entry in page.get("CommonPrefixes", [])
    ]
    return [name for name in names if (begun := _begun(name)) and begun < oldest]


def _begun(run: str) -> datetime | None:
    try:
        return datetime.strptime(run.partition("-")[0], NAME_TIME).replace(tzinfo=UTC)
    except ValueError:
        return None  # not the name of a run: nothing of ours


def _remove(site: Site, bucket: str, run: str) -> int:
    count = 0
    for page in _pages(site, Bucket=bucket, Prefix=run):
        doomed = _entries(page)
        if doomed:
            count += len(doomed)
            _delete(site, bucket, doomed)
    left = [e["Key"] for page in _pages(site, Bucket=bucket, Prefix=run) for e in _entries(page)]
    if left:
        raise ProbeError(f"{bucket}: {len(left)} objects are still there, {left[0]} is the first")
    return count


def _delete(site: Site, bucket: str, entries: list[dict[str, str]]) -> None:
    request: dict[str, Any] = {"Bucket": bucket, "Delete": {"Objects": entries, "Quiet": True}}
    errors = read(partial(site.client.delete_objects, **request)).get("Errors", [])
    if errors:
        first = errors[0]
        raise ProbeError(f"{bucket}: {first['Key']} could not be deleted: {first['Code']}")


def _pages(site: Site, **query: str) -> Iterator[dict[str, Any]]:
    """Return the pages of a listing, of versions where the store has them."""
    operation: Any = "list_object_versions" if site.has_policies else "list_objects_v2"
    pages: Any = site.client.get_paginator(operation).paginate(**query)
    return iter(read(lambda: list(pages)))


def _entries(page: dict[str, Any]) -> list[dict[str, str]]:
    """Return the keys of a page, with their versions where it has them."""
    found = [*page.get("Versions", []), *page.get("DeleteMarkers", []), *page.get("Contents", [])]
    wanted = ("Key", "VersionId")
    return [{name: entry[name] for name in wanted if name in entry} for entry in found]
