"""Chromium, for what looks at pages; asked for by those alone, not by every set-up."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.setup.console import Console, SetupError

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
PACKAGE: Final = "chromium"
_LOCK: Final = Path(tempfile.gettempdir()) / "tapehouse-apt.lock"
_ADVICE: Final = f"install it (Debian: apt install {PACKAGE}) or set CHROME_BIN to its program"


def find() -> str | None:
    """Return the browser that CHROME_BIN names, else the first on the path.

    Raises:
        SetupError: CHROME_BIN names no program.
    """
    if named := os.environ.get("CHROME_BIN"):
        if found := shutil.which(named):
            return found
        raise SetupError(f"CHROME_BIN is no program, found {named!r}: {_ADVICE}")
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def ensure(console: Console, log: Path) -> str:
    """Return the browser; where there is none, root gets Debian's, which takes some 20 s.

    Raises:
        SetupError: there is none, and it cannot be installed here.
    """
    if found := find():
        return found
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(f"Chromium is missing: {_ADVICE}")
    console.next()
    with console.working(f"{PACKAGE} from Debian's packages"), _LOCK.open("w") as lock:
        # The lists have a lock that apt does not wait for; two test workers ask at once.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _apt(console, log, ["update"])
        _apt(console, log, ["install", "--yes", "--no-install-recommends", PACKAGE])
    if found := find():
        return found
    raise SetupError(f"{PACKAGE} is installed, but none of {', '.join(NAMES)} is on the path")


def _apt(console: Console, log: Path, words: Sequence[str]) -> None:
    # Another apt at work is waited for.
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *words]
    console.run(command, log, env={"DEBIAN_FRONTEND": "noninteractive"})
