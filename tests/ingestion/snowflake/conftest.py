"""Settings of the test's own, keys, and the account that knows them."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from ingestion import cli
from ingestion.__main__ import PROGRAM
from ingestion.settings import ROOT, SECTIONS
from ingestion.snowflake import keys
from tests.ingestion.snowflake.account import Account, serving

DATABASE = "STOCKS_MDS"
USERS = ("admin", "loader", "transformer", "reader")


@dataclass(frozen=True)
class Keys:
    """A key pair for each user; made once, as each takes a while."""

    private: dict[str, Path]
    public: dict[str, rsa.RSAPublicKey]


@pytest.fixture(scope="session")
def key_pairs(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    made = {who: keys.make(folder / f"{who}.p8") for who in (*USERS, "stranger")}
    return Keys(
        {who: folder / f"{who}.p8" for who in made},
        {who: key.public_key() for who, key in made.items()},
    )


@dataclass
class Shell:
    """Commands with settings of their own; ``variables`` are what the settings file says."""

    file: Path
    variables: dict[str, str]

    def run(self, *arguments: str, part: str = "snowflake") -> "subprocess.CompletedProcess[str]":
        """Run a command in this process, as ``python -m ingestion`` does."""
        self.write()
        out, err, code = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                cli.run(part, arguments, PROGRAM)
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())

    def start(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command as a process of its own."""
        self.write()
        return subprocess.run(
            [sys.executable, "-m", "ingestion", "snowflake", *arguments],
            cwd=ROOT, env=os.environ.copy(), capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip

    def write(self) -> None:
        lines = [f"{name}={value}\n" for name, value in self.variables.items()]
        self.file.write_text("".join(lines))


@pytest.fixture
def shell(tmp_path: Path, key_pairs: Keys, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Commands whose settings name an account that is nowhere yet, and everybody's keys."""
    # This machine may have an account's settings.
    for section in SECTIONS:
        for name in section.variables():
            monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TAPEHOUSE_ENV_FILE", str(tmp_path / "env"))
    monkeypatch.setenv("COLUMNS", "200")
    variables = {
        "TAPEHOUSE_STATE_DIR": str(tmp_path / "state"),
        "SNOWFLAKE_ACCOUNT": "acme-stocks",
        "SNOWFLAKE_HOST": "127.0.0.1",
        "SNOWFLAKE_PROTOCOL": "http",
        "SNOWFLAKE_ADMIN_USER": "ADA",
        "SNOWFLAKE_ALLOWED_IPS": "203.0.113.7",
    }
    for who in USERS:
        variables[f"SNOWFLAKE_{who.upper()}_PRIVATE_KEY_PATH"] = str(key_pairs.private[who])
    return Shell(tmp_path / "env", variables)


@pytest.fixture
def account(shell: Shell, key_pairs: Keys) -> Iterator[Account]:
    """The account of ``shell``: it knows the keys of all four."""
    known = {f"{DATABASE}_{who.upper()}": key_pairs.public[who] for who in USERS[1:]}
    with serving(Account("acme-stocks", known | {"ADA": key_pairs.public["admin"]})) as served:
        shell.variables["SNOWFLAKE_PORT"] = str(served.port)
        yield served


@pytest.fixture
def env(shell: Shell) -> Shell:
    """The same settings for what a test calls itself: written after each change."""
    shell.write()
    return shell
