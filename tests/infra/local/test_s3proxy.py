"""The store where Go is missing: S3Proxy starts, keeps one winner a key, knows who may write."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from infra.local import store
from infra.setup import artifacts
from infra.setup.console import Console
from ingestion.settings import ROOT, StoreRole
from tests.conftest import RunningStack, StackFactory

pytestmark = pytest.mark.integration

ROUNDS, WRITERS = 15, 8


@pytest.fixture(scope="module")
def proxy(stack_factory: StackFactory) -> Iterator[RunningStack]:
    jars = artifacts.jars("s3proxy", ROOT, Console(1))
    if not jars.is_ready():
        jars.make()
    running = stack_factory.make("s3proxy", ("store",), STORE_KIND="s3proxy")
    yield running
    running.stack.down()


def put(client: Any, key: str, body: bytes, outcomes: list[int]) -> None:
    try:
        answer = client.put_object(Bucket="bronze", Key=key, Body=body, IfNoneMatch="*")
    except ClientError as error:
        answer = error.response
    outcomes.append(answer["ResponseMetadata"]["HTTPStatusCode"])


def test_a_create_only_race_has_one_winner_across_identities(proxy: RunningStack) -> None:
    roles: list[StoreRole] = ["lander", "lake"]
    clients = [store.client(proxy.layout, roles[n % 2]) for n in range(WRITERS)]
    for number in range(ROUNDS):
        key, outcomes = f"race/{number}", list[int]()
        threads = [
            threading.Thread(target=put, args=(client, key, bytes([n]) * 5000, outcomes))
            for n, client in enumerate(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes.count(200) == 1, outcomes
        assert outcomes.count(412) == WRITERS - 1, outcomes
        body = clients[0].get_object(Bucket="bronze", Key=key)["Body"].read()
        assert len(body) == 5000
        assert len(set(body)) == 1


def test_metadata_is_kept_and_listed_after_a_key(proxy: RunningStack) -> None:
    lander = store.client(proxy.layout, "lander")
    for number in range(3):
        lander.put_object(
            Bucket="bronze", Key=f"list/{number}", Body=b"x", Metadata={"next": str(number)}
        )

    listing = lander.list_objects_v2(Bucket="bronze", Prefix="list/", StartAfter="list/0")

    assert [o["Key"] for o in listing["Contents"]] == ["list/1", "list/2"]
    assert lander.head_object(Bucket="bronze", Key="list/2")["Metadata"] == {"next": "2"}


@pytest.mark.parametrize("role", ["loader", "auditor"])
def test_readers_cannot_write(proxy: RunningStack, role: StoreRole) -> None:
    client = store.client(proxy.layout, role)
    client.list_objects_v2(Bucket="bronze")
    with pytest.raises(ClientError):
        client.put_object(Bucket="bronze", Key="forged", Body=b"x")
    listing = store.client(proxy.layout, "root").list_objects_v2(Bucket="bronze", Prefix="forged")
    assert listing["KeyCount"] == 0


def test_a_wrong_secret_is_refused(proxy: RunningStack) -> None:
    client = store.client(proxy.layout, "lander")
    client._request_signer._credentials.secret_key = "wrong"
    with pytest.raises(ClientError) as refused:
        client.list_objects_v2(Bucket="bronze")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_the_store_doctor_passes_it_and_says_what_it_cannot_have(
    proxy: RunningStack, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    amount = ("--rounds", "12", "--racers", "8", "--processes", "2", "--lists", "40")
    done = proxy.run("ingestion", "doctor", *amount, "--report", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    checks = {one["check"]: one["verdict"] for one in json.loads(report.read_text())["checks"]}
    assert {name for name, verdict in checks.items() if verdict == "skipped"} == {
        "race of threads, versioned",
        "race of processes, versioned",
        "lander may not",
        "versions in bronze",
    }
    assert set(checks.values()) == {"ok", "skipped"}
    for bucket in ("doctor", "doctor-versioned"):
        left = store.client(proxy.layout, "lander").list_objects_v2(Bucket=bucket)
        assert left["KeyCount"] == 0
