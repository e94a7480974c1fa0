"""``python -m drill hour``: one market hour of a bad day, against a Kafka of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import Consumer, Message, TopicPartition

from drill.hour.judge import Verdict, judge, unplayed
from drill.hour.play import Player, hour
from drill.hour.truth import Record
from infra.local import scratch
from ingestion.contracts.topics import TOPICS
from ingestion.errors import StackError
from ingestion.settings import ROOT, KafkaSettings, ProjectSettings, known

_TIMEOUT_S = 30.0


def play(
    seconds: Annotated[
        float | None,
        typer.Option(min=30, help="Wall time of the market hour; without, the full 180 s."),
    ] = None,
) -> None:
    """Play a market hour with faults and restarts on local providers; compare Kafka with them.

    Exits 0 only where every observation that the servers handed out is in Kafka once, no budget was
    exceeded, and each refused body is a dead letter.
    """
    folder = ProjectSettings.load().state("drill", "hour")
    shutil.rmtree(folder, ignore_errors=True)
    with _kafka(folder / "stack"):
        # The producers find Kafka through the settings file that is in force.
        played = Player(hour(seconds), folder, {}).play()
        found = [record for topic in TOPICS for record in _records(topic)]
    verdict = judge(played.truth, found, played.texts)
    failed = [(name, code) for name, code in played.codes if code not in (0, -9)]
    verdict.require(not failed, f"producers that failed: {failed}")
    verdict.wrong += [f"did not happen: {name}" for name in unplayed(played.truth)]
    _tell(verdict, folder)
    if verdict.wrong:
        raise typer.Exit(1)


@contextmanager
def _kafka(home: Path) -> Iterator[None]:
    """Start a broker of our own, and have this process and its children read its settings."""
    for name in known() & os.environ.keys():
        del os.environ[name]  # an exported setting would take the place of the broker's own
    os.environ.update(scratch.prepare(home))
    _stack("up", "kafka")
    try:
        yield
    finally:
        _stack("down")


def _stack(*words: str) -> None:
    line = [sys.executable, "-m", "infra.local", *words]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"stack {' '.join(words)}: {done.stderr.strip()}")


def _records(topic: str) -> list[Record]:
    """Return all that a topic holds."""
    config = KafkaSettings.load().client("admin") | {"group.id": "drill-hour"}
    consumer = Consumer({**config, "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic].partitions
        left = 0
        for number in partitions:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), _TIMEOUT_S)
            left += high - low
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        found: list[Record] = []
        while len(found) < left:
            batch = consumer.consume(left - len(found), _TIMEOUT_S)
            if not batch:
                raise StackError(f"{topic}: expected {left} records, found {len(found)}")
            for one in batch:
                if one.error():
                    raise StackError(f"{topic}: {one.error()}")
                found.append(_record(topic, one))
        return found
    finally:
        consumer.close()


def _record(topic: str, message: Message) -> Record:
    def as_bytes(part: str | bytes | None) -> bytes:
        return part.encode() if isinstance(part, str) else part or b""

    headers = {name: as_bytes(value) for name, value in dict(message.headers() or ()).items()}
    return Record(topic, as_bytes(message.value()), headers, as_bytes(message.key()))


def _tell(verdict: Verdict, folder: Path) -> None:
    for name, number in verdict.figures.items():
        typer.echo(f"{name.replace('_', ' '):24} {number:8}")
    for line in verdict.wrong:
        typer.echo(f"wrong: {line}", err=True)
    typer.echo(f"{'red' if verdict.wrong else 'green'}; logs in {folder / 'logs'}")
