"""A small object store over HTTP, sound unless it is told to have a flaw."""

import base64
import hashlib
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

BRONZE, LAKE, PLAIN, VERSIONED = "bronze", "lake", "doctor", "doctor-versioned"
WINDOW_S = 0.02  # between looking at a key and writing it, where the two are not one step


@dataclass(frozen=True)
class Flaws:
    """What the store does wrong."""

    writes_after_looking: bool = False
    looks_before_the_body: bool = False
    ignores_conditions: bool = False
    keeps_the_losers_bytes: bool = False
    lists_late: bool = False
    start_after_is_inclusive: bool = False
    forgets_a_page: bool = False
    repeats_a_page: bool = False
    loses_metadata: str = ""
    another_etag_in_listings: bool = False
    believes_checksums: bool = False
    keeps_half_uploads: bool = False
    serves_anybody: bool = False
    lander_writes_lake: bool = False
    lander_deletes_bronze: bool = False
    lander_only_reads: bool = False
    without_versions: bool = False
    never_deletes: bool = False
    lacks_bucket: str = ""
    clock_is_ahead_s: float = 0.0
    answers_503: bool = False
    front_answers_strangers: bool = False


@dataclass
class Object:
    body: bytes
    metadata: dict[str, str]
    version: str
    is_marker: bool = False
    was_listed: bool = False

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


@dataclass
class Store:
    """The buckets, and the versions of each key, the newest last."""

    flaws: Flaws
    lock: threading.Lock = field(default_factory=threading.Lock)
    buckets: dict[str, dict[str, list[Object]]] = field(
        default_factory=lambda: {name: {} for name in (BRONZE, LAKE, PLAIN, VERSIONED)}
    )
    requests: int = 0
    url: str = ""

    def is_versioned(self, bucket: str) -> bool:
        return bucket in (BRONZE, VERSIONED) and not self.flaws.without_versions

    def current(self, bucket: str, key: str) -> Object | None:
        newest = (self.buckets[bucket].get(key) or [None])[-1]
        return None if newest is None or newest.is_marker else newest

    def write(self, bucket: str, key: str, made: Object) -> None:
        kept = self.buckets[bucket].get(key, []) if self.is_versioned(bucket) else []
        self.buckets[bucket][key] = [*kept, made]

    def is_empty(self) -> bool:
        return not any(self.buckets.values())


