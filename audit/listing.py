"""What the store says it holds: every version of every key, and the bytes of one."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from audit import hints
from audit.errors import UnreadableError
from audit.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CHUNK = 1 << 20
_CONNECTIONS = 8
_UNSUPPORTED = {"NotImplemented", "MethodNotAllowed", "InvalidArgument"}


@dataclass(frozen=True)
class Version:
    """One version of a key as LIST shows it; ``marker`` is a delete marker."""

    key: str
    version: str
    etag: str
    size: int
    modified: str
    latest: bool
    marker: bool = False

    def identity(self) -> str:
        """Return what changes when the object does."""
        return f"{self.version} {self.etag} {self.size} {self.modified}"


@dataclass(frozen=True)
class Patience:
    """How long one request may take."""

    connect_s: float = 5
    answer_s: float = 30
    attempts: int = 4


def client(settings: Settings, patience: Patience) -> "S3Client":
    """Return an S3 client with the auditor's identity."""
    access, secret = settings.store_keys()
    return boto3.client(
        "s3",
        endpoint_url=settings.store_url(),
        region_name=settings.store_region(),
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        config=Config(
            max_pool_connections=_CONNECTIONS,
            connect_timeout=patience.connect_s,
            read_timeout=patience.answer_s,
            retries={"mode": "standard", "total_max_attempts": patience.attempts},
            s3={"addressing_style": "path"},
            response_checksum_validation="when_required",
        ),
    )


class Store:
    """The landing bucket, read with the auditor's identity."""

    def __init__(self, settings: Settings, s3: "S3Client | None" = None) -> None:
        self.bucket = settings.bronze_bucket()
        self._client = s3 or client(settings, Patience())

    def versioned(self) -> bool | None:
        """Return whether the bucket keeps versions; None where the store does not know them."""
        try:
            with _readable(f"bucket {self.bucket}"):
                answer = self._client.get_bucket_versioning(Bucket=self.bucket)
        except _UnsupportedError:
            return None
        return answer.get("Status") == "Enabled"

    def versions(self, prefix: str = "", after: str = "") -> Iterator[Version]:
        """Return every version and delete marker in key order, of the keys behind ``after``."""
        pages = self._client.get_paginator("list_object_versions")
        behind: dict[str, Any] = {"KeyMarker": after}  # boto3's types do not know it here
        with _readable(f"bucket {self.bucket}"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, **behind):
                yield from (_version(item) for item in page.get("Versions", []))
                yield from (_marker(item) for item in page.get("DeleteMarkers", []))

    def objects(self, prefix: str = "", after: str = "") -> Iterator[Version]:
        """Return what a store without versions holds, of the keys behind ``after``."""
        pages = self._client.get_paginator("list_objects_v2")
        with _readable(f"bucket {self.bucket}"):
            for page in pages.paginate(Bucket=self.bucket, Prefix=prefix, StartAfter=after):
                yield from (_version(item) for item in page.get("Contents", []))

    def metadata(self, key: str) -> Mapping[str, str]:
        """Return what an object's metadata says of it; its bytes are not fetched."""
        with _readable(f"object {key}"):
            answer = self._client.head_object(Bucket=self.bucket, Key=key)
            return dict(answer["Metadata"])

    @contextmanager
    def open(self, version: Version) -> Iterator[tuple[Mapping[str, str], Iterator[bytes]]]:
        """Return an object's metadata and its stored bytes in pieces."""
        with _readable(f"object {version.key}"):
            answer = self._client.get_object(Bucket=self.bucket, Key=version.key)
            with closing(answer["Body"]) as body:
                yield answer["Metadata"], body.iter_chunks(_CHUNK)


class _UnsupportedError(Exception):
    """The store does not implement the request."""


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _UNSUPPORTED:
            raise _UnsupportedError(what) from error
        raise _unreadable(what, error) from error
    except BotoCoreError as error:
        raise _unreadable(what, error) from error


def _unreadable(what: str, error: Exception) -> UnreadableError:
    text = str(error).rstrip(".")
    return UnreadableError(f"{what} cannot be read: {text}{hints.store(text)}")


def _version(item: Mapping[str, Any]) -> Version:
    return Version(
        item["Key"],
        item.get("VersionId", "null"),
        item["ETag"],
        item["Size"],
        item["LastModified"].isoformat(),
        item.get("IsLatest", True),
    )


def _marker(item: Mapping[str, Any]) -> Version:
    modified = item["LastModified"].isoformat()
    return Version(item["Key"], item["VersionId"], "", 0, modified, item["IsLatest"], marker=True)
