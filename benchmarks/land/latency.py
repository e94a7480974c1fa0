"""From produce to bronze: a steady rate below capacity, one lander with the default profile."""

import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.land import data, joined, ours
from infra.local import store
from infra.local.layout import Layout
from ingestion.errors import TapehouseError
from ingestion.land import objects, process
from ingestion.settings import StoreSettings

RATE: Final = 20_000  # messages a second
SECONDS: Final = 30
_STEP_S: Final = 0.02
_WAIT_S: Final = 30.0
_TIMESTAMP: Final = re.compile(rb'^\{"offset":\d+,"timestamp":(\d+)', re.MULTILINE)


class Latency(NamedTuple):
    """Seconds from a record's Kafka timestamp to its object's LastModified."""

    records: int
    p50_s: float
    p99_s: float


def measure(topic: str, environment: Mapping[str, str]) -> Latency:
    """Send at `RATE` for `SECONDS` while a lander runs, on a stack that is empty.

    Raises:
        TapehouseError: what was sent is not in bronze some time later.
    """
    log = Path(environment["TAPEHOUSE_ENV_FILE"]).with_name("steady.log")
    with log.open("wb") as file:
        lander = ours.start(environment, file)
        try:
            joined.wait([lander], process.run_folder())
            sent = data.fill(topic, _paced(RATE * SECONDS))
            waits = _wait_for(sent.records, lander)
        finally:
            lander.terminate()
            lander.wait()
    waits.sort()
    return Latency(len(waits), _share(waits, 0.5), _share(waits, 0.99))


def _paced(records: int) -> Iterator[data.Item]:
    items, due = data.made_up(records), time.monotonic()
    while step := list(islice(items, int(RATE * _STEP_S))):
        time.sleep(max(0.0, due - time.monotonic()))
        due += _STEP_S
        yield from step


def _wait_for(records: int, lander: "subprocess.Popen[bytes]") -> list[float]:
    deadline = time.monotonic() + _WAIT_S
    waits: list[float] = []
    while len(waits) < records:
        if lander.poll() is not None or time.monotonic() > deadline:
            raise TapehouseError(f"expected {records:,} records in bronze, found {len(waits):,}")
        time.sleep(1.0)
        waits = list(_waits(StoreSettings.load().bronze_bucket))
    return waits


def _waits(bucket: str) -> Iterator[float]:
    root = store.client(Layout.load(), "root")
    for page in root.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            at = entry["LastModified"].timestamp()
            yield from (at - stamp for stamp in _stamps(root, bucket, entry["Key"]))


def _stamps(root: Any, bucket: str, key: str) -> Iterator[float]:  # noqa: ANN401 - boto3's client
    body = root.get_object(Bucket=bucket, Key=key)["Body"].read()
    return (int(stamp) / 1000 for stamp in _TIMESTAMP.findall(objects.decompress(body)))


def _share(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