class Refused(Exception):  # noqa: N818 - what a store does, not what went wrong
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: Store

    def _serve(self) -> None:
        self.store.requests += 1
        parts = urlsplit(self.path)
        self.bucket, _, self.key = unquote(parts.path).lstrip("/").partition("/")
        self.query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        self.body = b""
        try:
            is_taken = self._looked() if self._flaws.looks_before_the_body else None
            self._read_body()
            self._admit()
            getattr(self, f"_{self.command.lower()}")(is_taken)
        except Refused as refused:
            self._answer(refused.status, f"<Error><Code>{refused.code}</Code></Error>".encode())

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    @property
    def _flaws(self) -> Flaws:
        return self.store.flaws

    @property
    def _objects(self) -> dict[str, list[Object]]:
        return self.store.buckets[self.bucket]

    def _read_body(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.body = self.rfile.read(length)
        if len(self.body) < length and not self._flaws.keeps_half_uploads:
            raise Refused(400, "IncompleteBody")

    def _admit(self) -> None:
        flaws = self._flaws
        if flaws.answers_503:
            raise Refused(503, "SlowDown")
        if "Authorization" not in self.headers and not flaws.serves_anybody:
            raise Refused(403, "AccessDenied")
        if self.bucket not in self.store.buckets or self.bucket == flaws.lacks_bucket:
            raise Refused(404, "NoSuchBucket")
        is_write = self.command == "PUT"
        if self.bucket == LAKE and not (flaws.lander_writes_lake or flaws.serves_anybody):
            raise Refused(403, "AccessDenied")
        if self.bucket == BRONZE and is_write and flaws.lander_only_reads:
            raise Refused(403, "AccessDenied")

    def _is_taken(self) -> bool:
        wants_free = self.headers.get("If-None-Match") == "*" and not self._flaws.ignores_conditions
        return wants_free and self.store.current(self.bucket, self.key) is not None

    def _looked(self) -> bool:
        """Look at the key, and leave those who look at the same time the time to do so."""
        is_taken = self._is_taken()
        if "If-None-Match" in self.headers:
            time.sleep(WINDOW_S)
        return is_taken

    def _put(self, is_taken: bool | None) -> None:
        self._check_sums()
        made = Object(self.body, self._metadata(), uuid.uuid4().hex)
        if is_taken is None and self._flaws.writes_after_looking:
            is_taken = self._looked()
        with self.store.lock:
            is_taken = self._is_taken() if is_taken is None else is_taken
            if not is_taken or self._flaws.keeps_the_losers_bytes:
                self.store.write(self.bucket, self.key, made)
        if is_taken:
            raise Refused(412, "PreconditionFailed")
        self._answer(200, ETag=made.etag)

    def _check_sums(self) -> None:
        if self._flaws.believes_checksums:
            return
        md5 = base64.b64encode(hashlib.md5(self.body).digest()).decode()
        if self.headers.get("Content-MD5", md5) != md5:
            raise Refused(400, "BadDigest")
        sha256 = hashlib.sha256(self.body).hexdigest()
        is_whole = not self._flaws.keeps_half_uploads
        if is_whole and self.headers.get("X-Amz-Content-SHA256", sha256) != sha256:
            raise Refused(400, "XAmzContentSHA256Mismatch")

    def _metadata(self) -> dict[str, str]:
        lost = f"x-amz-meta-{self._flaws.loses_metadata}"
        sent = {name.lower(): value for name, value in self.headers.items()}
        return {n: v for n, v in sent.items() if n.startswith("x-amz-meta-") and n != lost}

    def _head(self, _: bool | None) -> None:
        found = self.store.current(self.bucket, self.key)
        if found is None:
            raise Refused(404, "NoSuchKey")
        self._answer(200, found.body, ETag=found.etag, **found.metadata)

    def _get(self, _: bool | None) -> None:
        if self.key:
            self._head(_)
        elif "versioning" in self.query:
            status = "<Status>Enabled</Status>" if self.store.is_versioned(self.bucket) else ""
            self._xml(f"<VersioningConfiguration>{status}</VersioningConfiguration>")
        elif "versions" in self.query:
            self._list_versions()
        else:
            self._list()

    def _list_versions(self) -> None:
        keys = sorted(k for k in self._objects if k.startswith(self.query.get("prefix", "")))
        if self.query.get("delimiter"):
            self._xml(f"<ListVersionsResult>{_folders(keys)}</ListVersionsResult>")
            return
        entries = [
            f"<{tag}><Key>{escape(key)}</Key><VersionId>{one.version}</VersionId></{tag}>"
            for key in keys
            for one in self._objects[key]
            for tag in ["DeleteMarker" if one.is_marker else "Version"]
        ]
        self._xml(f"<ListVersionsResult>{''.join(entries)}</ListVersionsResult>")

    def _list(self) -> None:
        token = self.query.get("continuation-token", "")
        keys = [k for k in sorted(self._objects) if self._is_asked_for(k, token)]
        seen = [key for key in keys if self._is_visible(key)]
        size = int(self.query.get("max-keys", 1000))
        if self._flaws.forgets_a_page and token:
            seen = seen[size:]
        next_token = seen[size - 1] if len(seen) > size else ""
        if self._flaws.repeats_a_page and next_token:
            next_token = token or next_token
        self._xml(
            f"<ListBucketResult><IsTruncated>{str(bool(next_token)).lower()}</IsTruncated>"
            f"<NextContinuationToken>{escape(next_token)}</NextContinuationToken>"
            f"{''.join(self._entry(key) for key in seen[:size])}</ListBucketResult>"
        )

    def _is_asked_for(self, key: str, token: str) -> bool:
        after = token or self.query.get("start-after", "")
        is_inclusive = self._flaws.start_after_is_inclusive and not token
        is_after = key > after or (is_inclusive and key == after)
        is_there = self.store.current(self.bucket, key) is not None
        return is_after and is_there and key.startswith(self.query.get("prefix", ""))

    def _is_visible(self, key: str) -> bool:
        found = self._objects[key][-1]
        is_first, found.was_listed = not found.was_listed, True
        return not (self._flaws.lists_late and is_first)

    def _entry(self, key: str) -> str:
        found = self._objects[key][-1]
        etag = '"another"' if self._flaws.another_etag_in_listings else found.etag
        return (
            f"<Contents><Key>{escape(key)}</Key><ETag>{escape(etag)}</ETag>"
            f"<Size>{len(found.body)}</Size></Contents>"
        )

    def _post(self, _: bool | None) -> None:
        said = ""
        for entry in ET.fromstring(self.body).iter():
            if entry.tag.endswith("}Object") or entry.tag == "Object":
                fields = {child.tag.rpartition("}")[2]: child.text for child in entry}
                said += self._delete_one(str(fields["Key"]), fields.get("VersionId"))
        self._xml(f"<DeleteResult>{said}</DeleteResult>")

    def _delete_one(self, key: str, version: str | None) -> str:
        if self._flaws.never_deletes:
            return f"<Error><Key>{escape(key)}</Key><Code>AccessDenied</Code></Error>"
        with self.store.lock:
            self._drop(key, version)
        return ""

    def _drop(self, key: str, version: str | None) -> None:
        left = [one for one in self._objects.get(key, []) if one.version != version]
        self._objects[key] = left
        if not left:
            del self._objects[key]

    def _delete(self, _: bool | None) -> None:
        if self.bucket == BRONZE and not self._flaws.lander_deletes_bronze:
            raise Refused(403, "AccessDenied")
        version = self.query.get("versionId")
        if version is None:
            marker = Object(b"", {}, uuid.uuid4().hex, is_marker=True)
            self.store.write(self.bucket, self.key, marker)
            self._answer(204, **{"x-amz-version-id": marker.version})
        elif self.bucket == BRONZE and version == "null":
            raise Refused(403, "AccessDenied")
        else:
            self._drop(self.key, version)
            self._answer(204)

    def _xml(self, text: str) -> None:
        self._answer(200, text.encode(), **{"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        is_strange = "Authorization" not in self.headers
        return "Front" if is_strange and self._flaws.front_answers_strangers else "Fake"

    def date_time_string(self, timestamp: float | None = None) -> str:
        moment = datetime.now(UTC) + timedelta(seconds=self._flaws.clock_is_ahead_s)
        return format_datetime(moment, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a race connects all at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let clients hang up: one of the checks does."""


@contextmanager
def serving(flaws: Flaws) -> Iterator[Store]:
    """Serve a store on a free port."""
    store = Store(flaws)
    server = Server(("127.0.0.1", 0), type("Own", (Handler,), {"store": store}))
    store.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _folders(keys: list[str]) -> str:
    names = sorted({key.partition("/")[0] for key in keys})
    return "".join(f"<CommonPrefixes><Prefix>{n}/</Prefix></CommonPrefixes>" for n in names)
