"""The lander itself: the product's own command, and what bronze holds after it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import IO, Any, Final, Literal

from benchmarks import stack
from benchmarks.land import measure
from ingestion.clock import SystemClock
from ingestion.errors import TapehouseError
from ingestion.land import objects
from ingestion.land.connection import Connection
from ingestion.land.protocol import Partition
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import ROOT, KafkaSettings, StoreSettings

Profile = Literal["default", "fast"]
Event = tuple[str, float, dict[str, Any]]
_JOIN_S: Final = 60.0
_LOOK_S: Final = 0.2
_LOCATE_S: Final = 3.0
_numbers: Final = count(1)


def fresh(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a bronze bucket and a group that nobody has used yet."""
    number = next(_numbers)
    own = {"STORE_BRONZE_BUCKET": f"bronze-{number}", "KAFKA_LANDERS_GROUP": f"landers-{number}"}
    changed = {**environment, **own}
    stack.command(changed, "provision")
    return changed


def land(profile: Profile, topic: str, records: int, environment: Mapping[str, str]) -> measure.Run:
    """Land what Kafka holds by one process; measure from its first partition to its last object.

    Raises:
        TapehouseError: a lander failed, or bronze does not hold every record.
    """
    own = {**fresh(environment), "LAND_PROFILE": profile}
    home = Path(environment["TAPEHOUSE_ENV_FILE"]).parent
    log = home / "lander.log"
    with log.open("wb") as file:
        lander = start(own, file, "--once")
        samples = measure.watch([lander])
    measure.require_success(lander, log)
    require_landed(topic, records, own)
    return measure.run_of(samples, records, *span(log.read_text().splitlines()))


def start(environment: Mapping[str, str], log: IO[bytes], *words: str) -> "subprocess.Popen[bytes]":
    """Start a lander."""
    line = [sys.executable, "-m", "ingestion", "land", *words]
    settings = os.environ | dict(environment)
    return subprocess.Popen(line, cwd=ROOT, env=settings, stdout=log, stderr=log)


def await_partitions(log: Path) -> None:
    """Wait until a lander has partitions, and some seconds more, in which it locates its chains.

    Raises:
        TapehouseError: it has none for a long time.
    """
    deadline = time.monotonic() + _JOIN_S
    while not any(name == "assigned" and one["partitions"] for name, _, one in told(log)):
        if time.monotonic() > deadline:
            raise TapehouseError(f"a lander has no partitions after {_JOIN_S:.0f} s: see {log}")
        time.sleep(_LOOK_S)
    time.sleep(_LOCATE_S)


def told(log: Path) -> list[Event]:
    """Return what a lander has told so far; a line that is being written is left out."""
    text = log.read_text()
    return list(events(text[: text.rfind("\n") + 1].splitlines()))


def require_landed(topic: str, records: int, environment: Mapping[str, str]) -> None:
    """Read bronze back and compare it with Kafka.

    Raises:
        TapehouseError: it does not hold as many records as were sent.
        ChainError: an object contradicts itself or the chain.
    """
    found = sum(lines for _, lines in stored(topic, environment))
    if found != records:
        raise TapehouseError(f"expected {records:,} records of {topic} in bronze, found {found:,}")


def stored(topic: str, environment: Mapping[str, str]) -> Iterable[tuple[Partition, int]]:
    """Yield (partition, lines) of each object along the chains of a topic, all bytes verified."""
    questions, store = _clients(environment)
    generation = questions.generation(topic)
    for partition in questions.partitions([topic]):
        start, end = 0, questions.watermarks(partition)[1]
        while start < end:
            found = store.get(partition, generation, start)
            if found is None:
                raise TapehouseError(f"{partition}: no object at {start} of {end}")
            head, body = found
            yield partition, objects.decompress(body).count(b"\n")
            start = head.next


def _clients(environment: Mapping[str, str]) -> tuple[Questions, BronzeStore]:
    store = StoreSettings.load()
    bucket = environment["STORE_BRONZE_BUCKET"]
    group = environment["KAFKA_LANDERS_GROUP"]
    settings = KafkaSettings.load().model_copy(update={"landers_group": group})
    questions = Questions(Connection(settings, SystemClock()))
    return questions, BronzeStore(connect(store, "lander", 1), bucket)


def span(logs: Iterable[str]) -> tuple[float, float]:
    """Return when a lander had partitions first and landed last (seconds since the epoch)."""
    found = list(events(logs))
    assigned = [at for name, at, one in found if name == "assigned" and one["partitions"]]
    landed = [at for name, at, _ in found if name == "landed"]
    return min(assigned), max(landed)


def events(log: Iterable[str]) -> Iterator[Event]:
    """Yield what a lander told: event, moment (seconds since the epoch), fields."""
    for line in log:
        if line.startswith("{"):
            told = json.loads(line)
            yield told["event"], datetime.fromisoformat(told["timestamp"]).timestamp(), told
