"""A PostgreSQL cluster of a test's own: real, on a free port, with generated passwords."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from infra.setup import postgres

_OWNER = "postgres"


@dataclass(frozen=True)
class Cluster:
    """A running server; ``password`` is every role's."""

    port: int
    password: str = field(repr=False)

    def url(self, user: str = _OWNER, database: str = "postgres") -> str:
        return f"postgresql://{user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, user: str = _OWNER, database: str = "postgres") -> Any:
        return psycopg2.connect(self.url(user, database))

    def run(self, *statements: str, user: str = _OWNER, database: str = "postgres") -> None:
        """Run statements, each committed by itself."""
        db = self.connect(user, database)
        db.autocommit = True
        try:
            for statement in statements:
                db.cursor().execute(statement)
        finally:
            db.close()

    def rows(self, query: str, user: str = _OWNER, database: str = "postgres") -> list[Any]:
        """Return a query's rows."""
        db = self.connect(user, database)
        try:
            cursor = db.cursor()
            cursor.execute("set time zone 'UTC'")
            cursor.execute(query)
            found: list[Any] = cursor.fetchall()
            return found
        finally:
            db.close()

    def role(self, name: str) -> None:
        """Make a role that logs in with the cluster's password."""
        self.run(f"create role {name} login password '{self.password}'")


@contextmanager
def started() -> Iterator[Cluster]:
    """Start a cluster; skip the test where PostgreSQL is not installed, saying so."""
    programs = postgres.find()
    if programs is None:
        pytest.skip(f"PostgreSQL is missing: {postgres.ADVICE}")
    # Not pytest's own folder: the server's user could not enter it.
    folder = Path(tempfile.mkdtemp(prefix="tapehouse-postgres-"))
    cluster = Cluster(_free_port(), secrets.token_hex(16))
    try:
        (folder / "password").write_text(cluster.password)
        _give_away(folder)
        _run(programs / "initdb", "-D", folder / "data", "-U", _OWNER, "--auth=scram-sha-256",
             f"--pwfile={folder / 'password'}", "--encoding=UTF8", "--no-sync")  # fmt: skip
        options = (
            f"-p {cluster.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
            " -c timezone=Asia/Tokyo"  # nobody's: a time without its zone would show
        )
        control = (programs / "pg_ctl", "-D", folder / "data", "-w", "-s")
        _run(*control, "-l", folder / "log", "-o", options, "start")
        try:
            yield cluster
        finally:
            _run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _give_away(folder: Path) -> None:
    """Give a folder to who runs the server: PostgreSQL refuses root."""
    if os.geteuid() == 0:
        owner = pwd.getpwnam(_OWNER)
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)


def _run(*words: str | Path) -> None:
    become = ["runuser", "-u", _OWNER, "--"] if os.geteuid() == 0 else []
    # The server keeps pg_ctl's standard output open: a pipe of it would never end.
    subprocess.run(
        [*become, *map(str, words)], check=True, cwd="/", stdout=subprocess.DEVNULL, timeout=120
    )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
