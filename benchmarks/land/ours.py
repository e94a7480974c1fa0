"""The lander itself: the product's own command, and what bronze holds after it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
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
_Event = tuple[str, float, dict[str, Any]]
_numbers: Final = count(1)


def fresh(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a bronze bucket and a group that nobody has used yet."""
    number = next(_numbers)
    own = {"STORE_BRONZE_BUCKET": f"bronze-{number}", "KAFKA_LANDERS_GROUP": f"landers-{number}"}
    changed = {**environment, **own}
    stack.command(changed, "provision")
    return changed


def land(
    profile: Profile, processes: int, topic: str, records: int, environment: Mapping[str, str]
) -> measure.Run:
    """Land what Kafka holds; measure while every process has something to land.

    Raises:
        TapehouseError: a lander failed, or bronze does not hold every record.
    """
    own = {**fresh(environment), "LAND_PROFILE": profile}
    home = Path(environment["TAPEHOUSE_ENV_FILE"]).parent
    logs = [home / f"lander-{number}.log" for number in range(processes)]
    with ExitStack() as files:
        landers = [start(own, files.enter_context(log.open("wb")), "--once") for log in logs]
        samples = measure.watch(landers)
    for lander, log in zip(landers, logs, strict=True):
        measure.require_success(lander, log)
    require_landed(topic, records, own)
    begin, end, landed = span([log.read_text().splitlines() for log in logs])
    return measure.run_of(samples, landed, begin, end)


def start(environment: Mapping[str, str], log: IO[bytes], *words: str) -> "subprocess.Popen[bytes]":
    """Start a lander."""
    line = [sys.executable, "-m", "ingestion", "land", *words]
    settings = os.environ | dict(environment)
    return subprocess.Popen(line, cwd=ROOT, env=settings, stdout=log, stderr=log)


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


def span(logs: Sequence[Iterable[str]]) -> tuple[float, float, int]:
    """Return from when to when all landers worked (seconds since the epoch), and what was landed.

    From the moment when the last of them had partitions to that when the first had no more to land:
    joining a group takes seconds, which a service spends once.

    Raises:
        TapehouseError: one of them has landed nothing in between.
    """
    told = [[_event(line) for line in log if line.startswith("{")] for log in logs]
    begin = max(min(_moments(events, "assigned", "partitions")) for events in told)
    landed = [[one for one in events if one[0] == "landed" and one[1] > begin] for events in told]
    if not all(landed):
        raise TapehouseError("a lander has landed nothing beside the others: send more records")
    end = min(max(at for _, at, _ in events) for events in landed)
    count = sum(one["count"] for events in landed for _, at, one in events if at <= end)
    return begin, end, count


def _moments(events: Iterable[_Event], name: str, needs: str) -> list[float]:
    return [at for event, at, told in events if event == name and told[needs]]


def _event(line: str) -> _Event:
    told = json.loads(line)
    return told["event"], datetime.fromisoformat(told["timestamp"]).timestamp(), told
