"""PostgreSQL's server programs, for what starts a cluster of its own."""

import os
import shutil
from pathlib import Path
from typing import Final

from infra.setup.console import SetupError

# Debian keeps them off the path, a folder for each version.
_DEBIAN: Final = Path("/usr/lib/postgresql")
ADVICE: Final = (
    "install it (Debian: apt install postgresql) or set PG_BINDIR to its programs' folder"
)


def find() -> Path | None:
    """Return the folder of ``initdb`` and ``pg_ctl``: PG_BINDIR, else Debian's newest, else any.

    Raises:
        SetupError: PG_BINDIR is no such folder.
    """
    if named := os.environ.get("PG_BINDIR"):
        if (Path(named) / "initdb").is_file():
            return Path(named)
        raise SetupError(f"PG_BINDIR has no initdb, found {named!r}: {ADVICE}")
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None
