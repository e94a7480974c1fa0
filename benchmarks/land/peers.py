"""What the lander is compared with; each is started, watched and checked for what it did."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.land import measure
from benchmarks.land.data import Sent
from infra.local import config
from infra.local.layout import TOOLS, java
from infra.setup import artifacts
from infra.setup.console import Console
from ingestion.errors import TapehouseError
from ingestion.settings import ROOT, KafkaSettings

OBJECT_EACH: Final = 5_000
_WORKER: Final = "org.apache.kafka.connect.cli.ConnectStandalone"


def client(what: str, topic: str, count: int, environment: Mapping[str, str]) -> measure.Run:
    """Measure one of the plain clients (``drop``, ``put-each``)."""
    return _script("benchmarks.land.clients", (what, topic, str(count)), count, environment)


def spark(topic: str, count: int, environment: Mapping[str, str]) -> measure.Run:
    """Measure Structured Streaming from the query's start to its end."""
    return _script("benchmarks.land.spark", (topic,), count, environment)


def _script(
    module: str, words: tuple[str, ...], count: int, environment: Mapping[str, str]
) -> measure.Run:
    log = Path(environment["TAPEHOUSE_ENV_FILE"]).with_name("peer.log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT, env=os.environ | dict(environment), stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        samples = measure.watch([process])
    measure.require_success(process, log)
    said = json.loads(process.stdout.read()) if process.stdout else {}
    _require(module, said["records"], count)
    return measure.run_of(samples, count, said["begin"], said["end"])


def connect(topic: str, sent: Sent, environment: Mapping[str, str]) -> measure.Run:
    """Measure Connect's own runtime with its file sink, from the first byte to the last."""
    home = Path(environment["TAPEHOUSE_ENV_FILE"]).parent / f"connect-{time.monotonic_ns()}"
    home.mkdir(mode=0o700)
    output = home / "records.txt"
    whole = sent.value_bytes + sent.records  # a newline each
    began: list[float] = []

    def is_over() -> bool:
        size = output.stat().st_size if output.exists() else 0
        if size and not began:
            began.append(time.time())
        return size >= whole

    with (home / "connect.log").open("wb") as log:
        process = subprocess.Popen(_command(home, topic, output), stdout=log, stderr=log)
        samples = measure.watch([process], is_over)
    end = samples[-1].at
    _require("the file's bytes", output.stat().st_size if output.exists() else 0, whole)
    output.unlink()
    return measure.run_of(samples, sent.records, began[0], end)


def resolve_connect() -> None:
    """Fetch Connect's jars where they are not in the cache yet."""
    jars = artifacts.jars("connect", ROOT, Console(total=1))
    if not jars.is_ready():
        jars.make()


def _command(home: Path, topic: str, output: Path) -> list[str]:
    worker, sink = home / "worker.properties", home / "sink.properties"
    worker.touch(mode=0o600)
    worker.write_text(config.properties(_worker(home)))
    sink.write_text(config.properties(_sink(home.name, topic, output)))
    jars = f"{TOOLS / 'connect-jars'}/*"
    return [java(), "-Xms256m", "-Xmx1g", "-cp", jars, _WORKER, str(worker), str(sink)]


def _worker(home: Path) -> dict[str, str]:
    # The super user: Connect makes group names of its own, which no declared ACL covers.
    login = KafkaSettings.load().client("admin")
    jaas = config.jaas(
        "scram.ScramLoginModule", username=login["sasl.username"], password=login["sasl.password"]
    )
    security = {
        "security.protocol": login["security.protocol"],
        "sasl.mechanism": login["sasl.mechanism"],
        "sasl.jaas.config": jaas,
    }
    return {
        "bootstrap.servers": login["bootstrap.servers"],
        "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
        # The sink prints what it is given: of bytes that would be their address, not the record.
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        "offset.storage.file.filename": str(home / "offsets"),
        "listeners": "http://127.0.0.1:0",
        "consumer.max.poll.records": "5000",
        **security,
        **{f"consumer.{name}": value for name, value in security.items()},
    }


def _sink(name: str, topic: str, output: Path) -> dict[str, str]:
    return {
        "name": name,  # of its group too: another run's has read everything
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1",
        "topics": topic,
        "file": str(output),
    }


def _require(what: str, found: int, expected: int) -> None:
    if found != expected:
        raise TapehouseError(f"{what}: expected {expected:,}, found {found:,}")
