"""The lander itself: the product's own command, and what bronze holds after it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import IO, Any, Final, Literal, NamedTuple

from benchmarks import stack
from benchmarks.land import data, measure
from ingestion.clock import SystemClock
from ingestion.errors import TapehouseError
from ingestion.land import objects
from ingestion.land.connection import Connection
from ingestion.land.questions import Questions
from ingestion.land.store import BronzeStore, connect
from ingestion.settings import ROOT, KafkaSettings, StoreSettings

Profile = Literal["default", "fast"]
_VALUE: Final = b',"value":'  # stands nowhere else in the line of a made-up message
_numbers: Final = count(1)


class Event(NamedTuple):
    """What a lander told: event, moment (seconds since the epoch), fields."""

    name: str
    at: float
    told: dict[str, Any]


def fresh(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with a bronze bucket and a group that nobody has used yet."""
    number = next(_numbers)
    own = {"STORE_BRONZE_BUCKET": f"bronze-{number}", "KAFKA_LANDERS_GROUP": f"landers-{number}"}
    changed = {**environment, **own}
    stack.command(changed, "provision")
    return changed


def land(
    profile: Profile, topic: str, sent: data.Sent, environment: Mapping[str, str]
) -> measure.Run:
    """Land what Kafka holds by one process; measure from its first partition to its last object.

    Raises:
        TapehouseError: a lander failed, or bronze does not hold what was sent.
    """
    own = {**fresh(environment), "LAND_PROFILE": profile}
    home = Path(environment["TAPEHOUSE_ENV_FILE"]).parent
    log = home / "lander.log"
    with log.open("wb") as file:
        lander = start(own, file, "--once")
        samples = measure.watch([lander])
    measure.require_success(lander, log)
    require_landed(topic, sent, own)
    return measure.run_of(samples, sent.records, *span(log.read_text().splitlines()))


def start(environment: Mapping[str, str], log: IO[bytes], *words: str) -> "subprocess.Popen[bytes]":
    """Start a lander."""
    line = [sys.executable, "-m", "ingestion", "land", *words]
    settings = os.environ | dict(environment)
    return subprocess.Popen(line, cwd=ROOT, env=settings, stdout=log, stderr=log)


def told(log: Path) -> list[Event]:
    """Return what a lander has told so far; a line that is being written is left out."""
    text = log.read_text()
    return list(events(text[: text.rfind("\n") + 1].splitlines()))


def require_landed(topic: str, sent: data.Sent, environment: Mapping[str, str]) -> None:
    """Read bronze back and compare it with what was sent: its number and, where known, its values.

    Raises:
        TapehouseError: it holds more, less or something else.
        ChainError: an object contradicts itself or the chain.
    """
    records = total = 0
    for body in stored(topic, environment):
        lines = body.split(b"\n")[:-1]
        records += len(lines)
        total += data.digest(values(lines))
    if records != sent.records:
        raise TapehouseError(
            f"expected {sent.records:,} records of {topic} in bronze, found {records:,}"
        )
    if sent.digest not in {None, total}:
        raise TapehouseError(f"{topic}: expected the values that were sent in bronze, found others")


def values(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the values of made-up messages, by position: parsing takes ten times as long."""
    return (line.partition(_VALUE)[2][:-1] for line in lines)


def stored(topic: str, environment: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the lines of each object along the chains of a topic, all bytes verified."""
    questions, store = _clients(environment)
    generation = questions.generation(topic)
    for partition in questions.partitions([topic]):
        start, end = 0, questions.watermarks(partition)[1]
        while start < end:
            found = store.get(partition, generation, start)
            if found is None:
                raise TapehouseError(f"{partition}: no object at {start} of {end}")
            head, body = found
            yield objects.decompress(body)
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
    assigned = [one.at for one in found if one.name == "assigned" and one.told["partitions"]]
    landed = [one.at for one in found if one.name == "landed"]
    return min(assigned), max(landed)


def events(log: Iterable[str]) -> Iterator[Event]:
    """Yield what a lander told."""
    for line in log:
        if line.startswith("{"):
            told = json.loads(line)
            at = datetime.fromisoformat(told["timestamp"]).timestamp()
            yield Event(told["event"], at, told)
