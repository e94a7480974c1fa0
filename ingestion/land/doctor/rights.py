"""What the lander's identity may do, and nobody: asked without leaving anything behind.

A PUT with a wrong checksum tells permission from refusal and stores nothing in either case.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from ingestion.errors import ProbeError, StoreError, StoreUnavailableError
from ingestion.land.doctor.findings import Result, ok, skipped
from ingestion.land.doctor.promises import wrong_md5
from ingestion.land.doctor.site import GENERATION, Site, built, put_headers
from ingestion.land.protocol import Head
from ingestion.land.store import read

_DENIED: Final = frozenset({401, 403, 404})  # 404: there is no such bucket to get at
_SERIES: Final = 99  # no other check uses it


def lander_may(site: Site) -> Result:
    """Make sure that the lander may put, get and list bronze.

    Raises:
        ProbeError: it may not.
        StoreError: it may not.
    """
    _require_harmless(site, 0)
    bronze = site.settings.bronze_bucket
    status = _put_nothing(site, bronze)
    if status in _DENIED:
        raise ProbeError(f"expected the lander to be allowed to put in {bronze}, found {status}")
    site.bronze(bronze).get(site.series(_SERIES), GENERATION, 0)
    site.bronze(bronze).last(site.series(_SERIES), GENERATION)
    return ok(f"put, get and list {bronze}")


def lander_may_not(site: Site) -> Result:
    """Make sure that the lander may neither delete in bronze nor write the lake.

    Raises:
        ProbeError: it may.
    """
    if not site.has_policies:
        return skipped("the store has no policies: the lander could delete")
    _require_harmless(site, 1)
    lake, bronze = site.settings.lake_bucket, site.settings.bronze_bucket
    if _put_nothing(site, lake) not in _DENIED:
        raise ProbeError(f"expected the lander not to be allowed to put in {lake}, found it is")
    if not _is_denied_version(site, bronze):
        raise ProbeError(f"expected the lander not to delete versions in {bronze}, found it may")
    if not _is_denied_delete(site, bronze):
        raise ProbeError(
            f"expected the lander not to be allowed to delete in {bronze}, found it is"
        )
    return ok(f"neither delete in {bronze} nor write {lake}")


def nobody_may(site: Site) -> Result:
    """Make sure that a request without a signature neither reads nor writes any bucket.

    Raises:
        ProbeError: it does.
    """
    _require_harmless(site, 2)
    settings = site.settings
    names = (settings.bronze_bucket, settings.lake_bucket, *settings.doctor_buckets())
    body, head = built(0, "nobody")
    for name in names:
        key = site.key(_SERIES, 0)
        reading = site.wire.unsigned("GET", name, "", b"", {})
        writing = site.wire.unsigned("PUT", name, key, body, _damaged(head))
        for request, sent in ((reading, b""), (writing, body)):
            status = site.wire.send(request, sent).status
            if status not in _DENIED:
                raise ProbeError(
                    f"expected an unsigned {request.method} in {name} to be refused, found {status}"
                )
    return ok(f"refused in {', '.join(names)}")


def _require_harmless(site: Site, start: int) -> None:
    """Make sure that nothing can come of the PUTs that follow; ``start`` makes a key of its own."""
    status = _put_nothing(site, site.plain, start)
    if not 400 <= status < 500:
        raise ProbeError(f"not asked: the store takes a PUT with a wrong checksum ({status})")


def _put_nothing(site: Site, bucket: str, start: int = 0) -> int:
    """Return the status of a PUT that can not succeed where checksums are looked at."""
    body, head = built(0, "nothing")
    request = site.wire.signed("PUT", bucket, site.key(_SERIES, start), body, _damaged(head))
    return site.wire.send(request, body).status


def _damaged(head: Head) -> dict[str, str]:
    return put_headers(head) | {"Content-MD5": wrong_md5()}


def _is_denied_version(site: Site, bucket: str) -> bool:
    """Tell whether a version that does not exist may not be deleted."""
    key = site.key(_SERIES, 0)
    return _is_denied(lambda: site.client.delete_object(Bucket=bucket, Key=key, VersionId="null"))


def _is_denied_delete(site: Site, bucket: str) -> bool:
    """Tell whether a key that does not exist may not be deleted.

    Where it may, a versioned bucket now has a marker for it: that is removed again.
    """
    place: dict[str, Any] = {"Bucket": bucket, "Key": site.key(_SERIES, 0)}
    markers: list[str] = []

    def delete() -> None:
        markers.append(site.client.delete_object(**place).get("VersionId", ""))

    is_denied = _is_denied(delete)
    for marker in filter(None, markers):
        read(partial(site.client.delete_object, **place, VersionId=marker))
    return is_denied


def _is_denied(action: Callable[[], object]) -> bool:
    try:
        read(action)
    except StoreUnavailableError:
        raise
    except StoreError:
        return True
    return False
