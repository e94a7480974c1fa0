"""What each store identity may and may not do, asked of the running store."""

import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pydantic import SecretStr

from infra.local import store
from ingestion.settings import StoreRole
from tests.conftest import RunningStack

pytestmark = pytest.mark.integration

BRONZE, LAKE = "bronze", "lake"
DOCTOR = ["doctor", "doctor-versioned"]


@pytest.fixture
def s3(stack: RunningStack) -> Callable[[StoreRole], Any]:
    return lambda role: store.client(stack.layout, role)


@pytest.fixture
def key(s3: Callable[[StoreRole], Any]) -> str:
    """A bronze object that the lander has put."""
    name = f"access/{uuid.uuid4().hex}"
    s3("lander").put_object(Bucket=BRONZE, Key=name, Body=b"first", IfNoneMatch="*")
    return name


@pytest.fixture
def lake_key(s3: Callable[[StoreRole], Any]) -> Iterator[str]:
    name = f"access/{uuid.uuid4().hex}"
    s3("lake").put_object(Bucket=LAKE, Key=name, Body=b"table")
    yield name
    s3("lake").delete_object(Bucket=LAKE, Key=name)


def is_denied(action: Callable[[], object]) -> bool:
    with pytest.raises(ClientError) as raised:
        action()
    return bool(raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403)


def content(client: Any, bucket: str, key: str, **extra: str) -> bytes:
    body: bytes = client.get_object(Bucket=bucket, Key=key, **extra)["Body"].read()
    return body


def test_the_lander_puts_gets_and_lists_bronze(s3: Callable[[StoreRole], Any], key: str) -> None:
    lander = s3("lander")
    assert content(lander, BRONZE, key) == b"first"
    assert key in [o["Key"] for o in lander.list_objects_v2(Bucket=BRONZE)["Contents"]]


def test_the_lander_puts_a_key_once(s3: Callable[[StoreRole], Any], key: str) -> None:
    with pytest.raises(ClientError) as raised:
        s3("lander").put_object(Bucket=BRONZE, Key=key, Body=b"second", IfNoneMatch="*")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_the_lander_deletes_neither_object_nor_version(
    s3: Callable[[StoreRole], Any], key: str
) -> None:
    lander = s3("lander")
    version = lander.head_object(Bucket=BRONZE, Key=key)["VersionId"]

    assert is_denied(lambda: lander.delete_object(Bucket=BRONZE, Key=key))
    assert is_denied(lambda: lander.delete_object(Bucket=BRONZE, Key=key, VersionId=version))
    batch = lander.delete_objects(Bucket=BRONZE, Delete={"Objects": [{"Key": key}]})

    assert batch["Errors"][0]["Code"] == "AccessDenied"
    assert content(s3("auditor"), BRONZE, key, VersionId=version) == b"first"


def test_an_overwrite_by_the_lander_leaves_the_first_version(
    s3: Callable[[StoreRole], Any], key: str
) -> None:
    s3("lander").put_object(Bucket=BRONZE, Key=key, Body=b"forged")

    auditor = s3("auditor")
    versions = auditor.list_object_versions(Bucket=BRONZE, Prefix=key)["Versions"]
    bodies = [content(auditor, BRONZE, key, VersionId=v["VersionId"]) for v in versions]
    assert sorted(bodies) == [b"first", b"forged"]


@pytest.mark.parametrize("role", ["lander", "lake", "loader", "auditor"])
def test_nobody_switches_versioning_off(s3: Callable[[StoreRole], Any], role: StoreRole) -> None:
    off = {"Status": "Suspended"}
    client = s3(role)
    assert is_denied(
        lambda: client.put_bucket_versioning(Bucket=BRONZE, VersioningConfiguration=off)
    )
    assert s3("auditor").get_bucket_versioning(Bucket=BRONZE)["Status"] == "Enabled"


def test_the_lander_sees_nothing_of_the_lake(s3: Callable[[StoreRole], Any], lake_key: str) -> None:
    lander = s3("lander")
    assert is_denied(lambda: lander.list_objects_v2(Bucket=LAKE))
    assert is_denied(lambda: lander.get_object(Bucket=LAKE, Key=lake_key))
    assert is_denied(lambda: lander.put_object(Bucket=LAKE, Key="x", Body=b"x"))
    assert [b["Name"] for b in lander.list_buckets()["Buckets"]] == [BRONZE, *DOCTOR]


@pytest.mark.parametrize("role", ["lake", "loader", "auditor"])
def test_bronze_is_written_by_the_lander_alone(
    s3: Callable[[StoreRole], Any], role: StoreRole, key: str
) -> None:
    client = s3(role)
    assert content(client, BRONZE, key) == b"first"
    assert is_denied(lambda: client.put_object(Bucket=BRONZE, Key="x", Body=b"x"))
    assert is_denied(lambda: client.delete_object(Bucket=BRONZE, Key=key))


@pytest.mark.parametrize("role", ["lake", "loader", "auditor"])
@pytest.mark.parametrize("bucket", DOCTOR)
def test_the_doctors_buckets_are_the_landers_alone(
    s3: Callable[[StoreRole], Any], role: StoreRole, bucket: str
) -> None:
    client = s3(role)
    assert is_denied(lambda: client.list_objects_v2(Bucket=bucket))
    assert is_denied(lambda: client.put_object(Bucket=bucket, Key="x", Body=b"x"))


@pytest.mark.parametrize("role", ["loader", "auditor"])
def test_the_lake_is_written_by_its_own_identity_alone(
    s3: Callable[[StoreRole], Any], role: StoreRole, lake_key: str
) -> None:
    client = s3(role)
    assert content(client, LAKE, lake_key) == b"table"
    assert is_denied(lambda: client.put_object(Bucket=LAKE, Key="x", Body=b"x"))
    assert is_denied(lambda: client.delete_object(Bucket=LAKE, Key=lake_key))


@pytest.mark.parametrize("role", ["lander", "lake", "loader", "auditor"])
def test_no_role_makes_or_drops_buckets(s3: Callable[[StoreRole], Any], role: StoreRole) -> None:
    client = s3(role)
    assert is_denied(lambda: client.create_bucket(Bucket="another"))
    assert is_denied(lambda: client.delete_bucket(Bucket=LAKE))


@pytest.mark.parametrize("bucket", [BRONZE, LAKE])
def test_no_bucket_is_public(stack: RunningStack, key: str, lake_key: str, bucket: str) -> None:
    name = key if bucket == BRONZE else lake_key
    for url in (f"/{bucket}", f"/{bucket}?list-type=2", f"/{bucket}/{name}", "/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(stack.layout.store.url() + url, timeout=10)
        assert refused.value.code == 403, url
        refused.value.close()


@pytest.mark.parametrize("bucket", [BRONZE, LAKE])
def test_an_unsigned_write_is_refused(stack: RunningStack, bucket: str) -> None:
    request = urllib.request.Request(
        f"{stack.layout.store.url()}/{bucket}/x", data=b"x", method="PUT"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    refused.value.close()


def test_the_vendors_default_password_opens_nothing(stack: RunningStack) -> None:
    default = {"lander_access_key": "minioadmin", "lander_secret_key": SecretStr("minioadmin")}
    settings = stack.layout.store.model_copy(update=default)
    layout = replace(stack.layout, store=settings)
    assert is_denied(lambda: store.client(layout, "lander").list_buckets())


def test_the_web_console_is_off(stack: RunningStack) -> None:
    request = urllib.request.Request(
        stack.layout.store.url() + "/", headers={"User-Agent": "Mozilla/5.0"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    assert refused.value.code == 403
    refused.value.close()
