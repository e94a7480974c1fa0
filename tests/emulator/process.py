"""The emulator as a process of its own, and connections to it that end when something hangs."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import snowflake.connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.connector import SnowflakeConnection

from infra.local import scratch
from ingestion.settings import ROOT
from tests.emulator.copying import BUCKETS

HOST = "127.0.0.1"
DATABASE = "STOCKS_MDS"
# On a machine that is busy with other tests, imports alone have taken half a minute.
_READY_S = 120.0
# Nothing that tests send takes longer than some seconds.
_STATEMENT_S = 60


@dataclass(frozen=True)
class Emulator:
    """A running emulator; its data live in memory and end with it."""

    port: int
    key: Path
    log: Path
    buckets: Path
    """The folder whose folders are the buckets of external stages."""

    @property
    def environment(self) -> dict[str, str]:
        """The settings of our commands and of dbt; one key is everybody's: none is checked."""
        users = ("ADMIN", "LOADER", "TRANSFORMER", "READER")
        return {f"SNOWFLAKE_{user}_PRIVATE_KEY_PATH": str(self.key) for user in users} | {
            "DBT_TARGET": "snowflake",
            "SNOWFLAKE_ACCOUNT": "emulator",
            "SNOWFLAKE_ADMIN_USER": "ADMIN",
            "SNOWFLAKE_ALLOWED_IPS": HOST,
            "SNOWFLAKE_DATABASE": DATABASE,
            "SNOWFLAKE_HOST": HOST,
            "SNOWFLAKE_PORT": str(self.port),
            "SNOWFLAKE_PROTOCOL": "http",
        }

    def connect(self, database: str = DATABASE) -> SnowflakeConnection:
        return snowflake.connector.connect(
            account="emulator",
            user="TRANSFORMER",
            private_key_file=str(self.key),
            host=HOST,
            port=self.port,
            protocol="http",
            database=database,
            login_timeout=_READY_S,
            network_timeout=_STATEMENT_S,
            session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
        )


def at(home: Path, port: int) -> Emulator:
    """Return an emulator on ``port`` whose log and key lie in ``home``."""
    home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    emulator = Emulator(port, home / "key.p8", home / "emulator.log", home / "buckets")
    emulator.buckets.mkdir(exist_ok=True)
    _write_key(emulator.key)
    return emulator


@contextmanager
def running(home: Path) -> Iterator[Emulator]:
    """Start an emulator whose log and key lie in ``home``, and end it."""
    [port] = scratch.choose_ports(1)
    emulator = at(home, port)
    with emulator.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.emulator", "--port", str(port)],
            cwd=ROOT, env=os.environ | {"TZ": "UTC", BUCKETS: str(emulator.buckets)},
            stdin=subprocess.PIPE, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait(process, emulator)
        yield emulator
    finally:
        process.kill()
        process.communicate()


def _write_key(path: Path) -> None:
    """Write a private key in the form that Snowflake wants; the emulator checks none."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)


def _wait(process: "subprocess.Popen[bytes]", emulator: Emulator) -> None:
    end = time.monotonic() + _READY_S
    while not _listens(emulator.port):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"the emulator did not start:\n{emulator.log.read_text()}")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
