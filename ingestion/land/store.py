"""The object store's side: create-only PUT, verified GET, the end of a chain by listing.

botocore's own retries are off: a client that repeats a PUT unseen turns its own success into a
412. Reads are repeated here a few times; what becomes of a PUT is the protocol core's decision.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ingestion.errors import StoreError, StoreUnavailableError
from ingestion.land import objects
from ingestion.land.protocol import Head, Partition, PutOutcome
from ingestion.settings import StoreRole, StoreSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_T = TypeVar("_T")

CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 60.0  # a slow store is waited for; a half-open socket costs this once
_READ_ATTEMPTS: Final = 3
# What a request without effect may meet and the same request may outlive.
_TRANSIENT_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})
# Of status 400, but what happened to the request on its way is at fault and not the request.
_TRANSIENT_CODES: Final = frozenset(
    {"BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch"}
)
_CONDITIONS: Final = {409: PutOutcome.CONFLICT, 412: PutOutcome.EXISTS}


def connect(
    settings: StoreSettings,
    role: StoreRole,
    connections: int = 16,
    read_timeout_s: float = READ_TIMEOUT_S,
) -> "S3Client":
    """Return an S3 client for a role; nothing is sent yet.

    Raises:
        SettingsError: the role's keys are not set.
    """
    access_key, secret_key = settings.keys(role)
    return boto3.client(
        "s3",
        endpoint_url=settings.url(),
        region_name=settings.region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(
            retries={"total_max_attempts": 1},
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=read_timeout_s,
            max_pool_connections=connections,
            # Some stores refuse checksum trailers; the signed payload covers the body everywhere.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path", "payload_signing_enabled": True},
        ),
    )


class BronzeStore:
    """The bronze bucket, as the lander sees it."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        # By chain, the first offset of the last object that a look at its end has found.
        self._seen: dict[tuple[Partition, str], int] = {}

    def check(self) -> str:
        """Make sure that the bucket can be listed; return what the store calls itself.

        Raises:
            StoreError: it cannot; the text says whether by refusal or silence.
        """
        answer = read(lambda: self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1))
        return answer["ResponseMetadata"]["HTTPHeaders"].get("server", "")

    def put(self, key: str, body: bytes, head: Head) -> tuple[PutOutcome, str]:
        """Create an object if its key is free; return how that ended and the store's words."""
        try:
            answer = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                Metadata=objects.metadata(head),
                ContentType="application/zstd",
                IfNoneMatch="*",
            )
        except ClientError as error:
            return _put_outcome(error), _words(error)
        except BotoCoreError as error:
            return PutOutcome.UNKNOWN, _words(error)
        if not answer.get("ETag"):  # something between us and the store may have said 200
            return PutOutcome.UNKNOWN, "PutObject: expected an ETag with status 200, found none"
        return PutOutcome.LANDED, ""

    def get(self, partition: Partition, generation: str, start: int) -> tuple[Head, bytes] | None:
        """Return an object's verified metadata and its stored bytes; None when there is none.

        Raises:
            ChainError: the object contradicts itself.
            StoreError: it could not be read.
        """
        key = objects.key(partition, generation, start)
        found = read(lambda: self._get(key))
        if found is None:
            return None
        fields, body = found
        return objects.verify(start, fields, body), body

    def last(self, partition: Partition, generation: str, since: int = 0) -> int | None:
        """Return the first offset of the last object whose first offset is at least ``since``.

        Raises:
            StoreError: the bucket could not be listed.
        """
        last = None
        for key in self._keys(partition, generation, since):
            last = key
        return None if last is None else objects.parse_key(last)[2]

    def chain_end(
        self,
        partition: Partition,
        generation: str,
        hint: Callable[[], int | None] = lambda: None,
    ) -> int:
        """Return the first offset that storage lacks.

        Each look lists from the last object that the one before found; the first, from the object
        that ``hint`` names by its first offset. The answer depends on neither: where nothing is
        found from there on, the chain is listed from its beginning.

        Raises:
            ChainError: the last object contradicts itself.
            StoreError: storage could not be read.
        """
        last = self._newest(partition, generation, hint)
        if last is None:
            return 0
        key = objects.key(partition, generation, last)
        answer = read(lambda: self._client.head_object(Bucket=self._bucket, Key=key))
        return objects.head_of(last, answer["Metadata"]).next

    def _newest(
        self, partition: Partition, generation: str, hint: Callable[[], int | None]
    ) -> int | None:
        chain = partition, generation
        since = self._seen[chain] if chain in self._seen else hint() or 0
        last = self.last(partition, generation, since)
        if last is None and since > 0:
            last = self.last(partition, generation)
        if last is not None:
            self._seen[chain] = last
        return last

    def _keys(self, partition: Partition, generation: str, since: int) -> Iterator[str]:
        # StartAfter is exclusive: the key of the offset before lets `since` itself be found.
        after = {"StartAfter": objects.key(partition, generation, since - 1)} if since > 0 else {}
        query: dict[str, Any] = {
            "Bucket": self._bucket,
            "Prefix": objects.prefix(partition, generation),
            **after,
        }
        while True:
            page = read(partial(self._client.list_objects_v2, **query))
            yield from (entry["Key"] for entry in page.get("Contents", []))
            if not page.get("IsTruncated"):
                return
            query["ContinuationToken"] = page["NextContinuationToken"]

    def _get(self, key: str) -> tuple[dict[str, str], bytes] | None:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key)
            return answer["Metadata"], answer["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return None
            raise


def read(request: Callable[[], _T]) -> _T:
    """Return the answer of a request without effect; repeat it a few times while none comes.

    Raises:
        StoreUnavailableError: the store does not answer, or not now.
        StoreError: it refuses.
    """
    attempts = Retrying(
        retry=retry_if_exception_type(StoreUnavailableError),
        stop=stop_after_attempt(_READ_ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=1.0),
        reraise=True,
    )
    answer: _T = attempts(_translated, request)
    return answer


def _translated(request: Callable[[], _T]) -> _T:
    try:
        return request()
    except ClientError as error:
        if _is_transient(error):
            raise StoreUnavailableError(f"the store is not available: {_words(error)}") from error
        raise StoreError(f"the store refuses: {_words(error)}") from error
    except BotoCoreError as error:
        raise StoreUnavailableError(f"the store does not answer: {_words(error)}") from error


def _put_outcome(error: ClientError) -> PutOutcome:
    status = _status(error)
    if status in _CONDITIONS:
        return _CONDITIONS[status]
    return PutOutcome.UNKNOWN if _is_transient(error) else PutOutcome.REFUSED


def _is_transient(error: ClientError) -> bool:
    said = error.response["Error"].get("Code")
    return _status(error) in _TRANSIENT_STATUS or said in _TRANSIENT_CODES


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"].get("HTTPStatusCode", 500))


def _words(error: Exception) -> str:
    if isinstance(error, ClientError):
        said = error.response["Error"]
        return f"{error.operation_name}: {said.get('Code', '?')}: {said.get('Message', '')}"
    return " ".join(str(error).split())
