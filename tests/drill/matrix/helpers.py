"""What several tests of the drill's parts need."""

import os
from collections.abc import Sequence
from pathlib import Path

from drill.matrix.process import Process


def in_folder(folder: Path, name: str, command: Sequence[str]) -> Process:
    """Return a process whose log lies in ``folder``; it is not started yet."""
    return Process(name, command, folder / f"{name}.log", os.environ)
