"""The object store's side of the stack: buckets, one identity per role, their policies."""

import json
from typing import Any, get_args

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

from infra.local import files
from infra.local.layout import Layout
from ingestion.errors import StackError
from ingestion.settings import StoreRole


def provision(layout: Layout) -> list[str]:
    """Make buckets, users and policies what the files declare; return what was changed.

    Raises:
        StackError: the store refused.
    """
    try:
        changes = _create_buckets(layout)
        if layout.store.kind == "minio":
            changes += _set_identities(layout)
    except (ClientError, BotoCoreError, MinioAdminException) as error:
        raise StackError(f"object store at {layout.store.url()}: {error}") from error
    return changes


def client(layout: Layout, role: StoreRole) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
    """Return an S3 client of one identity."""
    access, secret = layout.store.keys(role)
    return boto3.client(
        "s3",
        endpoint_url=layout.store.url(),
        region_name=layout.store.region,
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        config=Config(
            s3={"addressing_style": "path"},
            connect_timeout=5,
            read_timeout=20,
            retries={"total_max_attempts": 3},
        ),
    )


def _create_buckets(layout: Layout) -> list[str]:
    root = client(layout, "root")
    present = {bucket["Name"] for bucket in root.list_buckets()["Buckets"]}
    changes = []
    for bucket in files.declared("store/buckets.yml", layout)["buckets"]:
        if bucket["name"] not in present:
            root.create_bucket(Bucket=bucket["name"])
            changes.append(f"bucket {bucket['name']}")
        if bucket["versioned"] and layout.store.kind != "s3proxy":
            changes += _switch_versioning_on(root, bucket["name"])
    return changes


def _switch_versioning_on(root: Any, bucket: str) -> list[str]:  # noqa: ANN401 - see client
    if root.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled":
        return []
    root.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return [f"versioning of bucket {bucket}"]


def _set_identities(layout: Layout) -> list[str]:
    identities = admin(layout)
    changes = []
    for role in get_args(StoreRole):
        if role != "root":
            changes += _set_identity(identities, layout, role)
    return changes


def _set_identity(identities: MinioAdmin, layout: Layout, role: StoreRole) -> list[str]:
    access, secret = layout.store.keys(role)
    policy = f"tapehouse-{role}"
    identities.policy_add(policy, policy=files.declared(f"store/{role}.json", layout))
    known = access in json.loads(identities.user_list())
    # Always set: the store never tells a secret, so a changed one cannot be seen.
    identities.user_add(access, secret)
    identities.policy_set(policy, user=access)
    return [] if known else [f"store identity {role}"]


def admin(layout: Layout) -> MinioAdmin:
    """Return a client for users and policies, as root."""
    endpoint = layout.store.url()
    return MinioAdmin(
        endpoint=endpoint.split("://", 1)[1],
        credentials=StaticProvider(*layout.store.keys("root")),
        region=layout.store.region,
        secure=endpoint.startswith("https://"),
    )
