"""Bronze objects of a topic beyond the ledger, read and checked against their own metadata."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
import zstandard
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ingestion.errors import LoadError, StoreError, StoreUnavailableError
from ingestion.load.model import Described, LineFile, Listed
from ingestion.settings import StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_KEY = re.compile(
    r"(?P<topic>[^/]+)/g=(?P<generation>[0-9a-f]{32})/p=(?P<partition>[0-9]{5})/[0-9]{20}\.jsonl\.zst"
)
# The store answers a small GET in a few milliseconds, most of it waiting: eight hide the wait.
_READERS = 8


def store_client(settings: StoreSettings) -> "S3Client":
    """Return a client with the loader's identity, which reads and writes nothing."""
    key, secret = settings.keys("loader")
    return boto3.client(
        "s3",
        endpoint_url=settings.url(),
        region_name=settings.region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(
            connect_timeout=3,
            read_timeout=30,
            retries={"mode": "standard", "max_attempts": 3},
            max_pool_connections=_READERS,
            s3={"addressing_style": "path"},
        ),
    )


class Bronze:
    """The objects of one bucket."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def beyond(self, topic: str, last_keys: Mapping[str, str]) -> list[Listed]:
        """Return a topic's objects after ``last_keys`` (by folder), in offset order.

        A partition's keys grow with its offsets, so what is new lies behind the last one loaded
        and the listing costs by what is new, not by what there is.

        Raises:
            StoreError: the store refuses; StoreUnavailableError: it does not answer.
        """
        with _store_errors(self._bucket):
            return [
                found
                for generation in self._folders(f"{topic}/")
                for partition in self._folders(generation)
                for found in self._objects(partition, last_keys.get(partition, ""))
            ]

    def read(self, listed: list[Listed]) -> list[LineFile]:
        """Fetch objects, in the order given.

        Raises:
            LoadError: an object's bytes or lines contradict its metadata.
            StoreError: the store refuses; StoreUnavailableError: it does not answer.
        """
        with _store_errors(self._bucket), ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self._read_one, listed))

    def describe(self, listed: list[Listed]) -> list[Described]:
        """Ask what the objects' metadata says, without their bytes, in the order given.

        Raises:
            LoadError: an object is not the one that was listed, or its metadata does not tell.
            StoreError: the store refuses; StoreUnavailableError: it does not answer.
        """
        with _store_errors(self._bucket), ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(self._describe_one, listed))

    def ends(self, listed: list[Listed]) -> dict[str, int]:
        """Return, by ``topic/generation/partition``, the offset behind the last of these objects.

        Raises:
            LoadError: an object's metadata does not tell.
            StoreError: the store refuses; StoreUnavailableError: it does not answer.
        """
        last = {found.file.rpartition("/")[0]: found.file for found in listed}
        with _store_errors(self._bucket):
            return dict(self._end(key) for key in last.values())

    def _end(self, key: str) -> tuple[str, int]:
        metadata = self._client.head_object(Bucket=self._bucket, Key=key)["Metadata"]
        place, end = _KEY.fullmatch(key), metadata.get("next", "")
        if place is None or not end.isdigit():
            raise LoadError(f"{key}: expected a bronze object with its end, found {metadata}")
        return f"{place['topic']}/{place['generation']}/{int(place['partition'])}", int(end)

    def _folders(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        return [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]

    def _objects(self, folder: str, after: str) -> list[Listed]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=folder, StartAfter=after or folder
        )
        return [
            Listed(entry["Key"], entry["Size"])
            for page in pages
            for entry in page.get("Contents", [])
        ]

    def _describe_one(self, listed: Listed) -> Described:
        found = self._client.head_object(Bucket=self._bucket, Key=listed.file)
        return described(listed, found["Metadata"], found["ContentLength"])

    def _read_one(self, listed: Listed) -> LineFile:
        found = self._client.get_object(Bucket=self._bucket, Key=listed.file)
        return line_file(listed, found["Metadata"], found["Body"].read())


def described(listed: Listed, metadata: Mapping[str, str], size: int) -> Described:
    """Return what a stored object's key and metadata tell; ``size`` is its size in bytes.

    Raises:
        LoadError: not a bronze key, no count, or another size than was listed.
    """
    key = listed.file
    place = _KEY.fullmatch(key)
    if place is None or not metadata.get("count", "").isdigit():
        raise LoadError(f"{key}: expected a bronze object with a count, found {dict(metadata)}")
    if size != listed.size:
        raise LoadError(f"{key}: expected {listed.size} bytes as listed, found {size}: modified")
    partition = int(place["partition"])
    return Described(listed, place["topic"], place["generation"], partition, int(metadata["count"]))


def line_file(listed: Listed, metadata: Mapping[str, str], body: bytes) -> LineFile:
    """Check a stored object against its key and metadata and return its lines.

    Raises:
        LoadError: not a bronze key, no count, or another size, checksum or number of lines.
    """
    key, told = listed.file, described(listed, metadata, len(body))
    digest = hashlib.sha256(body).hexdigest()
    if digest != metadata.get("sha256"):
        raise LoadError(f"{key}: expected sha256 {metadata.get('sha256')}, found {digest}")
    lines = _lines(key, body)
    if len(lines) != told.records:
        raise LoadError(f"{key}: expected {told.records} lines, found {len(lines)}")
    return LineFile(listed, told.topic, told.generation, told.partition, lines)


def _lines(key: str, body: bytes) -> list[bytes]:
    try:
        reader = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True)
        text = reader.read()
    except zstandard.ZstdError as error:
        raise LoadError(f"{key}: expected zstd, found {error}") from None
    if text and not text.endswith(b"\n"):
        raise LoadError(f"{key}: expected a newline at the end, found {text[-20:]!r}")
    # Only \n separates lines: \r and U+2028 are data, which splitlines() would split at.
    return text.split(b"\n")[:-1]


@contextmanager
def _store_errors(bucket: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "unknown")
        raise StoreError(f"bucket {bucket}: the store refused the request: {code}") from error
    except BotoCoreError as error:
        raise StoreUnavailableError(
            f"bucket {bucket}: the store does not answer: {error}"
        ) from error
