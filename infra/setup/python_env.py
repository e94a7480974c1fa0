"""A Python environment: a folder with exactly the packages of a lock file, checked by hash."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

from infra.setup.console import Console, SetupError
from infra.setup.machine import PYTHONS


class PythonEnvironment:
    """An environment of a checkout, by default ``.venv`` with the project's own lock.

    ``uv`` is the one to install with, where the lock does not pin one.
    """

    def __init__(
        self,
        root: Path,
        console: Console,
        name: str = ".venv",
        lock: str = "requirements.txt",
        uv: Path | None = None,
    ) -> None:
        self._folder = root / name
        self._python = self._folder / "bin" / "python"
        self._stamp = self._folder / "tapehouse.stamp"
        self._lock = root / lock
        self._log = root / "var" / "log" / f"setup-python{name.removeprefix('.venv')}.log"
        self._console = console
        self._uv = str(uv) if uv else None

    def is_ready(self) -> bool:
        """Return whether the environment was made from the lock file as it is now."""
        made_from = self._stamp.read_text() if self._stamp.is_file() else None
        return self._python.exists() and made_from == self._fingerprint()

    def make(self) -> None:
        """Create the environment or bring it to the lock file.

        Raises:
            SetupError: a package cannot be had, or is not what the lock file says.
        """
        self._stamp.unlink(missing_ok=True)
        uv = self._uv or _uv()
        if not self._is_usable():
            self._create(uv)
        self._install(uv or self._own_uv())
        self._stamp.write_text(self._fingerprint())

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(self._lock.read_bytes()).hexdigest()
        return f"{digest} python {'.'.join(map(str, self._version()))}\n"

    def _version(self) -> tuple[int, ...]:
        config = self._folder / "pyvenv.cfg"
        text = config.read_text() if config.is_file() else ""
        found = re.search(r"^version(?:_info)?\s*=\s*([\d.]+)", text, re.M)
        return tuple(int(part) for part in found[1].split(".") if part) if found else ()

    def _is_usable(self) -> bool:
        if not self._python.exists() or self._version()[:2] not in PYTHONS:
            return False
        return subprocess.run([self._python, "-c", ""], check=False).returncode == 0

    def _create(self, uv: str | None) -> None:
        command = [uv, "venv", "--clear", "--python", sys.executable] if uv else _stdlib_venv()
        self._console.run([*command, self._folder], self._log)

    def _install(self, uv: str) -> None:
        command: list[str | Path] = [uv, "pip", "sync", "--python", self._python]
        # As pip does: every stage is a process, and each would compile what it imports.
        command += ["--compile-bytecode", "--require-hashes", self._lock]
        self._console.run(command, self._log)

    def _own_uv(self) -> str:
        """Install the uv that the lock file pins, and return it.

        pip itself cannot install the lock file: pip 23 takes ``mashumaro[msgpack]``, which dbt
        wants, for another package than the pinned ``mashumaro``, and refuses it as unpinned.
        """
        only_uv = self._folder / "uv.txt"
        only_uv.write_text(_entry("uv", self._lock))
        command: list[str | Path] = [self._python, "-m", "pip", "install", "--no-deps"]
        command += ["--disable-pip-version-check", "--require-hashes", "-r", only_uv]
        self._console.run(command, self._log)
        return str(self._folder / "bin" / "uv")


def _entry(package: str, lock: Path) -> str:
    """Return a package's entry of a lock file, hashes and all."""
    entry = re.compile(rf"^{package}==.*(?:\n[ \t].*)*\n?", re.M).search(lock.read_text())
    if entry is None:
        raise SetupError(f"expected {package} to be pinned in {lock}, found no such line")
    return entry[0]


def _stdlib_venv() -> list[str]:
    return [sys.executable, "-m", "venv", "--clear"]


def _uv() -> str | None:
    """Return uv where one works: a version manager's shim may stand for nothing."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    works = subprocess.run([uv, "--version"], capture_output=True, check=False).returncode == 0
    return uv if works else None
