"""Prometheus and promtool, for who starts or tests them; asked for by those alone.

Debian's package is unpacked beside the other tools and not installed: installing it would start a
server of its own on every address, on port 9090 and at each boot. So no root is needed either.
"""

import shutil
from pathlib import Path
from typing import Final, Literal

from infra.setup import cache
from infra.setup.console import Console, SetupError

Program = Literal["prometheus", "promtool"]
PACKAGE: Final = "prometheus"
_ADVICE: Final = f"install it (Debian: apt install {PACKAGE}) or put it on the path"


def find(program: Program) -> str | None:
    """Return the program on the path, else the one that was unpacked."""
    unpacked = _entry() / "usr" / "bin" / program
    return shutil.which(program) or (str(unpacked) if unpacked.is_file() else None)


def ensure(program: Program, console: Console, log: Path) -> str:
    """Return the program; where there is none, Debian's is unpacked, which takes some seconds.

    Raises:
        SetupError: there is none, and this machine has no apt to get it with.
    """
    if found := find(program):
        return found
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise SetupError(f"{program} is missing: {_ADVICE}")
    console.next()
    with console.working(f"{PACKAGE} from Debian's packages"):
        cache.ensure(_entry(), lambda draft: _unpack(draft, console, log))
    if found := find(program):
        return found
    raise SetupError(f"Debian's package {PACKAGE} was unpacked and holds no {program}: {_ADVICE}")


def _entry() -> Path:
    return cache.root() / f"{PACKAGE}-debian"


def _unpack(draft: Path, console: Console, log: Path) -> None:
    console.run(["apt-get", "download", PACKAGE], log, cwd=draft)
    [archive] = draft.glob(f"{PACKAGE}_*.deb")
    console.run(["dpkg-deb", "--extract", archive, draft], log)
    archive.unlink()
