"""What one client at a time may rely on: a taken key, listings, whole and unaltered objects."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

from botocore.exceptions import PaginationError

from ingestion.errors import ProbeError
from ingestion.land import objects
from ingestion.land.doctor.findings import Result, Verdict, ok
from ingestion.land.doctor.site import GENERATION, Site, built, put_headers
from ingestion.land.protocol import Head, Kind, PutOutcome
from ingestion.land.store import BronzeStore, read

_SKEW_WARNS_S: Final = 60.0
_SKEW_FAILS_S: Final = 300.0  # at 900 s every signature is refused
_PAGES: Final = 30

_T = TypeVar("_T")


def clock(site: Site) -> Result:
    """Compare our clock with the store's; whole seconds are all that it tells.

    Raises:
        ProbeError: they differ so much that signatures are soon refused, or it tells no time.
    """
    bucket = site.settings.bronze_bucket
    before = site.clock.now()
    answer = site.wire.send(site.wire.unsigned("GET", bucket, "", b"", {}), b"")
    after = site.clock.now()
    if "date" not in answer.headers:
        raise ProbeError("expected a Date header in the store's answer, found none")
    theirs = parsedate_to_datetime(answer.headers["date"]).astimezone(UTC)
    ours = before + (after - before) / 2
    skew = (theirs - ours).total_seconds()
    text = f"the store's clock is {round(skew):+d} s from ours"
    if abs(skew) > _SKEW_FAILS_S:
        raise ProbeError(f"{text}: at 900 s it refuses every request")
    return Result(Verdict.WARNING, text) if abs(skew) > _SKEW_WARNS_S else ok(text)


def buckets(site: Site) -> Result:
    """Make sure that the lander can list bronze and the buckets that are probed.

    Raises:
        StoreError: it cannot.
    """
    names = (site.settings.bronze_bucket, *site.settings.doctor_buckets())
    for name in names:
        site.bronze(name).check()
    return ok(", ".join(names))


def taken_key(site: Site, bucket: str, number: int) -> Result:
    """Put on a taken key: other bytes, and the same again as after a lost answer.

    Raises:
        ProbeError: either was anything but refused, or changed the object.
    """
    first, other = built(0, "first"), built(0, "other")
    site.land(bucket, number, 0, first)
    before = site.got(bucket, number, 0)
    for body, head in (other, first):
        outcome, words = site.bronze(bucket).put(site.key(number, 0), body, head)
        if outcome is not PutOutcome.EXISTS:
            raise ProbeError(f"expected 412 for a taken key, found {outcome.value}: {words}")
        if site.got(bucket, number, 0) != before:
            raise ProbeError("the object of a taken key was changed by a refused PUT")
    return ok("412, and the object stays")


def list_after_write(site: Site, number: int) -> Result:
    """List after each PUT, as another client and from just before the new key.

    Raises:
        ProbeError: a new key was not seen at once.
    """
    reader = BronzeStore(site.other_client, site.plain)
    for start in range(site.plan.lists):
        site.land(site.plain, number, start, built(start, f"{start}", size=10))
        found = reader.last(site.series(number), GENERATION, start)
        if found != start:
            raise ProbeError(f"after {start} keys the new one was not listed (found: {found})")
    return ok(f"{site.plan.lists} new keys, each seen at once")


def pages(site: Site, number: int) -> Result:
    """Read the listing of the keys that `list_after_write` put in many pages, and its middle.

    Raises:
        ProbeError: a page leaves out, repeats or misplaces a key.
    """
    wanted = [site.key(number, start) for start in range(site.plan.lists)]
    size = max(1, len(wanted) // _PAGES)
    _compare(_listed(site, number, size, ""), wanted)
    for index in (0, len(wanted) // 2, len(wanted) - 1):
        # StartAfter is exclusive: chains are looked for from just before a key.
        _compare(_listed(site, number, size, wanted[index]), wanted[index + 1 :])
    return ok(f"{len(wanted)} keys in pages of {size}, in order; StartAfter is exclusive")


def read_after_write(site: Site, number: int) -> Result:
    """Read objects of each kind back: bytes, metadata and one ETag whoever asks.

    Raises:
        ProbeError: something differs.
        ChainError: metadata is missing, or contradicts the bytes.
    """
    body, data = built(0, "read")
    gap = replace(built(1, "read")[1], kind=Kind.GAP, count=0)
    for start, (sent, head) in enumerate([(body, data), (built(1, "read")[0], gap)]):
        site.land(site.plain, number, start, (sent, head))
        found = site.got(site.plain, number, start)
        if found != (head, sent):
            raise ProbeError(f"expected {head} and its bytes, found {found[0]}")
        _compare_answers(site, site.key(number, start), sent, head)
    return ok(f"bytes, ETag and {len(objects.metadata(data))} names of metadata")


def checksums(site: Site, number: int) -> Result:
    """Put bytes that are not those that were announced; nothing of them may be stored.

    Raises:
        ProbeError: the store took them.
    """
    body, head = built(0, "sound")
    flipped = bytes([body[0] ^ 1]) + body[1:]
    wrong = [
        ("a wrong Content-MD5", {"Content-MD5": wrong_md5()}, body),
        ("a byte flipped after the signature", {}, flipped),
    ]
    said = [
        _refusal(site, site.key(number, start), (body, put_headers(head) | headers), sent, what)
        for start, (what, headers, sent) in enumerate(wrong)
    ]
    return ok(", ".join(said))


def truncated_upload(site: Site, number: int) -> Result:
    """Hang up in the middle of a body; no object may be there.

    Raises:
        ProbeError: one is.
    """
    body, head = built(0, "half", size=200_000)
    request = site.wire.signed("PUT", site.plain, site.key(number, 0), body, put_headers(head))
    status = site.wire.send_part(request, body[: len(body) // 2])
    if status == 200 or site.has(site.plain, site.key(number, 0)):
        raise ProbeError(f"half an upload became an object (status {status})")
    return ok(f"no object ({'status ' + str(status) if status else 'no answer'})")


def wrong_md5() -> str:
    """Return a Content-MD5 that is right for no object of ours."""
    return base64.b64encode(hashlib.md5(b"another body", usedforsecurity=False).digest()).decode()


def _refusal(
    site: Site, key: str, announced: tuple[bytes, dict[str, str]], sent: bytes, what: str
) -> str:
    request = site.wire.signed("PUT", site.plain, key, *announced)
    status = site.wire.send(request, sent).status
    if not 400 <= status < 500 or site.has(site.plain, key):
        raise ProbeError(f"expected {what} to be refused and not stored, found status {status}")
    return f"{what}: {status}"


def _compare_answers(site: Site, key: str, body: bytes, head: Head) -> None:
    place: dict[str, Any] = {"Bucket": site.plain, "Key": key}
    asked = read(lambda: site.client.head_object(**place))
    got = read(lambda: site.client.get_object(**place))
    got["Body"].close()
    listed = read(lambda: site.client.list_objects_v2(Bucket=site.plain, Prefix=key))["Contents"][0]
    tags = {asked["ETag"], got["ETag"], listed["ETag"]}
    sizes = {asked["ContentLength"], got["ContentLength"], listed["Size"]}
    if len(tags) > 1 or sizes != {len(body)}:
        raise ProbeError(f"HEAD, GET and LIST differ: ETags {tags}, sizes {sizes} of {len(body)}")
    if asked["Metadata"] != objects.metadata(head):
        raise ProbeError(f"expected metadata {objects.metadata(head)}, found {asked['Metadata']}")


def _listed(site: Site, number: int, size: int, after: str) -> list[str]:
    query: dict[str, Any] = {
        "Bucket": site.plain,
        "Prefix": objects.prefix(site.series(number), GENERATION),
        "PaginationConfig": {"PageSize": size},
        **({"StartAfter": after} if after else {}),
    }
    pages_ = site.client.get_paginator("list_objects_v2").paginate(**query)
    found = read(lambda: _all(pages_))
    return [entry["Key"] for page in found for entry in page.get("Contents", [])]


def _all(pages_: Iterable[_T]) -> list[_T]:
    try:
        return list(pages_)
    except PaginationError as error:
        raise ProbeError(f"the pages of a listing do not end: {error}") from error


def _compare(found: list[str], wanted: list[str]) -> None:
    if found != wanted:
        missing, foreign = set(wanted) - set(found), len(found) - len(set(found))
        raise ProbeError(
            f"expected {len(wanted)} keys in order, found {len(found)}: {len(missing)} missing, "
            f"{foreign} repeated"
        )
