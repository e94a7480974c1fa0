"""Which bronze objects lie beyond a position, from listings proportional to what is new."""

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from ingestion.errors import ChainError, StoreError, StoreUnavailableError
from ingestion.settings import StoreSettings
from spark_jobs.positions import Chain

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_FOLDER: Final = re.compile(r"^(?P<topic>[^/]+)/g=(?P<generation>[^/]+)/p=(?P<partition>\d{5})/$")
_KEY: Final = re.compile(r"/(?P<start>\d{20})\.jsonl\.zst$")
_HEADS_AT_ONCE: Final = 16
_REFUSED: Final = {
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "403",
    "Forbidden",
}


class Bronze(Protocol):
    """What is asked of the place where bronze lies."""

    def folders(self, prefix: str) -> list[str]:
        """Return the folders directly below ``prefix``, each ending in a slash."""
        ...

    def keys(self, prefix: str, start_after: str) -> Iterator[str]:
        """Yield the keys below ``prefix`` that sort after ``start_after``, in order."""
        ...

    def metadata(self, key: str) -> Mapping[str, str]:
        """Return an object's metadata."""
        ...

    def uri(self, key: str) -> str:
        """Return where Spark reads the object."""
        ...


@dataclass(frozen=True, slots=True)
class BronzeObject:
    """One bronze object: the interval ``[start, next)`` of a chain and its record count."""

    chain: Chain
    start: int
    next: int
    count: int
    key: str


def beyond(
    bronze: Bronze, topics: tuple[str, ...], position: Callable[[Chain], int]
) -> list[BronzeObject]:
    """Return the objects that lie now beyond each chain's position, each chain's in order.

    Raises:
        ChainError: a folder is not that of a chain; or an object does not begin where the one
            before it, or the position, ends.
        StoreError: the store does not answer or refuses.
    """
    found = []
    for chain, folder in chains(bronze, topics):
        objects = _objects(bronze, chain, list(_keys(bronze, folder, position(chain))))
        _check_chain(objects, position(chain))
        found.extend(objects)
    return found


def left(objects: list[BronzeObject], position: Callable[[Chain], int]) -> list[BronzeObject]:
    """Return those of ``objects`` that lie beyond each chain's position as it is by now.

    Raises:
        ChainError: a position is none at which one of them ends.
    """
    reached = {chain: position(chain) for chain in {item.chain for item in objects}}
    found = [item for item in objects if item.start >= reached[item.chain]]
    for chain, start in reached.items():
        _check_chain([item for item in found if item.chain == chain][:1], start)
    return found


def chains(bronze: Bronze, topics: tuple[str, ...]) -> Iterator[tuple[Chain, str]]:
    """Yield every chain of the topics, with its folder."""
    for topic in topics:
        for generation in bronze.folders(f"{topic}/"):
            for folder in bronze.folders(generation):
                match = _FOLDER.match(folder)
                if match is None:
                    raise ChainError(f"expected <topic>/g=<id>/p=<partition>/, found {folder!r}")
                yield Chain(match["topic"], match["generation"], int(match["partition"])), folder


def _keys(bronze: Bronze, folder: str, position: int) -> Iterator[str]:
    # A position is always the end of an object: the next one's key is at or after it, and
    # listing starts after a key, not at it.
    start_after = f"{folder}{position - 1:020d}.jsonl.zst" if position else folder
    return bronze.keys(folder, start_after)


def _objects(bronze: Bronze, chain: Chain, keys: list[str]) -> list[BronzeObject]:
    with ThreadPoolExecutor(_HEADS_AT_ONCE) as pool:
        return [
            _object(chain, key, metadata)
            for key, metadata in zip(keys, pool.map(bronze.metadata, keys), strict=True)
        ]


def _object(chain: Chain, key: str, metadata: Mapping[str, str]) -> BronzeObject:
    match = _KEY.search(key)
    if match is None or not {"next", "count"} <= metadata.keys():
        raise ChainError(f"{key}: expected <offset>.jsonl.zst with metadata next and count")
    return BronzeObject(
        chain, int(match["start"]), int(metadata["next"]), int(metadata["count"]), key
    )


def _check_chain(objects: list[BronzeObject], position: int) -> None:
    for item in objects:
        # A chain's first object may start above 0: retention had removed what was before it.
        if item.start != position and (position or item is not objects[0]):
            raise ChainError(f"{item.key}: expected the chain to go on at {position}")
        position = item.next


class S3Bronze:
    """Bronze in the object store, read as the role ``lake``."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    def connect(cls, store: StoreSettings) -> "S3Bronze":
        """Return a reader with short timeouts.

        Raises:
            SettingsError: the role's keys are not set.
        """
        access_key, secret_key = store.keys("lake")
        client = boto3.client(
            "s3",
            endpoint_url=store.url(),
            region_name=store.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
            config=Config(
                connect_timeout=3,
                read_timeout=20,
                retries={"total_max_attempts": 3, "mode": "standard"},
                s3={"addressing_style": "path"},
                max_pool_connections=_HEADS_AT_ONCE,
            ),
        )
        return cls(client, store.bronze_bucket)

    def folders(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, Delimiter="/"
        )
        with _store_errors(self._bucket):
            return [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]

    def keys(self, prefix: str, start_after: str) -> Iterator[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, StartAfter=start_after
        )
        with _store_errors(self._bucket):
            for page in pages:
                yield from (item["Key"] for item in page.get("Contents", []))

    def metadata(self, key: str) -> Mapping[str, str]:
        with _store_errors(self._bucket):
            return self._client.head_object(Bucket=self._bucket, Key=key)["Metadata"]

    def uri(self, key: str) -> str:
        return f"s3a://{self._bucket}/{key}"


class _store_errors:  # noqa: N801 - used as a statement
    def __init__(self, bucket: str) -> None:
        self._bucket = bucket

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ClientError):
            code = error.response.get("Error", {}).get("Code", "?")
            who = "the store refuses the role `lake`" if code in _REFUSED else "the store answers"
            raise StoreError(f"bucket {self._bucket}: {who} with {code}") from error
        if isinstance(error, BotoCoreError):
            raise StoreUnavailableError(f"bucket {self._bucket}: {error}") from error
